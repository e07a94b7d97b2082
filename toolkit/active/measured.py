"""What is measured of logged models, and which of them a run uses: kept beside what the run itself logs.

There is no journal for it: it is written when what was logged before is there. A store that is away is told and no
more, as training goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from toolkit.errors import InvalidValue, NotAcknowledged, StoreError
from toolkit.recording.stores import Stores
from toolkit.registry.catalog import catalog_of
from toolkit.tracking.logged_models import DatasetRef, ModelMetric
from toolkit.tracking.records import Metric

logger = logging.getLogger(__name__)


def log_measured(
    stores: Stores, run_id: str, model_id: str, points: Sequence[Metric], dataset: DatasetRef | None = None
) -> None:
    """Keep points as those of a model.

    Args:
        stores: Where the run and the model are.
        run_id: The run that measured them.
        model_id: The model.
        points: The points.
        dataset: What they were measured on.

    Raises:
        NotFound: There is no such model.
    """
    measured = [ModelMetric(metric=point, model_id=model_id, run_id=run_id, dataset=dataset) for point in points]
    try:
        catalog_of(stores).logged.log_metrics(measured)
    except (StoreError, NotAcknowledged) as error:
        logger.warning("the metric is of run %s only, and not of model %s: %s", run_id, model_id, error)


def log_used(stores: Stores, run_id: str, models: Sequence[object]) -> None:
    """Note that a run uses models.

    Args:
        stores: Where the run and the models are.
        run_id: The run.
        models: Their ids, or what has a ``model_id``, such as what `log_model` returns.

    Raises:
        InvalidValue: One is neither.
        NotFound: There is no such model.
    """
    ids = [_id(model) for model in models]
    try:
        catalog_of(stores).logged.log_inputs(run_id, ids)
    except (StoreError, NotAcknowledged) as error:
        logger.warning("that run %s uses %s is not kept: %s", run_id, ", ".join(ids), error)


def _id(model: object) -> str:
    found = model if isinstance(model, str) else getattr(model, "model_id", None)
    if not isinstance(found, str):
        raise InvalidValue(f"{model!r:.200} is no model: wanted the id of a logged model, or what log_model returns")
    return found.removeprefix("models:/")
