"""Records as MLflow's wire writes them: empty fields left out, NaN and the infinities as text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from toolkit.tracking.records import DatasetInput, Experiment, Metric, Run, RunInfo

Message = dict[str, Any]
Locate = Callable[[str], str]
"""From where artifacts are to what clients are told: ``mlflow-artifacts:/…`` where the server hands them out."""


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as JSON in UTF-8."""
    try:
        return orjson.dumps(message)
    except orjson.JSONEncodeError:  # halves of surrogate pairs, and integers of more than 64 bits
        return json.dumps(message, separators=(",", ":")).encode()  # as escapes: in UTF-8 there are no such halves


def number(value: float) -> float | str:
    """Return a floating-point number; NaN and the infinities as protobuf's JSON names them."""
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def pairs(values: Mapping[str, str]) -> list[Message]:
    """Return tags or parameters."""
    return [{"key": key, "value": value} for key, value in values.items()]


def metric(point: Metric) -> Message:
    """Return a point of a metric."""
    return {"key": point.key, "value": number(point.value), "timestamp": point.timestamp, "step": point.step}


def metrics(points: Sequence[Metric]) -> list[Message]:
    """Return points of metrics."""
    finite = math.isfinite
    return [
        {
            "key": point.key,
            "value": point.value if finite(point.value) else number(point.value),
            "timestamp": point.timestamp,
            "step": point.step,
        }
        for point in points
    ]


def experiment(record: Experiment, locate: Locate) -> Message:
    """Return an experiment."""
    message: Message = {
        "experiment_id": record.experiment_id,
        "name": record.name,
        "artifact_location": locate(record.artifact_location),
        "lifecycle_stage": record.lifecycle_stage.value,
        "last_update_time": record.last_update_time,
        "creation_time": record.creation_time,
        "workspace": "default",
    }
    if record.tags:
        message["tags"] = pairs(record.tags)
    return message


def run_info(info: RunInfo, locate: Locate) -> Message:
    """Return what a run is."""
    message: Message = {
        "run_id": info.run_id,
        "run_uuid": info.run_id,
        "run_name": info.run_name,
        "experiment_id": info.experiment_id,
        "user_id": info.user_id,
        "status": info.status.value,
        "start_time": info.start_time,
    }
    if info.end_time is not None:
        message["end_time"] = info.end_time
    message["artifact_uri"] = locate(info.artifact_uri)
    message["lifecycle_stage"] = info.lifecycle_stage.value
    return message


def run(record: Run, locate: Locate) -> Message:
    """Return a run with what it logged."""
    data: Message = {}
    if record.data.latest:
        data["metrics"] = metrics(list(record.data.latest.values()))
    if record.data.params:
        data["params"] = pairs(record.data.params)
    if record.data.tags:
        data["tags"] = pairs(record.data.tags)
    return {"info": run_info(record.info, locate), "data": data, "inputs": inputs(record.inputs), "outputs": {}}


def inputs(items: Sequence[DatasetInput]) -> Message:
    """Return the datasets that a run uses."""
    return {"dataset_inputs": [dataset_input(item) for item in items]} if items else {}


def dataset_input(item: DatasetInput) -> Message:
    """Return a dataset that a run uses."""
    given = item.dataset
    dataset: Message = {
        "name": given.name,
        "digest": given.digest,
        "source_type": given.source_type,
        "source": given.source,
    }
    if given.schema is not None:
        dataset["schema"] = given.schema
    if given.profile is not None:
        dataset["profile"] = given.profile
    return {"tags": pairs(item.tags), "dataset": dataset} if item.tags else {"dataset": dataset}


def page(name: str, items: Sequence[Message], token: str | None) -> Message:
    """Return a page of a list; what is empty is left out."""
    message: Message = {name: list(items)} if items else {}
    if token is not None:
        message["next_page_token"] = token
    return message
