"""Models as MLflow's wire writes them: those that runs logged, those that are registered, and their versions."""

from __future__ import annotations

from toolkit.registry.records import ModelVersion, RegisteredModel
from toolkit.server.wire.messages import Locate, Message, metric, pairs
from toolkit.tracking.logged_models import LoggedModel, ModelMetric, ModelStatus, RunModels

STATUS_NAMES = {
    ModelStatus.PENDING: "LOGGED_MODEL_PENDING",
    ModelStatus.READY: "LOGGED_MODEL_READY",
    ModelStatus.FAILED: "LOGGED_MODEL_UPLOAD_FAILED",
}


def registered_model(record: RegisteredModel) -> Message:
    """Return a registered model; the aliases of its versions are its own."""
    message: Message = {
        "name": record.name,
        "creation_timestamp": record.creation_time,
        "last_updated_timestamp": record.last_update_time,
    }
    if record.description:
        message["description"] = record.description
    if record.latest_versions:
        message["latest_versions"] = [version(each, aliases=False) for each in record.latest_versions]
    if record.tags:
        message["tags"] = pairs(record.tags)
    if record.aliases:
        message["aliases"] = [{"alias": alias, "version": str(number)} for alias, number in record.aliases.items()]
    return message


def version(record: ModelVersion, *, aliases: bool = True) -> Message:
    """Return a version."""
    message: Message = {
        "name": record.name,
        "version": str(record.version),
        "creation_timestamp": record.creation_time,
        "last_updated_timestamp": record.last_update_time,
        "current_stage": record.stage.value,
        "description": record.description or "",
        "source": record.source,
        "status": record.status.value,
        "run_link": record.run_link or "",
    }
    for name, value in (
        ("user_id", record.user_id),
        ("run_id", record.run_id),
        ("status_message", record.status_message),
    ):
        if value is not None:
            message[name] = value
    if record.tags:
        message["tags"] = pairs(record.tags)
    if aliases and record.aliases:
        message["aliases"] = list(record.aliases)
    return message


def logged_model(record: LoggedModel, locate: Locate) -> Message:
    """Return a model that a run logged."""
    info: Message = {
        "model_id": record.model_id,
        "experiment_id": record.experiment_id,
        "name": record.name,
        "creation_timestamp_ms": record.creation_time,
        "last_updated_timestamp_ms": record.last_update_time,
        "artifact_uri": locate(record.artifact_uri),
        "status": STATUS_NAMES[record.status],
        "model_type": record.model_type or "",
        "source_run_id": record.source_run_id or "",
    }
    if record.status_message is not None:
        info["status_message"] = record.status_message
    if record.tags:
        info["tags"] = pairs(record.tags)
    data: Message = {}
    if record.params:
        data["params"] = pairs(record.params)
    if record.metrics:
        data["metrics"] = [_measured(point) for point in record.metrics]
    return {"info": info, "data": data}


def _measured(point: ModelMetric) -> Message:
    message = {**metric(point.metric), "model_id": point.model_id, "run_id": point.run_id}
    if point.dataset is not None:
        message["dataset_name"] = point.dataset.name
        if point.dataset.digest is not None:
            message["dataset_digest"] = point.dataset.digest
    return message


def add_models(message: Message, used: RunModels | None) -> None:
    """Add what a run used and made to its message."""
    if used is None:
        return
    if used.inputs:
        message["inputs"]["model_inputs"] = [{"model_id": model_id} for model_id in used.inputs]
    if used.outputs:
        outputs = [{"model_id": output.model_id, "step": output.step} for output in used.outputs]
        message["outputs"]["model_outputs"] = outputs
