"""A workflow's run: its steps as a graph, over time and as a table, while they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from toolkit.errors import InvalidValue, NotFound
from toolkit.flows.resume import REQUEST
from toolkit.server.pages import times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import cut, duration_of
from toolkit.server.pages.render import page
from toolkit.server.pages.states import look, state_of
from toolkit.server.pages.view import quoted
from toolkit.server.pages.workflow_attempts import attempts
from toolkit.server.pages.workflow_faces import brief, by_urgency, declared_of, face, length, metric_of, part_of
from toolkit.server.pages.workflow_folding import fold
from toolkit.server.pages.workflow_graph import HEIGHT, WIDTH, draw
from toolkit.server.pages.workflow_panel import attempt_of, panel
from toolkit.server.pages.workflow_prefect import prefect_note, prefect_url
from toolkit.server.pages.workflow_steps import WORKFLOW, Step, WorkflowRun, read_workflow
from toolkit.server.pages.workflow_timeline import timeline, window_of
from toolkit.spec.selection import Choosable, choose
from toolkit.tracking.records import Run, RunStatus, SearchQuery

VIEWS = ("graph", "timeline", "table")
ZOOMS = ("1", "2", "4", "8")
MOST_DRAWN = 200
"""Steps that are drawn unless more are asked for."""
NEVER_DRAWN = 1_000
"""Steps that are drawn where that is asked for."""
MOST_LINES = 10_000
"""Lines between steps that are drawn."""
_FEW_ITEMS = 20
_MOST_ROWS = 1_000


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which steps are shown.

    Attributes:
        text: What was asked for.
        found: The workflow's run with these steps.
        fault: What is wrong with the text; empty where nothing is.
    """

    text: str
    found: WorkflowRun
    fault: str = ""


def show(asked: Asked) -> Response:
    """Return the page of a workflow's run."""
    run = asked.stores.runs.get_run(asked.path["run_id"])
    found = read_workflow(asked, run)
    chosen = _chosen(asked, found)
    attempt = attempt_of(asked, chosen)
    now = times.now()
    return page(
        asked,
        "workflow.html",
        run=run,
        **steps_shown(asked, found, ("workflows", run.info.run_id), VIEWS),
        chosen=chosen,
        attempt=attempt,
        state=state_of(run),
        took=duration_of(run, now),
        experiment=asked.stores.runs.get_experiment(run.info.experiment_id),
        siblings=_siblings(asked, run),
        attempts=attempts(asked, run),
        prefect=prefect_url(run),
        prefect_note=prefect_note(asked, run),
        can_resume=run.info.status in (RunStatus.FAILED, RunStatus.KILLED) and REQUEST in run.data.tags,
        times=_times(asked, found, chosen, attempt, now) if asked.query.get("view") == "timeline" else None,
        zoom=_one_of(asked, "zoom", ZOOMS) or "1",
        zooms=ZOOMS,
        by_urgency=by_urgency,
        part_of=part_of,
        brief=brief,
        few=_FEW_ITEMS,
        panel=panel(asked, found, chosen, attempt) if chosen else None,
    )


def steps_shown(asked: Asked, whole: WorkflowRun, place: Sequence[str], views: Sequence[str]) -> Mapping[str, Any]:
    """Return what the views of a workflow's steps take, whether it has run or not.

    Args:
        asked: The request.
        whole: The workflow's run.
        place: The parts of the page's path.
        views: The views that there are.

    Raises:
        InvalidValue: There is no such view.
    """
    now = times.now()
    view = _one_of(asked, "view", views)
    choice = _choice(asked, whole)
    found = choice.found
    wants_all = asked.query.get("all") == "1"
    may_draw = len(found.steps) <= NEVER_DRAWN and len(found.links) <= MOST_LINES
    folded = None if len(found.steps) <= MOST_DRAWN or (may_draw and wants_all) else fold(found, most=MOST_DRAWN)
    nodes = folded.nodes if folded else found.steps
    lines = folded.links if folded else found.links
    is_drawn = (view or "graph") == "graph" and bool(nodes) and len(lines) <= MOST_LINES
    kept = {name: asked.query.get(name) for name in ("view", "select", "all", "zoom", "attempt", "step")}

    def at(**changes: object) -> str:
        return asked.url(*place, **{**kept, **changes})

    return {
        "whole": whole,
        "found": found,
        "choice": choice,
        "view": view,
        "views": views,
        "at": at,
        "pick": lambda step: at(step=step, attempt=None),
        "folded": folded,
        "may_draw": may_draw,
        "most_drawn": NEVER_DRAWN,
        "most_lines": MOST_LINES,
        "drawing": draw([each.name for each in nodes], lines) if is_drawn else None,
        "by_name": {step.name: step for step in nodes},
        "faces": {step.name: face(step, now) for step in nodes},
        "rows": _rows(found),
        "box": (WIDTH, HEIGHT),
        "look": look,
        "needs": found.before,
        "length": lambda step: length(step, now),
        "duration_of": lambda each: duration_of(each, now),
        "metric_of": metric_of,
        "declared_of": declared_of,
        "cut": cut,
    }


def _one_of(asked: Asked, name: str, wanted: Sequence[str]) -> str:
    text = asked.query.get(name, "")
    if text not in ("", *wanted):
        raise InvalidValue(f"there is no {name} {text[:50]!r}: wanted {', '.join(wanted)}")
    return text


def _chosen(asked: Asked, found: WorkflowRun) -> Step | None:
    name = asked.query.get("step", "")
    chosen = found.step(name)
    if name and chosen is None:
        raise NotFound(f"run {found.run.info.run_id} has no step {name[:100]!r}")
    return chosen


def _choice(asked: Asked, whole: WorkflowRun) -> Choice:
    """Return the steps that are asked for; all of them, and why, where that cannot be read."""
    text = asked.query.get("select", "")
    states = {step.name: {step.state.lower(), *(item.state.lower() for item in step.items)} for step in whole.steps}
    steps = Choosable(
        names=[step.name for step in whole.steps],
        links=[(link.source, link.target) for link in whole.links],
        states=states if whole.has_run else None,
    )
    try:
        names = choose(text, steps)
    except InvalidValue as error:
        return Choice(text=text, found=whole, fault=str(error))
    return Choice(text=text, found=whole if len(names) == len(whole.steps) else whole.only(names))


def _rows(found: WorkflowRun) -> Sequence[Step]:
    """Return the steps of the table; of very many those that somebody should look at."""
    if len(found.steps) <= _MOST_ROWS:
        return found.steps
    return sorted(found.steps, key=lambda step: step.urgency)[:_MOST_ROWS]


def _times(asked: Asked, found: WorkflowRun, chosen: Step | None, attempt: int | None, now: int) -> Any:  # noqa: ANN401 - for the template
    shown = _choice(asked, found).found
    rows = frozenset(step.name for step in _rows(shown))
    if not chosen or not attempt:
        return timeline(found, now, only=rows)
    others = [run for item in chosen.items for number, run in enumerate(item.tries, 1) if number != attempt]
    without = frozenset(run.info.run_id for run in others)
    return timeline(found, now, window=window_of(chosen.items, attempt, now), only=rows, without=without)


def _siblings(asked: Asked, run: Run) -> Mapping[str, Run | None]:
    """Return the runs of the same workflow just before and just after a run."""
    name = run.data.tags.get(WORKFLOW, "")
    if not name:
        return {"Previous": None, "Next": None}
    same = f"tags.`{WORKFLOW}` = {quoted(name)} AND run_id != '{run.info.run_id}'"
    start = run.info.start_time

    def first(term: str, order: str) -> Run | None:
        query = SearchQuery(filter=f"{same} AND {term}", order_by=[f"start_time {order}"], limit=1, fields=[])
        return next(iter(asked.stores.runs.search_runs(query).items), None)

    return {"Previous": first(f"start_time < {start}", "DESC"), "Next": first(f"start_time > {start}", "ASC")}


PAGES = [("GET", "/workflows/{run_id}", show)]
