"""Models that runs log, on MLflow's wire: since 3.x as things of their own, before that in a tag of the run."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

from toolkit.artifacts.location import below_root
from toolkit.errors import InvalidValue
from toolkit.ids import random_run_name
from toolkit.server.wire import messages, models
from toolkit.server.wire.call import Call, Endpoint
from toolkit.server.wire.messages import Message
from toolkit.server.wire.request import Fields
from toolkit.tracking.limits import check_artifact_path
from toolkit.tracking.logged_models import (
    DatasetRef,
    LoggedModelQuery,
    ModelMetric,
    ModelOrder,
    ModelOutput,
    ModelStatus,
    NewLoggedModel,
)
from toolkit.tracking.records import Metric

DEFAULT_PAGE = 50
HISTORY = "mlflow.log-model.history"
"""Tag of a run: the models that clients before 3.x, and R's, have logged."""

_NUMBERS = {1: ModelStatus.PENDING, 2: ModelStatus.READY, 3: ModelStatus.FAILED}
_NAMES = {name: status for status, name in models.STATUS_NAMES.items()}
_TOLD = ("run_id", "utc_time_created", "artifact_path", "model_uuid")
_appending = threading.Lock()


def create(call: Call) -> Message:
    """Begin a model."""
    fields = call.fields
    new = NewLoggedModel(
        experiment_id=fields.needed("experiment_id"),
        name=fields.text("name") or random_run_name(),
        model_type=fields.text("model_type") or None,
        source_run_id=fields.text("source_run_id") or None,
        params=dict(fields.pairs("params")),
        tags=dict(fields.pairs("tags")),
    )
    return {"model": models.logged_model(call.catalog.logged.create_model(new), call.locate)}


def get(call: Call) -> Message:
    """Return one."""
    deleted = call.fields.flag("allow_deleted")
    found = call.catalog.logged.get_model(call.path["model_id"], allow_deleted=deleted)
    return {"model": models.logged_model(found, call.locate)}


def finish(call: Call) -> Message:
    """Say whether all files of one are there."""
    status = call.fields.choice("status", dict(_NUMBERS), dict(_NAMES), None)
    if status is None:
        raise call.fields.missing("status")
    done = call.catalog.logged.finish_model(call.path["model_id"], status)
    return {"model": models.logged_model(done, call.locate)}


def delete(call: Call) -> Message:
    """Delete one."""
    call.catalog.logged.delete_model(call.path["model_id"])
    return {}


def search(call: Call) -> Message:
    """Return those that a filter finds in some experiments."""
    fields = call.fields
    experiment_ids = fields.texts("experiment_ids")
    if not experiment_ids:
        raise fields.missing("experiment_ids")
    query = LoggedModelQuery(
        experiment_ids=experiment_ids,
        filter=fields.text("filter"),
        datasets=[_dataset(item) for item in fields.items("datasets")],
        order_by=[_order(item) for item in fields.items("order_by")],
        limit=fields.integer("max_results", DEFAULT_PAGE) or DEFAULT_PAGE,
        page_token=fields.maybe_text("page_token") or None,
    )
    found = call.catalog.logged.search_models(query)
    items = [models.logged_model(record, call.locate) for record in found.items]
    return messages.page("models", items, found.next_page_token)


def _dataset(item: Fields) -> DatasetRef:
    name = item.text("dataset_name")
    if not name:
        raise InvalidValue("`dataset_name` in the `datasets` clause must be specified.")
    return DatasetRef(name=name, digest=item.text("dataset_digest") or None)


def _order(item: Fields) -> ModelOrder:
    name, digest = item.text("dataset_name"), item.text("dataset_digest")
    if digest and not name:
        raise InvalidValue("`dataset_digest` can only be specified if `dataset_name` is also specified.")
    return ModelOrder(
        field=item.needed("field_name"),
        descending=not item.flag("ascending", True),
        dataset=DatasetRef(name=name, digest=digest or None) if name else None,
    )


def set_tags(call: Call) -> Message:
    """Set tags."""
    call.catalog.logged.tag_model(call.path["model_id"], dict(call.fields.pairs("tags")))
    return {}


def delete_tag(call: Call) -> Message:
    """Remove a tag that must be there."""
    call.catalog.logged.tag_model(call.path["model_id"], {call.path["tag_key"]: None})
    return {}


def log_params(call: Call) -> Message:
    """Add parameters."""
    call.catalog.logged.log_params(call.path["model_id"], dict(call.fields.pairs("params")))
    return {}


def list_files(call: Call) -> Message:
    """Return what is in a folder of one; paths are relative to its root."""
    model = call.catalog.logged.get_model(call.path["model_id"])
    folder = call.fields.text("artifact_directory_path").rstrip("/")
    if folder:
        check_artifact_path(folder)
    message: Message = {"root_uri": call.locate(model.artifact_uri)}
    root = below_root(model.artifact_uri, call.stores.artifact_root)
    if root is None:  # elsewhere, where this server does not look
        return message
    found: dict[str, Message] = {}
    start = f"{root}/{folder}/" if folder else f"{root}/"
    for file in call.stores.artifacts.list(start.rstrip("/")):
        if not file.key.startswith(start):
            continue
        name, below, _ = file.key[len(start) :].partition("/")
        path = f"{folder}/{name}" if folder else name
        found[path] = {"path": path, "is_dir": bool(below), **({} if below else {"file_size": file.size})}
    if found:
        message["files"] = [found[path] for path in sorted(found)]
    return message


# -- what runs use, make and measure -----------------------------------------------------------------


def log_outputs(call: Call) -> Message:
    """Note models that a run made."""
    given = call.fields.items("models")
    outputs = [ModelOutput(model_id=item.needed("model_id"), step=item.integer("step", 0)) for item in given]
    call.catalog.logged.log_outputs(call.fields.run_id(), outputs)
    return {}


def note_inputs(call: Call, run_id: str) -> None:
    """Note the models among the inputs of a run."""
    given = call.fields.items("models")
    if given:
        call.catalog.logged.log_inputs(run_id, [item.needed("model_id") for item in given])


def note_metrics(call: Call, run_id: str, items: Sequence[Fields], points: Sequence[Metric]) -> None:
    """Note those points that were measured of a model with the model too."""
    measured = [
        ModelMetric(metric=point, model_id=item.needed("model_id"), run_id=run_id, dataset=_measured_on(item))
        for item, point in zip(items, points, strict=True)
        if item.has("model_id")
    ]
    if measured:
        call.catalog.logged.log_metrics(measured)


def _measured_on(item: Fields) -> DatasetRef | None:
    name = item.text("dataset_name")
    return DatasetRef(name=name, digest=item.text("dataset_digest") or None) if name else None


def log_model(call: Call) -> Message:
    """Add a model to the tag that older clients, and R's, read."""
    run_id, text = call.fields.run_id(), call.fields.needed("model_json")
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidValue(f"Malformed model info. \n {text[:1000]} \n is not a valid JSON.") from None
    if not isinstance(told, dict):
        raise InvalidValue(f"Malformed model info. \n {text[:1000]} \n is no JSON object.")
    missing = {"artifact_path", "flavors", "utc_time_created", "run_id"} - set(told)
    if missing:
        raise InvalidValue(f"Model json is missing mandatory fields: {missing}")
    with _appending:
        before = call.stores.runs.get_run(run_id).data.tags.get(HISTORY)
        try:
            history = json.loads(before) if before else []
        except (ValueError, RecursionError):
            history = []
        if not isinstance(history, list):
            history = []
        call.stores.runs.log_batch(run_id, tags={HISTORY: json.dumps([*history, _shortened(told)])})
    return {}


def _shortened(told: dict[str, Any]) -> dict[str, Any]:
    """Return what the tag keeps of a model: it is short."""
    kept = {name: told[name] for name in _TOLD if name in told}
    flavors = told["flavors"] if isinstance(told["flavors"], dict) else {}
    kept["flavors"] = {
        name: {key: value for key, value in flavor.items() if key != "config"} if isinstance(flavor, dict) else flavor
        for name, flavor in flavors.items()
    }
    return kept


ENDPOINTS = (
    Endpoint(("POST",), "logged-models", create),
    Endpoint(("POST",), "logged-models/search", search),
    Endpoint(("GET",), "logged-models/{model_id}", get),
    Endpoint(("PATCH",), "logged-models/{model_id}", finish),
    Endpoint(("DELETE",), "logged-models/{model_id}", delete),
    Endpoint(("PATCH",), "logged-models/{model_id}/tags", set_tags),
    Endpoint(("DELETE",), "logged-models/{model_id}/tags/{tag_key:path}", delete_tag),
    Endpoint(("POST",), "logged-models/{model_id}/params", log_params),
    Endpoint(("GET",), "logged-models/{model_id}/artifacts/directories", list_files),
    Endpoint(("POST",), "runs/outputs", log_outputs),
    Endpoint(("POST",), "runs/log-model", log_model),
)
