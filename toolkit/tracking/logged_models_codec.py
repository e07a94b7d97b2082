"""Logged models as JSON of our API: both ways, for the server and for its client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from toolkit.tracking.http_codec import Json, Locate, number_out
from toolkit.tracking.logged_models import (
    DatasetRef,
    LoggedModel,
    ModelMetric,
    ModelOutput,
    ModelStatus,
    NewLoggedModel,
    RunModels,
)
from toolkit.tracking.records import Lifecycle, Metric

_MODEL = tuple(field.name for field in fields(LoggedModel))
_NEW = tuple(field.name for field in fields(NewLoggedModel))


def logged_model_out(record: LoggedModel, locate: Locate) -> Json:
    """Return a logged model as JSON."""
    told: Json = {name: getattr(record, name) for name in _MODEL}
    told.update(
        artifact_uri=locate(record.artifact_uri),
        params=dict(record.params),
        tags=dict(record.tags),
        metrics=[measured_out(point) for point in record.metrics],
    )
    return told


def logged_model_in(told: Json) -> LoggedModel:
    """Return the logged model of `logged_model_out`."""
    values = {name: told[name] for name in _MODEL}
    values.update(
        status=ModelStatus(told["status"]),
        lifecycle_stage=Lifecycle(told["lifecycle_stage"]),
        metrics=tuple(map(measured_in, told["metrics"])),
    )
    return LoggedModel(**values)


def new_model_out(new: NewLoggedModel) -> Json:
    """Return a logged model to be made as JSON."""
    told: Json = {name: getattr(new, name) for name in _NEW}
    told.update(params=dict(new.params), tags=dict(new.tags))
    return told


def measured_out(point: ModelMetric) -> Json:
    """Return a point of a model as JSON."""
    metric = point.metric
    return {
        "key": metric.key,
        "value": number_out(metric.value),
        "timestamp": metric.timestamp,
        "step": metric.step,
        "model_id": point.model_id,
        "run_id": point.run_id,
        "dataset": asdict(point.dataset) if point.dataset is not None else None,
    }


def measured_in(told: Mapping[str, Any]) -> ModelMetric:
    """Return the point of `measured_out`."""
    dataset = told["dataset"]
    return ModelMetric(
        metric=Metric(key=told["key"], value=float(told["value"]), timestamp=told["timestamp"], step=told["step"]),
        model_id=told["model_id"],
        run_id=told["run_id"],
        dataset=DatasetRef(name=dataset["name"], digest=dataset["digest"]) if dataset is not None else None,
    )


def outputs_out(outputs: Sequence[ModelOutput]) -> list[Json]:
    """Return models that a run made as JSON."""
    return [{"model_id": output.model_id, "step": output.step} for output in outputs]


def used_out(used: RunModels) -> Json:
    """Return what a run used and made as JSON."""
    return {"inputs": list(used.inputs), "outputs": outputs_out(used.outputs)}


def used_in(told: Json) -> RunModels:
    """Return what `used_out` says."""
    outputs = tuple(ModelOutput(model_id=each["model_id"], step=each["step"]) for each in told["outputs"])
    return RunModels(inputs=tuple(told["inputs"]), outputs=outputs)
