"""An experiment: its runs in a table that is searched, sorted and paged by the store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from starlette.responses import JSONResponse, Response

from toolkit.errors import InvalidValue
from toolkit.recording.context import NOTE
from toolkit.server.pages import columns as choice
from toolkit.server.pages import families, remembered
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.columns import COURSE, EXTREMES, Column
from toolkit.server.pages.families import Families
from toolkit.server.pages.filter_parts import parts
from toolkit.server.pages.groups import groups_of
from toolkit.server.pages.render import page, redirect
from toolkit.server.pages.runs_export import call, python
from toolkit.server.pages.runs_rows import fields as row_fields
from toolkit.server.pages.runs_rows import rows as row_values
from toolkit.server.pages.saved_views import saved_in
from toolkit.server.pages.view import PAGE, RunsView, quoted
from toolkit.tracking.records import Lifecycle, Run, SearchQuery
from toolkit.tracking.records import Page as Found

PRIMARY = "toolkit.primary_metric"
_TYPICAL = 25
_UNFOLDED = 200
_DIGITS = 19
_COURSES = 50
_EXPLAINED = 8
_UNQUOTED = re.compile(r"[\w\-/:.]+")
_ATTRIBUTES = ("status", "run_name", "run_id", "user_id", "start_time", "end_time", "parent_run_id", "datasets.name")


def show(asked: Asked) -> Response:
    """Return the page, or the table alone."""
    runs = asked.stores.runs
    experiment = runs.get_experiment(asked.path["experiment_id"])
    written = RunsView.of(asked, experiment.experiment_id)
    view = remembered.columns_of(asked, written)
    found = Families(runs=Found(items=()))
    groups, shown, fault = None, view.columns, ""
    try:
        shown = view.columns or _usual(asked, view, experiment.tags.get(PRIMARY))
        if view.group:
            groups = groups_of(runs, view, shown)
        else:
            found = families.search(runs, view, fields=row_fields(shown))
    except InvalidValue as error:
        fault = str(error)
    template = (
        "runs_rows.html" if view.after and asked.is_part else "runs_table.html" if asked.is_part else "experiment.html"
    )
    return page(
        asked,
        template,
        **row_values(asked, view, shown, found),
        experiment=experiment,
        groups=groups,
        fault=fault,
        note=experiment.tags.get(NOTE, ""),
        saved=saved_in(experiment.tags),
        groupings=_groupings(view, shown),
        chips=[] if fault else _chips(view),
        python=python(experiment, view, shown),
        call=call(asked, view, shown),
        taken=remembered.taken(written, view),
        now_shown=written.query(after=None)[1:],
        headers=remembered.headers(asked, written),
    )


def _chips(view: RunsView) -> Sequence[tuple[str, str]]:
    """Return the parts of a view's filter, each with the query of the view without it."""
    found = list(parts(view.filter))
    return [
        (part, view.query(filter=" AND ".join(found[:place] + found[place + 1 :]), after=None))
        for place, part in enumerate(found)
    ]


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


def count(asked: Asked) -> Response:
    """Return how many runs a view finds, in words."""
    view = RunsView.of(asked, asked.path["experiment_id"])
    number = asked.stores.runs.count_runs(view.search())
    return page(asked, "count.html", number=number)


def why(asked: Asked) -> Response:
    """Return which part of a filter excludes most: what each fits alone, and what fits without it."""
    runs = asked.stores.runs
    view = RunsView.of(asked, asked.path["experiment_id"])
    written = parts(view.filter)[:_EXPLAINED]
    told = []
    for part, (_, query) in zip(written, _chips(view), strict=False):
        rest = " AND ".join(other for other in parts(view.filter) if other != part)
        alone = runs.count_runs(replace(view, filter=part).search())
        told.append((part, alone, runs.count_runs(replace(view, filter=rest).search()) if rest else 0, query))
    told.sort(key=lambda row: (row[1], -row[2]))
    return page(asked, "filter_why.html", told=told, here=asked.url("experiments", view.experiment_id))


def children(asked: Asked) -> Response:
    """Return the rows of the runs that are parts of a run."""
    runs = asked.stores.runs
    view = RunsView.of(asked, asked.path["experiment_id"])
    query = SearchQuery(
        filter=f"parent_run_id = {quoted(asked.path['run_id'])}",
        order_by=view.search().order_by,
        limit=_UNFOLDED,
        fields=row_fields(view.columns) if view.columns else None,
    )
    found = runs.search_runs(query)
    shown = view.columns or choice.usual(found.items)
    whole = asked.url("runs", asked.path["run_id"], "children")
    values = row_values(asked, view, shown, Families(runs=found), level=1)
    return page(asked, "runs_rows.html", **values, whole=whole, experiment=runs.get_experiment(view.experiment_id))


def rows(asked: Asked) -> Response:
    """Return the rows of a view alone: those of a group that is unfolded."""
    runs = asked.stores.runs
    view = RunsView.of(asked, asked.path["experiment_id"])
    found = runs.search_runs(view.search(fields=row_fields(view.columns)))
    whole = asked.url("experiments", view.experiment_id) + view.query(after=None, columns=())
    values = row_values(asked, view, view.columns, Families(runs=found), level=1)
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
        query = SearchQuery(
            experiment_ids=[view.experiment_id],
            filter=within,
            lifecycle=lifecycle,
            limit=PAGE,
            fields=row_fields(view.columns),
        )
        found = replace(runs.search_runs(query), next_page_token=None)
    since = asked.query.get("since", "")
    new = 0
    if since.isdecimal() and len(since) < _DIGITS:
        new = runs.count_runs(view.narrowed(f"start_time > {since}").search())
    values = row_values(asked, view, view.columns, Families(runs=found), marks=False)
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
    """Return what columns are chosen in: a part of the experiment's page, or (without script) a page of its own."""
    view = RunsView.of(asked, asked.path["experiment_id"])
    newest = asked.stores.runs.search_runs(view.search(limit=PAGE)).items
    experiment = asked.stores.runs.get_experiment(view.experiment_id)
    chosen = view.columns or choice.usual(newest[:_TYPICAL], experiment.tags.get(PRIMARY))
    known = list(choice.keys_of(newest))
    known += [column for column in chosen if column not in known and column.kind != COURSE]
    groups: dict[str, list[Column]] = {}
    for column in known:
        label = choice.KINDS[column.kind][1] if column.kind in choice.KINDS else f"The {EXTREMES[column.kind]}"
        groups.setdefault(label, []).append(column)
    if measured := [column.key for column in known if column.kind == "m"]:
        courses = dict.fromkeys([*(column.key for column in chosen if column.kind == COURSE), *measured[:_COURSES]])
        groups["Courses"] = [Column(COURSE, key) for key in courses]
    template = "columns.html" if asked.is_part else "columns_page.html"
    return page(asked, template, view=view, groups=groups, chosen=set(chosen), experiment=experiment)


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
    ("GET", "/experiments/{experiment_id}/why", why),
    ("GET", "/experiments/{experiment_id}/columns", picker),
    ("GET", "/experiments/{experiment_id}/children/{run_id}", children),
    ("GET", "/experiments/{experiment_id}/rows", rows),
    ("GET", "/experiments/{experiment_id}/live", live),
    ("GET", "/experiments/{experiment_id}/fields", fields),
]
