"""All rows of a view of runs, to take along: as CSV, as JSON, and as the line of Python that gives them."""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from starlette.responses import Response, StreamingResponse

from toolkit.server.pages import columns as choice
from toolkit.server.pages import times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import plain
from toolkit.server.pages.columns import COURSE, EXTREMES, Column
from toolkit.server.pages.extremes import Extremes, extremes_of
from toolkit.server.pages.view import RunsView
from toolkit.tracking.records import Experiment, Run

_LOOKED_AT, _LOOKED_AT_ONCE = 1_000, 50  # runs whose columns are looked for
_AT_ONCE, _FEWEST = 1_000, 20  # runs that are read together
_VALUES = 200_000  # that are in memory together, of that many runs
_MOST_FIELDS = 1_000  # that a search names; of more all are loaded


def export(asked: Asked) -> Response:
    """Return all rows of a view as CSV."""
    view, shown = _asked_for(asked)
    return _file(view, "csv", "text/csv; charset=utf-8", _csv(asked, view, shown))


def export_json(asked: Asked) -> Response:
    """Return all rows of a view as one JSON list; what no number of JSON is, is text there."""
    view, shown = _asked_for(asked)
    return _file(view, "json", "application/json", _json(asked, view, shown))


def _asked_for(asked: Asked) -> tuple[RunsView, Sequence[Column]]:
    """Return the view that is taken along and its columns: where none were chosen, all that the first runs fill."""
    runs = asked.stores.runs
    experiment = runs.get_experiment(asked.path["experiment_id"])
    view = RunsView.of(asked, experiment.experiment_id)
    view = replace(view, after=None, columns=[column for column in view.columns if column.kind != COURSE])
    if view.columns:
        runs.search_runs(view.search(limit=1, fields=[]))  # a filter that cannot be read is told before the first byte
        return view, view.columns
    return view, _filled(asked, view)


def _filled(asked: Asked, view: RunsView) -> Sequence[Column]:
    """Return the columns that the first runs fill: of runs with very many values fewer are looked at."""
    found: set[Column] = set()
    token, seen, values = None, 0, 0
    while seen < _LOOKED_AT and values < _VALUES:
        some = asked.stores.runs.search_runs(replace(view.search(limit=_LOOKED_AT_ONCE), page_token=token))
        found.update(column for column in choice.keys_of(some.items) if column.kind != "t")
        seen += len(some.items)
        values += sum(len(run.data.metrics) + len(run.data.params) for run in some.items)
        token = some.next_page_token
        if token is None:
            break
    return choice.ordered(found)


def _file(view: RunsView, ending: str, kind: str, text: Iterator[str]) -> Response:
    name = f"experiment-{view.experiment_id}.{ending}"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return StreamingResponse(text, headers=headers, media_type=kind)


def _runs(asked: Asked, view: RunsView, columns: Sequence[Column]) -> Iterator[Sequence[Run]]:
    """Yield the runs of a view, some at a time."""
    token, fields = None, choice.loaded(columns)
    if len(fields) > _MOST_FIELDS:
        fields = ["metrics.*", "params.*", "tags.*"]
    limit = min(_AT_ONCE, max(_FEWEST, _VALUES // max(1, len(columns))))
    while True:
        query = view.search(limit=limit, fields=fields)
        found = asked.stores.runs.search_runs(replace(query, page_token=token))
        yield found.items
        token = found.next_page_token
        if token is None:
            return


def _told(run: Run) -> Mapping[str, str]:
    """Return what is told of each run, whatever the columns."""
    info = run.info
    return {
        "run_id": info.run_id,
        "run_name": info.run_name,
        "status": str(info.status),
        "start_time": times.iso(info.start_time),
        "end_time": times.iso(info.end_time) if info.end_time is not None else "",
    }


def _csv(asked: Asked, view: RunsView, columns: Sequence[Column]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["run_id", "run_name", "status", "start_time", "end_time", *(column.id for column in columns)])
    for runs in _runs(asked, view, columns):
        extremes = extremes_of(asked.stores.runs, runs, columns)
        for run in runs:
            told = (plain(text) for text in _told(run).values())
            writer.writerow([*told, *(_value(run, column, extremes) for column in columns)])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _json(asked: Asked, view: RunsView, columns: Sequence[Column]) -> Iterator[str]:
    yield "["
    between = "\n"
    for runs in _runs(asked, view, columns):
        extremes = extremes_of(asked.stores.runs, runs, columns)
        for run in runs:
            row = {**_told(run), **{column.id: _exact(run, column, extremes) for column in columns}}
            yield between + json.dumps(row)
            between = ",\n"
    yield "\n]\n"


def _exact(run: Run, column: Column, extremes: Extremes) -> str | float | None:
    """Return a value as JSON can hold it; ``None`` where the run has none."""
    if column.kind in EXTREMES:
        return extremes.get((run.info.run_id, column))
    if column.kind == "m":
        value = run.data.metrics.get(column.key)
        return value if value is None or math.isfinite(value) else repr(value)
    if column.kind == "a":
        return _attribute(run, column.key)
    return (run.data.params if column.kind == "p" else run.data.tags).get(column.key)


def _attribute(run: Run, name: str) -> str:
    return {"user": run.info.user_id, "id": run.info.run_id, "reason": run.info.reason or ""}.get(name, "")


def _value(run: Run, column: Column, extremes: Extremes) -> str:
    if column.kind in EXTREMES:
        extreme = extremes.get((run.info.run_id, column))
        return "" if extreme is None else repr(extreme)
    if column.kind == "m":
        value = run.data.metrics.get(column.key)
        return "" if value is None else repr(value)
    if column.kind == "a":
        return plain(_attribute(run, column.key))
    return plain((run.data.params if column.kind == "p" else run.data.tags).get(column.key, ""))


def python(experiment: Experiment, view: RunsView, columns: Sequence[Column]) -> str:
    """Return the line of Python that gives what is shown as a pandas table."""
    filter_ = view.search().filter
    given = [
        f"experiment_ids=[{experiment.experiment_id!r}]",
        f"filter_string={filter_!r}" if filter_ else "",
        f"order_by={view.search().order_by!r}" if view.sort else "",
        "run_view_type=toolkit.entities.ViewType.DELETED_ONLY" if view.deleted else "",
        f"fields={choice.loaded(columns)!r}" if columns else "",
    ]
    return f"toolkit.search_runs({', '.join(part for part in given if part)})"


def call(asked: Asked, view: RunsView, columns: Sequence[Column]) -> str:
    """Return the call of the API that finds what is shown, as a shell takes it."""
    query = replace(view, after=None).search(fields=choice.loaded(columns) if columns else None)
    given = {
        "experiment_ids": query.experiment_ids,
        "filter": query.filter,
        "order_by": query.order_by,
        "lifecycle": "deleted" if view.deleted else None,
        "fields": query.fields,
        "limit": query.limit,
    }
    body = shlex.quote(json.dumps({name: value for name, value in given.items() if value}, ensure_ascii=False))
    base = f"{asked.request.url.scheme}://{asked.request.headers.get('host', '')}{asked.site.prefix}"
    return f"curl -s {shlex.quote(f'{base}/api/v1/runs/search')} -H 'Content-Type: application/json' -d {body}"


PAGES = [
    ("GET", "/experiments/{experiment_id}/runs.csv", export),
    ("GET", "/experiments/{experiment_id}/runs.json", export_json),
]
