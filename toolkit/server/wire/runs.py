"""Runs and what they log, on MLflow's wire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

from toolkit.errors import InvalidValue, NotFound
from toolkit.ids import new_run_id, now_ms, random_run_name
from toolkit.server.wire import logged_models, messages, models
from toolkit.server.wire.call import Call, Endpoint
from toolkit.server.wire.experiments import DEFAULT_PAGE, view
from toolkit.server.wire.long_values import short_params, short_tags
from toolkit.server.wire.messages import Message
from toolkit.server.wire.request import Fields
from toolkit.tracking.records import (
    Dataset,
    DatasetInput,
    Lifecycle,
    Metric,
    NewRun,
    Page,
    Run,
    RunStatus,
    SearchQuery,
)
from toolkit.tracking.step_token import tags_in
from toolkit.tracking.system_tags import RUN_NAME
from toolkit.wiring.registry import inputs_of

MOST_METRICS, MOST_PARAMS, MOST_TAGS, MOST_TOGETHER = 1_000, 100, 100, 1_000

_NUMBERS = {
    1: RunStatus.RUNNING,
    2: RunStatus.SCHEDULED,
    3: RunStatus.FINISHED,
    4: RunStatus.FAILED,
    5: RunStatus.KILLED,
}
_NAMES = {status.value: status for status in RunStatus}


def create(call: Call) -> Message:
    """Start a run; nobody's death ends it, for the client may be anywhere."""
    fields = call.fields
    tags = tags_in(call.header(b"authorization")) | dict(fields.pairs("tags"))
    name, tagged = fields.text("run_name"), tags.get(RUN_NAME, "")
    if name and tagged and name != tagged:
        raise InvalidValue(
            f"Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{name}', mlflow.runName='{tagged}')."
        )
    new = NewRun(
        experiment_id=fields.text("experiment_id") or "0",
        run_id=new_run_id(),
        run_name=name or tagged or random_run_name(),
        user_id=fields.text("user_id"),
        start_time=fields.integer("start_time", now_ms()),
        tags=tags,
    )
    message = messages.run(call.stores.runs.create_run(new), call.locate)
    del message["outputs"]
    return {"run": message}


def get(call: Call) -> Message:
    """Return a run with all that it logged."""
    run_id = call.fields.run_id()
    message = messages.run(call.stores.runs.get_run(run_id), call.locate)
    models.add_models(message, call.catalog.logged.models_of([run_id]).get(run_id))
    return {"run": message}


def update(call: Call) -> Message:
    """Set a run's state, its end, or its name."""
    fields = call.fields
    changed = call.stores.runs.update_run(
        fields.run_id(),
        status=fields.choice("status", dict(_NUMBERS), dict(_NAMES), None),
        end_time=fields.maybe_integer("end_time"),
        run_name=fields.text("run_name") or None,
    )
    return {"run_info": messages.run_info(changed, call.locate)}


def delete(call: Call) -> Message:
    """Delete a run."""
    call.stores.runs.update_run(call.fields.run_id(), lifecycle=Lifecycle.DELETED)
    return {}


def restore(call: Call) -> Message:
    """Restore a run."""
    call.stores.runs.update_run(call.fields.run_id(), lifecycle=Lifecycle.ACTIVE)
    return {}


def search(call: Call) -> Message:
    """Return the runs that a filter finds. No experiments: no runs."""
    fields = call.fields
    experiment_ids = fields.texts("experiment_ids")
    query = SearchQuery(
        experiment_ids=experiment_ids,
        filter=fields.text("filter"),
        order_by=fields.texts("order_by"),
        lifecycle=view(fields, "run_view_type"),
        limit=fields.integer("max_results", DEFAULT_PAGE),
        page_token=fields.maybe_text("page_token") or None,
    )
    found: Page[Run] = call.stores.runs.search_runs(query) if experiment_ids else Page(items=())
    items = [messages.run(run, call.locate) for run in found.items]
    _add_used(call, items)
    return messages.page("runs", items, found.next_page_token)


def _add_used(call: Call, items: Sequence[Message]) -> None:
    """Add what runs of a list use and made: lists of our own do not load it."""
    if not items:
        return
    run_ids = [item["info"]["run_id"] for item in items]
    datasets, logged = inputs_of(call.stores, run_ids), call.catalog.logged.models_of(run_ids)
    if not datasets and not logged:
        return
    for run_id, item in zip(run_ids, items, strict=True):
        if run_id in datasets:
            item["inputs"] = messages.inputs(datasets[run_id])
        models.add_models(item, logged.get(run_id))


# -- what runs log -----------------------------------------------------------------------------------


def _metric(fields: Fields) -> Metric:
    return Metric(
        key=fields.needed("key"),
        value=fields.double("value"),
        timestamp=fields.integer("timestamp"),
        step=fields.integer("step", 0),
    )


def _metrics(items: Sequence[dict[str, Any]]) -> list[Metric]:
    """Return points of metrics; those in the form that every client of today writes take a tenth of the time."""
    points = []
    for index, item in enumerate(items):
        try:
            value, timestamp, step = item["value"], item["timestamp"], item["step"]
            usual = type(value) is float and type(timestamp) is int and type(step) is int and isfinite(value)
        except KeyError:
            usual = False
        if usual and type(item.get("key")) is str:
            points.append(Metric(key=item["key"], value=value, timestamp=timestamp, step=step))
        else:
            points.append(_metric(Fields(item, f"metrics[{index}].")))
    return points


def log_metric(call: Call) -> Message:
    """Log one point of a metric."""
    run_id, point = call.fields.run_id(), _metric(call.fields)
    call.stores.runs.log_batch(run_id, metrics=[point])
    logged_models.note_metrics(call, run_id, [call.fields], [point])
    return {}


def log_parameter(call: Call) -> Message:
    """Log one parameter."""
    params = short_params([(call.fields.needed("key"), call.fields.text("value"))])
    call.stores.runs.log_batch(call.fields.run_id(), params=params)
    return {}


def set_tag(call: Call) -> Message:
    """Set one tag."""
    tags = short_tags([(call.fields.needed("key"), call.fields.text("value"))])
    call.stores.runs.log_batch(call.fields.run_id(), tags=tags)
    return {}


def delete_tag(call: Call) -> Message:
    """Remove a tag that must be there."""
    run_id, key = call.fields.run_id(), call.fields.needed("key")
    if key not in call.stores.runs.get_run(run_id).data.tags:
        raise NotFound(f"No tag with name: {key} in run with id {run_id}")
    call.stores.runs.log_batch(run_id, tags={key: None})
    return {}


def log_batch(call: Call) -> Message:
    """Log metrics, parameters and tags, all or none of them."""
    fields = call.fields
    metrics, params, tags = fields.raw_items("metrics"), fields.pairs("params"), fields.pairs("tags")
    _check_number("metrics", len(metrics), MOST_METRICS)
    _check_number("params", len(params), MOST_PARAMS)
    _check_number("tags", len(tags), MOST_TAGS)
    together = len(metrics) + len(params) + len(tags)
    _check_number("metrics, params, and tags", together, MOST_TOGETHER)
    _check_unique([key for key, _ in params])
    run_id, points = fields.run_id(), _metrics(metrics)
    call.stores.runs.log_batch(run_id, metrics=points, params=short_params(params), tags=short_tags(tags))
    measured = [index for index, item in enumerate(metrics) if "model_id" in item or "modelId" in item]
    if measured:
        items = [Fields(metrics[index], f"metrics[{index}].") for index in measured]
        logged_models.note_metrics(call, run_id, items, [points[index] for index in measured])
    return {}


def _check_number(name: str, count: int, most: int) -> None:
    if count > most:
        raise InvalidValue(
            f"A batch logging request can contain at most {most} {name}. Got {count} {name}. Please split up {name} "
            "across multiple requests and try again."
        )


def _check_unique(keys: Sequence[str]) -> None:
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise InvalidValue(
            f"Duplicate parameter keys have been submitted: {twice}. Please ensure the request contains only one param "
            "value per param key."
        )


def log_inputs(call: Call) -> Message:
    """Note datasets and models that a run uses."""
    run_id = call.fields.run_id()
    call.stores.runs.log_inputs(run_id, list(_inputs(call.fields.items("datasets"))))
    logged_models.note_inputs(call, run_id)
    return {}


def _inputs(items: Iterable[Fields]) -> Iterable[DatasetInput]:
    for item in items:
        given = item.inner("dataset")
        dataset = Dataset(
            name=given.needed("name"),
            digest=given.needed("digest"),
            source_type=given.needed("source_type"),
            source=given.needed("source"),
            schema=given.maybe_text("schema"),
            profile=given.maybe_text("profile"),
        )
        yield DatasetInput(dataset=dataset, tags=dict(item.pairs("tags")))


ENDPOINTS = (
    Endpoint(("POST",), "runs/create", create, quick=True),
    Endpoint(("GET",), "runs/get", get),
    Endpoint(("POST",), "runs/update", update, quick=True),
    Endpoint(("POST",), "runs/delete", delete),
    Endpoint(("POST",), "runs/restore", restore),
    Endpoint(("POST",), "runs/search", search),
    Endpoint(("POST",), "runs/log-metric", log_metric, quick=True),
    Endpoint(("POST",), "runs/log-parameter", log_parameter, quick=True),
    Endpoint(("POST",), "runs/set-tag", set_tag, quick=True),
    Endpoint(("POST",), "runs/delete-tag", delete_tag),
    Endpoint(("POST",), "runs/log-batch", log_batch, quick=True),
    Endpoint(("POST",), "runs/log-inputs", log_inputs),
)
