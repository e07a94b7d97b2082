"""A run: what it is, why it is so, what it was given, what it measured and made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from toolkit.errors import InvalidValue, NotFound
from toolkit.recording.context import NOTE
from toolkit.recording.log_pieces import whole_of
from toolkit.server.pages import numbers, run_before, run_story, times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import duration_of
from toolkit.server.pages.experiment import PRIMARY
from toolkit.server.pages.given_tags import tags_of
from toolkit.server.pages.log_lines import FOLDER as LOGS
from toolkit.server.pages.render import page, redirect
from toolkit.server.pages.sparkline import sparkline
from toolkit.server.pages.states import state_of
from toolkit.server.pages.view import quoted
from toolkit.tracking.records import SYSTEM, ArtifactEntry, Lifecycle, Run, RunQuery, SearchQuery
from toolkit.tracking.series import Series, SeriesQuery

_SPARKS = 200
_POINTS = 80
_COUNTED = 1_000
_FILES = 50
TABS = (
    ("", "Overview"),
    ("charts", "Charts"),
    ("artifacts", "Artifacts"),
    ("logs", "Logs"),
    ("system", "System"),
    ("children", "Children"),
    ("lineage", "Lineage"),
)
"""The pages of a run: the end of their paths, and what they are called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A metric of a run.

    Attributes:
        key: Its name.
        value: Its last value.
        step: The step of that.
        low: The least value and its step; ``None``: there is no finite one.
        high: The greatest; the same.
        line: Its course, drawn small.
        gap: By how much it differs from the run before.
        better: Whether that is ``good`` or ``bad``; empty: nobody knows.
    """

    key: str
    value: float
    step: int
    low: tuple[float, int] | None
    high: tuple[float, int] | None
    line: str
    gap: str = ""
    better: str = ""


def show(asked: Asked) -> Response:
    """Return the overview."""
    run = asked.stores.runs.get_run(asked.path["run_id"])
    values = head(asked, run, "")
    other = run_before.before(asked, run)
    params = run_before.params(run, other)
    metrics = _metrics(asked, run, other)
    primary = values["experiment"].tags.get(PRIMARY)
    return page(
        asked,
        "run.html",
        **values,
        metrics=metrics,
        primary=next((each for each in metrics if each.key == primary), None),
        other=other,
        changed=[param for param in params if param.changed],
        same=[param for param in params if not param.changed],
        tags=sorted(tags_of(run).items()),
        provenance=_provenance(run),
        diff=run_story.diff_of(asked, run),
        commands=run_story.commands(run),
        failure=run_story.failure(asked, run),
        models=_models(asked, run),
        note=run.data.tags.get(NOTE, ""),
    )


def head(asked: Asked, run: Run, tab: str) -> Mapping[str, Any]:
    """Return what the top of each page of a run shows.

    Args:
        asked: The request.
        run: The run.
        tab: Which of its pages it is.
    """
    runs = asked.stores.runs
    experiment = runs.get_experiment(run.info.experiment_id)
    parent = None
    if run.info.parent_run_id:
        try:
            parent = runs.get_run(run.info.parent_run_id)
        except NotFound:  # it was removed for good
            parent = None
    now = times.now()
    listed = runs.list_artifacts(run.info.run_id, limit=_COUNTED + 1).items
    files = [each for each in listed if whole_of(each.path) is None]  # what still grows is among the logs
    return {
        "run": run,
        "experiment": experiment,
        "parent": parent,
        "tab": tab,
        "tabs": [(end, label, *_counted(asked, run, end, listed)) for end, label in TABS],
        "files": files[:_FILES],
        "more_files": max(0, len(files) - _FILES),
        "state": state_of(run),
        "took": duration_of(run, now),
        "why": run_story.reasons(asked, run, parent),
        "at": now,
    }


def _counted(asked: Asked, run: Run, tab: str, files: Sequence[ArtifactEntry]) -> tuple[str, bool]:
    """Return how much there is on a page of a run, as it is written, and whether that is nothing."""
    counts = {
        "charts": sum(not key.startswith(SYSTEM) for key in run.data.metrics),
        "system": sum(key.startswith(SYSTEM) for key in run.data.metrics),
        "artifacts": sum(whole_of(each.path) is None for each in files),
        "logs": len({whole_of(each.path) or each.path for each in files if each.path.startswith(f"{LOGS}/")}),
    }
    if tab == "children":
        parts = SearchQuery(filter=f"parent_run_id = {quoted(run.info.run_id)}")
        counts["children"] = asked.stores.runs.count_runs(parts)
    if tab not in counts:
        return "", False
    count = counts[tab]
    return f"{numbers.integer(_COUNTED)}+" if tab == "artifacts" and count > _COUNTED else numbers.integer(
        count
    ), not count


def _metrics(asked: Asked, run: Run, other: Run | None) -> Sequence[Measured]:
    """Return a run's metrics: last, least, greatest, at which step; beside the run before; and the course, small."""
    keys = sorted(key for key in run.data.metrics if not key.startswith(SYSTEM))
    latest = run.data.latest
    moving = [key for key in keys if key in latest and latest[key].step != 0][:_SPARKS]
    query = SeriesQuery(run_ids=[run.info.run_id], keys=moving, points=_POINTS)
    courses = {series.key: series for series in asked.stores.runs.sample_series(query)} if moving else {}
    rows = []
    for key in keys:
        value = run.data.metrics[key]
        series = courses.get(key)
        gap, better = run_before.gap(key, value, other)
        low, high = _extremes(series) if series else (None, None)
        rows.append(
            Measured(
                key=key,
                value=value,
                step=latest[key].step if key in latest else 0,
                low=low,
                high=high,
                line=sparkline(series.values, label=f"course of {key}") if series else "",
                gap=gap,
                better=better,
            )
        )
    return rows


def _extremes(series: Series) -> tuple[tuple[float, int] | None, tuple[float, int] | None]:
    points = [point for point in zip(series.values, series.steps, strict=True) if math.isfinite(point[0])]
    if not points:
        return None, None
    return min(points), max(points, key=lambda point: (point[0], -point[1]))


def _models(asked: Asked, run: Run) -> Sequence[tuple[str, str, Sequence[tuple[str, int, str]]]]:
    """Return the models that a run made: name, URI, and its versions with the stage of each."""
    from toolkit.registry.locating import made_by  # noqa: PLC0415 - here alone

    registered = asked.catalog.registered
    found = registered.search_versions(SearchQuery(filter=f"run_id = {quoted(run.info.run_id)}", limit=_FILES)).items
    made = made_by(asked.catalog.logged, run.info.run_id)
    ids = {model.model_id for model in made}

    def versions(model_id: str | None) -> Sequence[tuple[str, int, str]]:
        kept = [each for each in found if (each.model_id if each.model_id in ids else None) == model_id]
        return [(each.name, each.version, str(each.stage)) for each in kept]

    listed = [(model.name, f"models:/{model.model_id}", versions(model.model_id)) for model in made]
    rest = versions(None)
    return [*listed, *([("files of this run", "", rest)] if rest else [])]


def _provenance(run: Run) -> Sequence[tuple[str, str, bool]]:
    """Return where a run comes from: what it is called, its value, and whether it is to be copied."""
    tags = run.data.tags
    workflow = tags.get("toolkit.workflow", "")
    rows = [
        ("Workflow" if workflow else "Entry point", tags.get("mlflow.project.entryPoint", ""), False),
        ("Source", tags.get("mlflow.source.name", ""), True),
        ("Version", tags.get("toolkit.source.version", ""), True),
        ("Branch", tags.get("mlflow.source.git.branch", ""), True),
        ("Commit", tags.get("mlflow.source.git.commit", ""), True),
        ("Command", tags.get("toolkit.command", ""), True),
        ("Exit code", tags.get("toolkit.exit_code", ""), False),
        ("Environment", tags.get("toolkit.environment", tags.get("mlflow.project.env", "")), True),
        ("Image", tags.get("mlflow.docker.image.uri", ""), True),
        ("Python", tags.get("toolkit.python", ""), False),
        ("Host", tags.get("toolkit.host", ""), False),
        ("Artifacts", run.info.artifact_uri, True),
        ("Left behind in", tags.get("toolkit.workspace", ""), True),
    ]
    return [row for row in rows if row[1]]


def act(asked: Asked) -> Response:
    """Change a run: its name, its note, a tag; delete or restore it."""
    runs = asked.stores.runs
    run_id, form = asked.path["run_id"], asked.form
    action = form.get("action", "")
    if action in ("delete", "restore"):
        runs.update_run(run_id, lifecycle=Lifecycle.DELETED if action == "delete" else Lifecycle.ACTIVE)
    elif action == "rename":
        runs.update_run(run_id, run_name=form.get("name", "").strip())
    elif action == "note":
        runs.log_batch(run_id, tags={NOTE: form.get("note", "") or None})
    elif action == "tag":
        runs.log_batch(run_id, tags={form.get("key", "").strip(): form.get("value", "")})
    elif action == "untag":
        runs.log_batch(run_id, tags={form.get("key", ""): None})
    else:
        raise InvalidValue(f"there is no action {action[:50]!r}: wanted rename, note, tag, untag, delete or restore")
    return redirect(back(asked, run_id), asked=asked)


def back(asked: Asked, run_id: str) -> str:
    """Return the address of the page of a run whose form was sent; of the overview where no browser says which it was.

    It is made here of what is known: nothing leads elsewhere, whatever the browser says.
    """
    place, _, query = asked.request.headers.get("referer", "").partition("?")
    for end in (*(end for end, _ in TABS[1:]), "pictures"):
        if place.endswith(asked.url("runs", run_id, end)):
            return asked.url("runs", run_id, end) + (f"?{query}" if query else "")
    return asked.url("runs", run_id)


def part_of(asked: Asked) -> Response:
    """Return the runs that are parts of a run."""
    run = asked.stores.runs.get_run(asked.path["run_id"])
    found = asked.stores.runs.list_runs(
        RunQuery(parent_run_id=run.info.run_id, limit=200, page_token=asked.query.get("after") or None)
    )
    metric = numbers.metric
    return page(asked, "run_children.html", **head(asked, run, "children"), found=found, metric=metric)


PAGES = [
    ("GET", "/runs/{run_id}", show),
    ("POST", "/runs/{run_id}", act),
    ("GET", "/runs/{run_id}/children", part_of),
]
