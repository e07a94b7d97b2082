"""An experiment: its runs in a table that is searched, sorted and paged by the store."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from toolkit.errors import InvalidValue
from toolkit.server.pages import columns as choice
from toolkit.server.pages import times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import rows_of
from toolkit.server.pages.columns import COURSE, Column
from toolkit.server.pages.groups import groups_of
from toolkit.server.pages.render import page, redirect
from toolkit.server.pages.saved_views import saved_in
from toolkit.server.pages.view import PAGE, RunsView, quoted
from toolkit.tracking.records import Lifecycle, Run, SearchQuery
from toolkit.tracking.records import Page as Found

NOTE = "mlflow.note.content"
PRIMARY = "toolkit.primary_metric"
_MOST_ACTED = 1_000
_TYPICAL = 25
_MOST_STEPS = 2_000
_UNFOLDED = 200
_DIGITS = 19
_COURSES = 50
_UNQUOTED = re.compile(r"[\w\-/:.]+")
_ATTRIBUTES = ("status", "run_name", "run_id", "user_id", "start_time", "end_time", "parent_run_id", "datasets.name")


def show(asked: Asked) -> Response:
    """Return the page, or the table alone."""
    runs = asked.stores.runs
    experiment = runs.get_experiment(asked.path["experiment_id"])
    view = RunsView.of(asked, experiment.experiment_id)
    found: Found[Run] = Found(items=())
    groups, shown, fault = None, view.columns, ""
    try:
        shown = view.columns or _usual(asked, view, experiment.tags.get(PRIMARY))
        if view.group:
            groups = groups_of(runs, view, shown)
        else:
            found = runs.search_runs(view.search(fields=choice.loaded(shown)))
    except InvalidValue as error:
        fault = str(error)
    template = (
        "runs_rows.html" if view.after and asked.is_part else "runs_table.html" if asked.is_part else "experiment.html"
    )
    return page(
        asked,
        template,
        **_rows(asked, view, shown, found),
        experiment=experiment,
        groups=groups,
        fault=fault,
        note=experiment.tags.get(NOTE, ""),
        saved=saved_in(experiment.tags),
        groupings=_groupings(view, shown),
    )


def _groupings(view: RunsView, shown: Sequence[Column]) -> Sequence[tuple[str, str]]:
    """Return what runs can be grouped by, as forms send it and as it is shown: what is on the page."""
    able = [column for column in shown if column.kind in "pt"]
    found = dict.fromkeys([*able, Column("a", "user"), *([view.group] if view.group else [])])
    return [(column.id, column.key) for column in found]


def _usual(asked: Asked, view: RunsView, primary: str | None) -> Sequence[Column]:
    """Return the columns that are shown if nobody chose any: what the first few runs have says which.

    All values of a whole page would be loaded otherwise, and runs may have thousands.
    """
    few = asked.stores.runs.search_runs(replace(view, after=None).search(limit=_TYPICAL)).items
    return choice.usual(few, primary)


def _rows(
    asked: Asked, view: RunsView, columns: Sequence[Column], found: Found[Run], *, level: int = 0
) -> dict[str, Any]:
    """Return what the template of rows takes."""
    now = times.now()
    return {
        "view": view,
        "columns": columns,
        "runs": found.items,
        "more": found.next_page_token,
        "cells": rows_of(found.items, columns, now),
        "steps": _steps(asked, found.items),
        "at": now,
        "size": PAGE,
        "level": level,
    }


def _steps(asked: Asked, runs: Sequence[Run]) -> Mapping[str, int]:
    """Return how many parts each of some runs has; where they are too many to tell, that all may have some."""
    if not runs:
        return {}
    ids = [run.info.run_id for run in runs]
    within = f"parent_run_id IN ({', '.join(map(quoted, ids))})"
    query = SearchQuery(filter=within, limit=_MOST_STEPS, fields=["tags.`mlflow.parentRunId`"])
    found = asked.stores.runs.search_runs(query)
    counted = Counter(run.info.parent_run_id or "" for run in found.items)
    return dict.fromkeys(ids, 0) if found.next_page_token else counted


def count(asked: Asked) -> Response:
    """Return how many runs a view finds, in words."""
    view = RunsView.of(asked, asked.path["experiment_id"])
    number = asked.stores.runs.count_runs(view.search())
    return page(asked, "count.html", number=number)


def children(asked: Asked) -> Response:
    """Return the rows of the runs that are parts of a run."""
    runs = asked.stores.runs
    view = RunsView.of(asked, asked.path["experiment_id"])
    query = SearchQuery(
        filter=f"parent_run_id = {quoted(asked.path['run_id'])}",
        order_by=view.search().order_by,
        limit=_UNFOLDED,
        fields=choice.loaded(view.columns) if view.columns else None,
    )
    found = runs.search_runs(query)
    shown = view.columns or choice.usual(found.items)
    whole = asked.url("runs", asked.path["run_id"], "children")
    values = _rows(asked, view, shown, found, level=1)
    return page(asked, "runs_rows.html", **values, whole=whole, experiment=runs.get_experiment(view.experiment_id))


def rows(asked: Asked) -> Response:
    """Return the rows of a view alone: those of a group that is unfolded."""
    runs = asked.stores.runs
    view = RunsView.of(asked, asked.path["experiment_id"])
    found = runs.search_runs(view.search(fields=choice.loaded(view.columns)))
    whole = asked.url("experiments", view.experiment_id) + view.query(after=None, columns=())
    values = _rows(asked, view, view.columns, found, level=1)
    return page(asked, "runs_rows.html", **values, whole=whole, experiment=runs.get_experiment(view.experiment_id))


def live(asked: Asked) -> Response:
    """Return the rows of some runs as they are now; a header says how many have begun since a page was made."""
    runs = asked.stores.runs
    view = RunsView.of(asked, asked.path["experiment_id"])
    ids = list(dict.fromkeys(asked.all("run")))[:PAGE]
    found: Found[Run] = Found(items=())
    if ids:
        within = f"run_id IN ({', '.join(map(quoted, ids))})"
        lifecycle = Lifecycle.DELETED if view.deleted else Lifecycle.ACTIVE
        fields = choice.loaded(view.columns)
        query = SearchQuery(
            experiment_ids=[view.experiment_id], filter=within, lifecycle=lifecycle, limit=PAGE, fields=fields
        )
        found = replace(runs.search_runs(query), next_page_token=None)
    since = asked.query.get("since", "")
    new = 0
    if since.isdecimal() and len(since) < _DIGITS:
        new = runs.count_runs(view.narrowed(f"start_time > {since}").search())
    values = _rows(asked, view, view.columns, found)
    experiment = runs.get_experiment(view.experiment_id)
    return page(asked, "runs_rows.html", **values, experiment=experiment, headers={"toolkit-new-runs": str(new)})


def fields(asked: Asked) -> Response:
    """Return what filters may name in an experiment, for whoever writes one."""
    view = RunsView.of(asked, asked.path["experiment_id"])
    newest = asked.stores.runs.search_runs(SearchQuery(experiment_ids=[view.experiment_id], limit=PAGE)).items
    known = [_plain_field(column) for column in choice.keys_of(newest) if column.kind != "a"]
    return JSONResponse({"fields": [*known, *_ATTRIBUTES]}, headers={"cache-control": "private, no-cache"})


def _plain_field(column: Column) -> str:
    """Return how a person would write a field: without quotes where none are needed."""
    head = choice.KINDS[column.kind][0]
    return f"{head}.{column.key}" if _UNQUOTED.fullmatch(column.key) else column.field


def picker(asked: Asked) -> Response:
    """Return what columns are chosen in."""
    view = RunsView.of(asked, asked.path["experiment_id"])
    newest = asked.stores.runs.search_runs(view.search(limit=PAGE)).items
    primary = asked.stores.runs.get_experiment(view.experiment_id).tags.get(PRIMARY)
    chosen = view.columns or choice.usual(newest[:_TYPICAL], primary)
    known = list(choice.keys_of(newest))
    known += [column for column in chosen if column not in known and column.kind != COURSE]
    groups: dict[str, list[Column]] = {}
    for column in known:
        groups.setdefault(choice.KINDS[column.kind][1], []).append(column)
    if measured := [column.key for column in known if column.kind == "m"]:
        courses = dict.fromkeys([*(column.key for column in chosen if column.kind == COURSE), *measured[:_COURSES]])
        groups["Courses"] = [Column(COURSE, key) for key in courses]
    return page(asked, "columns.html", view=view, groups=groups, chosen=set(chosen))


def export(asked: Asked) -> Response:
    """Return all rows of a view as CSV."""
    runs = asked.stores.runs
    experiment = runs.get_experiment(asked.path["experiment_id"])
    view = RunsView.of(asked, experiment.experiment_id)
    view = replace(view, after=None, columns=[column for column in view.columns if column.kind != COURSE])
    shown = view.columns
    if not shown:
        first = runs.search_runs(view.search(limit=1_000))
        shown = [column for column in choice.keys_of(first.items) if column.kind != "t"]
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
        query = view.search(limit=1_000, fields=choice.loaded(columns))
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
    ("GET", "/experiments/{experiment_id}/rows", rows),
    ("GET", "/experiments/{experiment_id}/live", live),
    ("GET", "/experiments/{experiment_id}/fields", fields),
]
