"""A run: what it is, why it is so, what it was given, what it measured and made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from toolkit.errors import InvalidValue, NotFound
from toolkit.server.pages import numbers, times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import duration_of
from toolkit.server.pages.render import page, redirect
from toolkit.server.pages.sparkline import sparkline
from toolkit.tracking.records import Lifecycle, Metric, Run, RunQuery

NOTE = "mlflow.note.content"
_SPARKS = 40
_HIDDEN = ("mlflow.note.content",)
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


def show(asked: Asked) -> Response:
    """Return the overview."""
    run = asked.stores.runs.get_run(asked.path["run_id"])
    metrics = [key for key in run.data.metrics if not key.startswith("system/")]
    return page(
        asked,
        "run.html",
        **head(asked, run, ""),
        metrics=_metrics(asked, run, metrics),
        params=sorted(run.data.params.items()),
        tags=sorted((k, v) for k, v in run.data.tags.items() if not k.startswith(("mlflow.", "toolkit."))),
        provenance=_provenance(run),
        files=asked.stores.runs.list_artifacts(run.info.run_id, limit=50).items,
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
    return {
        "run": run,
        "experiment": experiment,
        "parent": parent,
        "tab": tab,
        "tabs": TABS,
        "state": state_of(run),
        "took": duration_of(run, now),
        "why": why(asked, run),
        "at": now,
    }


def state_of(run: Run) -> str:
    """Return a run's state as people see it: one that was lost or taken from the cache says so."""
    if run.data.tags.get("toolkit.cached_from"):
        return "CACHED"
    return str(run.info.status)


def why(asked: Asked, run: Run) -> Sequence[tuple[str, str | None]]:
    """Return why a run is as it is, each with the address of the page that says more."""
    tags = run.data.tags
    found: list[tuple[str, str | None]] = []
    if source := tags.get("toolkit.cached_from"):
        found.append((f"taken from the cache: the same as run {source[:8]}", asked.url("runs", source)))
    if source := tags.get("toolkit.resumed_from"):
        found.append((f"resumed from run {source[:8]}", asked.url("runs", source)))
    if source := tags.get("toolkit.reproduced_from"):
        found.append((f"reproduces run {source[:8]}", asked.url("runs", source)))
    if (attempt := tags.get("toolkit.attempt")) and attempt != "1":
        found.append((f"attempt {attempt}", None))
    if step := tags.get("toolkit.step"):
        found.append((f"step {step}", None))
    return found


def _metrics(asked: Asked, run: Run, keys: Sequence[str]) -> Sequence[Mapping[str, object]]:
    """Return the rows of the table of metrics: last, least, greatest, at which step; and the course, small."""
    rows = []
    for place, key in enumerate(sorted(keys)):
        latest = run.data.latest.get(key)
        points: Sequence[Metric] = ()
        if place < _SPARKS and latest is not None and latest.step != 0:
            points = asked.stores.runs.sample_history(run.info.run_id, key, points=200)
        finite = [point for point in points if abs(point.value) != float("inf") and point.value == point.value]
        low = min(finite, key=lambda point: point.value, default=None)
        high = max(finite, key=lambda point: point.value, default=None)
        rows.append(
            {
                "key": key,
                "value": run.data.metrics[key],
                "step": latest.step if latest else 0,
                "low": low,
                "high": high,
                "line": sparkline([point.value for point in points], label=f"course of {key}"),
            }
        )
    return rows


def _provenance(run: Run) -> Sequence[tuple[str, str, bool]]:
    """Return where a run comes from: what it is called, its value, and whether it is to be copied."""
    tags = run.data.tags
    rows = [
        ("Entry point", tags.get("mlflow.project.entryPoint", ""), False),
        ("Source", tags.get("mlflow.source.name", ""), True),
        ("Commit", tags.get("mlflow.source.git.commit", ""), True),
        ("Command", tags.get("toolkit.command", ""), True),
        ("Environment", tags.get("toolkit.environment", tags.get("mlflow.project.env", "")), True),
        ("Host", tags.get("toolkit.host", ""), False),
        ("Artifacts", run.info.artifact_uri, True),
        ("Reason", run.info.reason or "", False),
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
    return redirect(asked.url("runs", run_id), asked=asked)


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
