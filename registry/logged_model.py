"""A model that a run logs: made, saved, stored with the digests of its files, and finished."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.errors import ToolkitError
from toolkit.ids import now_ms
from toolkit.models.metadata import ModelMetadata
from toolkit.recording.stores import Stores
from toolkit.registry.catalog import Catalog
from toolkit.registry.fetched import upload
from toolkit.registry.locating import Located, place_of
from toolkit.registry.names import check_name
from toolkit.registry.records import ModelVersion
from toolkit.registry.registering import Registration, register
from toolkit.tracking.limits import REASON_LENGTH
from toolkit.tracking.logged_models import LoggedModel, ModelMetric, ModelOutput, ModelStatus, NewLoggedModel
from toolkit.tracking.records import ArtifactEntry

logger = logging.getLogger(__name__)

Save = Callable[[Path], ModelMetadata]
"""Saves a model into a folder that is not there yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelToLog:
    """A model that is to be logged.

    Attributes:
        experiment_id: Where it belongs.
        name: Its name.
        run_id: The run that makes it.
        step: Where in the training.
        model_type: What kind of model it is.
        params: Its parameters, besides those of the run.
        tags: Its tags.
        model_id: A model that is there already, whose files these are.
        registered_model_name: The registered model that it becomes a version of.
    """

    experiment_id: str
    name: str
    run_id: str | None = None
    step: int = 0
    model_type: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    model_id: str | None = None
    registered_model_name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelLogged:
    """A model that was logged.

    Attributes:
        model: As it is recorded.
        metadata: Its MLmodel.
        version: The version that it became.
    """

    model: LoggedModel
    metadata: ModelMetadata
    version: ModelVersion | None = None


def log_model(wanted: ModelToLog, save: Save, stores: Stores, catalog: Catalog) -> ModelLogged:
    """Log a model: it is pending until its files are there, and failed if they do not come.

    Args:
        wanted: What it is to be.
        save: Saves it.
        stores: Where runs and files are.
        catalog: Where models are.

    Raises:
        InvalidValue: A name, or the model, cannot be used.
        NotFound: There is no such run or model.
        ArtifactError: Its files cannot be stored.
    """
    if wanted.registered_model_name is not None:
        check_name(wanted.registered_model_name)
    model = _begun(wanted, stores, catalog)
    try:
        with tempfile.TemporaryDirectory(prefix="toolkit-") as temporary:
            folder = Path(temporary) / "model"
            metadata = save(folder).placed(
                run_id=wanted.run_id or model.source_run_id, model_id=model.model_id, artifact_path=model.artifact_uri
            )
            metadata.write(folder)
            _store(folder, model, stores, catalog)
        finished = catalog.logged.finish_model(model.model_id, ModelStatus.READY)
    except BaseException as error:  # also Ctrl-C: a model whose files did not come is not left pending
        _failed(model, catalog, error)
        raise
    version = None
    if wanted.registered_model_name is not None:
        wish = Registration(uri=f"models:/{model.model_id}", name=wanted.registered_model_name)
        version = register(wish, stores, catalog)
    return ModelLogged(model=finished, metadata=metadata, version=version)


def _begun(wanted: ModelToLog, stores: Stores, catalog: Catalog) -> LoggedModel:
    """Make the model, an output of its run, with what the run has measured at this step."""
    if wanted.model_id is not None:
        model = catalog.logged.get_model(wanted.model_id)
        if wanted.run_id is not None:
            catalog.logged.log_outputs(wanted.run_id, [ModelOutput(model_id=model.model_id, step=wanted.step)])
        return model
    run = stores.runs.get_run(wanted.run_id) if wanted.run_id is not None else None
    new = NewLoggedModel(
        experiment_id=run.info.experiment_id if run is not None else wanted.experiment_id,
        name=wanted.name,
        model_type=wanted.model_type,
        source_run_id=wanted.run_id,
        params={**wanted.params, **(run.data.params if run is not None else {})},
        tags=wanted.tags,
    )
    model = catalog.logged.create_model(new)
    if run is not None:
        catalog.logged.log_outputs(run.info.run_id, [ModelOutput(model_id=model.model_id, step=wanted.step)])
        points = [metric for metric in run.data.latest.values() if metric.step == wanted.step]
        catalog.logged.log_metrics(
            [ModelMetric(metric=metric, model_id=model.model_id, run_id=run.info.run_id) for metric in points]
        )
    return model


def _store(folder: Path, model: LoggedModel, stores: Stores, catalog: Catalog) -> None:
    located = Located(uri=f"models:/{model.model_id}", location=model.artifact_uri, logged=model)
    stored = upload(folder, place_of(located, stores), stores.artifact_workers)
    entries = [ArtifactEntry(path=path, size=size, sha256=sha256, created=now_ms()) for path, size, sha256 in stored]
    catalog.logged.record_files(model.model_id, entries)


def _failed(model: LoggedModel, catalog: Catalog, error: BaseException) -> None:
    """Say that a model's files did not come; what hinders that is told and no more."""
    message = f"{type(error).__name__}: {error}"[:REASON_LENGTH]
    try:
        catalog.logged.finish_model(model.model_id, ModelStatus.FAILED, message)
    except ToolkitError as second:
        logger.warning("model %s is not marked as failed: %s", model.model_id, second)
