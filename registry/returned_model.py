"""What a tracked function returned, if it is a model: logged like any other."""

from __future__ import annotations

import logging
import re
import sys
from functools import partial
from pathlib import Path

from toolkit.errors import InvalidValue
from toolkit.models import folder
from toolkit.models.flavor import class_modules
from toolkit.models.lookup import library_flavor_of
from toolkit.models.metadata import ModelMetadata
from toolkit.recording.run import RecordedRun
from toolkit.registry.catalog import catalog_of
from toolkit.registry.logged_model import ModelToLog, log_model

logger = logging.getLogger(__name__)

_NOT_IN_NAMES = re.compile(r"""[/:.%"']""")  # what no logged model's name has


def log_returned(run: RecordedRun, name: str, value: object) -> bool:
    """Log what a function of a run returned as a model, if it is one.

    Args:
        run: The run.
        name: What it is called.
        value: What was returned.

    Returns:
        Whether it is a model that is worth keeping: of a library's flavor or of a class of `PythonModel`, and trained
        as far as that can be seen.
    """
    flavor = library_flavor_of(value)
    if flavor is None or not _trained(value):
        return False
    wanted = ModelToLog(experiment_id=run.info.experiment_id, name=_NOT_IN_NAMES.sub("_", name), run_id=run.run_id)
    log_model(wanted, partial(_save, value, flavor), run.stores, catalog_of(run.stores))
    return True


def _save(value: object, flavor: str, path: Path) -> ModelMetadata:
    """Save a model; an estimator that skops cannot keep is pickled: nobody is there who could say so."""
    try:
        return folder.save_model(value, path, flavor=flavor)
    except InvalidValue as error:
        if "sklearn" not in class_modules(value):
            raise
        logger.warning("%s; it is kept as a pickle", error)
        return folder.save_model(value, path, flavor=flavor, options={"serialization_format": "cloudpickle"})


def _trained(value: object) -> bool:
    """Tell whether an estimator of scikit-learn's kind was fitted; of others it is taken for granted."""
    if not hasattr(value, "get_params") or "sklearn" not in class_modules(value):
        return True
    validation = sys.modules.get("sklearn.utils.validation")
    if validation is None:
        return True
    try:
        validation.check_is_fitted(value)
    except (TypeError, ValueError):  # not fitted, or nothing that is
        return False
    return True
