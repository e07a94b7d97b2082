"""An experiment: its runs in a table that is searched, sorted and paged by the store."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

from starlette.responses import Response, StreamingResponse

from toolkit.errors import InvalidValue
from toolkit.server.pages import columns as choice
from toolkit.server.pages import times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import rows_of
from toolkit.server.pages.columns import Column
from toolkit.server.pages.render import page, redirect
from toolkit.server.pages.view import PAGE, RunsView
from toolkit.tracking.records import Lifecycle, Run, RunQuery
from toolkit.tracking.records import Page as Found

NOTE = "mlflow.note.content"
PRIMARY = "toolkit.primary_metric"
COUNTED = 10_000
_MOST_ACTED = 1_000


def show(asked: Asked) -> Response:
    """Return the page, or the table alone."""
    runs = asked.stores.runs
    experiment = runs.get_experiment(asked.path["experiment_id"])
    fault = ""
    view = RunsView.of(asked, experiment.experiment_id)
    primary = experiment.tags.get(PRIMARY)
    try:
        found = runs.search_runs(view.search(fields=_fields(view)))
    except InvalidValue as error:
        found, fault = Found(items=()), str(error)
    shown = view.columns or choice.usual(found.items, primary)
    now = times.now()
    template = (
        "runs_rows.html" if view.after and asked.is_part else "runs_table.html" if asked.is_part else "experiment.html"
    )
    return page(
        asked,
        template,
        experiment=experiment,
        view=view,
        columns=shown,
        runs=found.items,
        more=found.next_page_token,
        cells=rows_of(found.items, shown, now),
        fault=fault,
        at=now,
        note=experiment.tags.get(NOTE, ""),
        size=PAGE,
        level=0,
    )


def _fields(view: RunsView) -> Sequence[str] | None:
    """Return which values are loaded: of chosen columns theirs alone."""
    if not view.columns:
        return None
    return [*(column.field for column in view.columns if column.kind != "a"), "tags.`mlflow.source.name`"]


def count(asked: Asked) -> Response:
    """Return how many runs a view finds, in words."""
    view = RunsView.of(asked, asked.path["experiment_id"])
    number = asked.stores.runs.count_runs(view.search())
    return page(asked, "count.html", number=number)


def children(asked: Asked) -> Response:
    """Return the rows of the runs that are parts of a run."""
    runs = asked.stores.runs
    view = RunsView.of(asked, asked.path["experiment_id"])
    found = runs.list_runs(RunQuery(parent_run_id=asked.path["run_id"], limit=200))
    shown = view.columns or choice.usual(found.items)
    now = times.now()
    return page(
        asked,
        "runs_rows.html",
        experiment=runs.get_experiment(view.experiment_id),
        view=view,
        columns=shown,
        runs=found.items,
        more=None,
        cells=rows_of(found.items, shown, now),
        at=now,
        size=PAGE,
        level=1,
    )


def picker(asked: Asked) -> Response:
    """Return what columns are chosen in."""
    view = RunsView.of(asked, asked.path["experiment_id"])
    newest = asked.stores.runs.search_runs(view.search(limit=PAGE)).items
    chosen = view.columns or choice.usual(newest)
    known = list(choice.keys_of(newest))
    known += [column for column in chosen if column not in known]
    groups: dict[str, list[Column]] = {}
    for column in known:
        groups.setdefault(choice.KINDS[column.kind][1], []).append(column)
    return page(asked, "columns.html", view=view, groups=groups, chosen=set(chosen))


def export(asked: Asked) -> Response:
    """Return all rows of a view as CSV."""
    runs = asked.stores.runs
    experiment = runs.get_experiment(asked.path["experiment_id"])
    view = RunsView.of(asked, experiment.experiment_id)
    first = runs.search_runs(view.search(limit=1_000, fields=_fields(view)))
    shown = view.columns or [column for column in choice.keys_of(first.items) if column.kind != "t"]
    name = f"experiment-{experiment.experiment_id}.csv"
    return StreamingResponse(
        _csv(asked, view, shown),
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
        media_type="text/csv; charset=utf-8",
    )


def _csv(asked: Asked, view: RunsView, columns: Sequence[Column]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["run_id", "run_name", "status", "start_time", "end_time", *(column.id for column in columns)])
    token = None
    while True:
        query = view.search(limit=1_000, fields=_fields(view))
        found = asked.stores.runs.search_runs(replace(query, page_token=token))
        for run in found.items:
            info = run.info
            start = [info.run_id, _plain(info.run_name), str(info.status), times.iso(info.start_time)]
            end = times.iso(info.end_time) if info.end_time is not None else ""
            writer.writerow([*start, end, *(_value(run, column) for column in columns)])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        token = found.next_page_token
        if token is None:
            return


def _value(run: Run, column: Column) -> str:
    if column.kind == "m":
        value = run.data.metrics.get(column.key)
        return "" if value is None else repr(value)
    if column.kind == "a":
        return _plain(
            {"user": run.info.user_id, "id": run.info.run_id, "reason": run.info.reason or ""}.get(column.key, "")
        )
    return _plain((run.data.params if column.kind == "p" else run.data.tags).get(column.key, ""))


def _plain(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "@", "\t", "\r") or (text[:1] == "-" and not _number(text)) else text


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def act(asked: Asked) -> Response:
    """Tag, delete or restore the chosen runs."""
    runs = asked.stores.runs
    experiment = runs.get_experiment(asked.path["experiment_id"])
    chosen = list(dict.fromkeys(value for name, value in asked.fields if name == "run"))
    action = asked.form.get("action", "")
    if not chosen or len(chosen) > _MOST_ACTED:
        raise InvalidValue(f"{len(chosen)} runs are chosen: wanted 1 to {_MOST_ACTED:,}")
    if action == "compare":
        return redirect(asked.url("compare", runs=",".join(chosen)), asked=asked)
    if action not in ("tag", "delete", "restore"):
        raise InvalidValue(f"there is no action {action[:50]!r}: wanted compare, tag, delete or restore")
    key, value = asked.form.get("key", "").strip(), asked.form.get("value", "")
    for run_id in chosen:
        if action == "tag":
            runs.log_batch(run_id, tags={key: value})
        else:
            runs.update_run(run_id, lifecycle=Lifecycle.DELETED if action == "delete" else Lifecycle.ACTIVE)
    back = asked.form.get("back", "")
    place = asked.url("experiments", experiment.experiment_id)
    return redirect(place + (back if back.startswith("?") else ""), asked=asked)


def edit(asked: Asked) -> Response:
    """Change the experiment: its name, its note, its primary metric; delete or restore it."""
    experiment_id = asked.path["experiment_id"]
    form = asked.form
    tags: dict[str, str | None] = {}
    for sent, key in (("note", NOTE), ("primary", PRIMARY)):
        if sent in form:
            tags[key] = form[sent].strip() or None
    lifecycle = {"delete": Lifecycle.DELETED, "restore": Lifecycle.ACTIVE}.get(form.get("action", ""))
    name = form.get("name", "").strip() or None
    asked.stores.runs.update_experiment(experiment_id, name=name, tags=tags, lifecycle=lifecycle)
    return redirect(asked.url("experiments", experiment_id), asked=asked)


PAGES = [
    ("GET", "/experiments/{experiment_id}", show),
    ("POST", "/experiments/{experiment_id}", edit),
    ("GET", "/experiments/{experiment_id}/count", count),
    ("GET", "/experiments/{experiment_id}/columns", picker),
    ("GET", "/experiments/{experiment_id}/runs.csv", export),
    ("POST", "/experiments/{experiment_id}/runs", act),
    ("GET", "/experiments/{experiment_id}/children/{run_id}", children),
]
