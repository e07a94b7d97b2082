"""Runs of workflows: which there were, and of each its steps as a graph, over time and as a table, while they run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from markupsafe import Markup
from starlette.responses import Response

from toolkit.errors import InvalidValue, NotFound, ToolkitError
from toolkit.server.pages import numbers, times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import cut, duration_of
from toolkit.server.pages.render import page
from toolkit.server.pages.run import state_of as state_of_run
from toolkit.server.pages.states import look
from toolkit.server.pages.workflow_graph import HEIGHT, WIDTH, draw
from toolkit.server.pages.workflow_steps import (
    CACHED_FROM,
    PRUNED,
    STEP,
    SYSTEM,
    TRIAL,
    WORKFLOW,
    Item,
    Step,
    WorkflowRun,
    read_workflow,
    state_of,
)
from toolkit.server.pages.workflow_timeline import timeline
from toolkit.tracking.records import Run, RunStatus, SearchQuery

VIEWS = ("graph", "timeline", "table")
_ROWS = 25
_NAMES = 200
_MOST_STEPS = 5_000
_MOST_DRAWN = 200
_NEVER_DRAWN = 1_000
_MOST_ITEMS = 200
_FEW_ITEMS = 20
_LINES = 20
_TITLE, _LINE = 20, 25  # characters for which a step's box has room


# -- all -------------------------------------------------------------------------------------------


def every(asked: Asked) -> Response:
    """Return the list of workflows' runs, or its rows."""
    name, status = asked.query.get("name", ""), asked.query.get("status", "").upper()
    terms = [f"tags.`{WORKFLOW}` IS NOT NULL"]
    if name:
        quoted = name[:500].replace("'", "''")
        terms.append(f"tags.`{WORKFLOW}` = '{quoted}'")
    if status:
        if status not in tuple(RunStatus):
            raise InvalidValue(f"there is no status {status[:50]!r}: wanted {', '.join(RunStatus)}")
        terms.append(f"status = '{status}'")
    runs = asked.stores.runs
    fields = [f"tags.{WORKFLOW}", "tags.toolkit.resumed_from"]
    query = SearchQuery(
        filter=" AND ".join(terms), limit=_ROWS, fields=fields, page_token=asked.query.get("after") or None
    )
    found = runs.search_runs(query)
    newest = SearchQuery(filter=terms[0], limit=_NAMES, fields=[f"tags.{WORKFLOW}"])
    known = found.items if not name and not status and len(found.items) < _ROWS else runs.search_runs(newest).items
    experiments = {each.info.experiment_id for each in found.items}
    return page(
        asked,
        "workflows_rows.html" if asked.is_part else "workflows.html",
        found=found,
        steps=_steps_of(asked, found.items),
        names=sorted({name, *(each.data.tags[WORKFLOW] for each in known)} - {""}),
        name=name,
        wanted=status,
        statuses=list(RunStatus),
        experiments={each: runs.get_experiment(each).name for each in experiments},
        state_of=state_of_run,
        took=lambda run: duration_of(run, times.now()),
        look=look,
        is_live=any(run.info.status is RunStatus.RUNNING for run in found.items),
    )


def _steps_of(asked: Asked, runs: Sequence[Run]) -> Mapping[str, Sequence[tuple[str, str]]]:
    """Return the runs of the steps of each workflow's run, with their states, by its id; the last try of each."""
    found: dict[str, dict[str, str]] = {run.info.run_id: {} for run in runs}
    if not runs:
        return {}
    ids = ", ".join(f"'{run_id}'" for run_id in found)
    query = SearchQuery(
        filter=f"tags.`{STEP}` IS NOT NULL AND parent_run_id IN ({ids})",
        order_by=["start_time ASC"],
        limit=_MOST_STEPS,
        fields=[f"tags.{STEP}", f"tags.{CACHED_FROM}", f"tags.{PRUNED}"],
    )
    for step in asked.stores.runs.search_runs(query).items:
        found[str(step.info.parent_run_id)][step.info.run_name] = state_of(step)
    return {run_id: list(states.items()) for run_id, states in found.items()}


# -- one -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Face:
    """What the box of a step says.

    Attributes:
        title: Its name, so short that it fits.
        line: How long it took and one metric; or why it did not run.
        badges: What else is to be known at a glance: cached, tried again, of how many.
        shares: Of a step that stands for many runs the share of each state, in percent: where it begins, how wide it
            is, and its tone.
        said: All of it, for who does not see it.
    """

    title: str
    line: str
    badges: Sequence[str]
    shares: Sequence[tuple[float, float, str]]
    said: str


def show(asked: Asked) -> Response:
    """Return the page of a workflow's run."""
    run = asked.stores.runs.get_run(asked.path["run_id"])
    found = read_workflow(asked, run)
    view = asked.query.get("view", "")
    if view not in ("", *VIEWS):
        raise InvalidValue(f"there is no view {view[:50]!r}: wanted {', '.join(VIEWS)}")
    name = asked.query.get("step", "")
    chosen = found.step(name)
    if name and chosen is None:
        raise NotFound(f"run {run.info.run_id} has no step {name[:100]!r}")
    now = times.now()
    may_draw = len(found.steps) <= _NEVER_DRAWN
    is_large = len(found.steps) > _MOST_DRAWN and not (may_draw and asked.query.get("all") == "1")
    shown = view or "graph"
    return page(
        asked,
        "workflow.html",
        run=run,
        found=found,
        view=view,
        views=VIEWS,
        chosen=chosen,
        state=state_of_run(run),
        took=duration_of(run, now),
        experiment=asked.stores.runs.get_experiment(run.info.experiment_id),
        siblings=_siblings(asked, run),
        prefect=prefect_url(run),
        is_large=is_large,
        may_draw=may_draw,
        drawing=draw([step.name for step in found.steps], found.links) if shown == "graph" and not is_large else None,
        times=timeline(found, now) if view == "timeline" else None,
        by_name={step.name: step for step in found.steps},
        faces={step.name: face(step, now) for step in found.steps},
        box=(WIDTH, HEIGHT),
        look=look,
        pick=lambda step: asked.url("workflows", run.info.run_id, view=view, step=step, all=asked.query.get("all")),
        duration_of=lambda each: duration_of(each, now),
        length=lambda step: length(step, now),
        needs={step.name: [link for link in found.links if link.target == step.name] for step in found.steps},
        few=_FEW_ITEMS,
        by_urgency=by_urgency,
        part_of=part_of,
        brief=brief,
        metric_of=metric_of,
        cut=cut,
        panel=panel(asked, found, chosen) if chosen else None,
    )


def _siblings(asked: Asked, run: Run) -> Mapping[str, Run | None]:
    """Return the runs of the same workflow just before and just after a run."""
    name = run.data.tags.get(WORKFLOW, "")
    if not name:
        return {"Previous": None, "Next": None}
    quoted = name.replace("'", "''")
    same = f"tags.`{WORKFLOW}` = '{quoted}' AND run_id != '{run.info.run_id}'"
    start = run.info.start_time

    def first(term: str, order: str) -> Run | None:
        query = SearchQuery(filter=f"{same} AND {term}", order_by=[f"start_time {order}"], limit=1, fields=[])
        return next(iter(asked.stores.runs.search_runs(query).items), None)

    return {"Previous": first(f"start_time < {start}", "DESC"), "Next": first(f"start_time > {start}", "ASC")}


def length(step: Step, now: int) -> int | None:
    """Return how long a step took, from its first run's beginning to its last one's end."""
    end = step.end(now)
    return None if step.start is None or end is None else max(0, end - step.start)


def face(step: Step, now: int) -> Face:
    """Return what the box of a step says."""
    took = length(step, now)
    word = look(step.state).word
    facts = [word.lower()] if step.state == "CACHED" else [times.duration(took)] if took is not None else []
    if told := metric_of(step):
        facts.append(told)
    badges: list[str] = []
    if step.is_many and step.items:
        badges.append(f"×{len(step.items)}")
    if step.tries > 1:
        badges.append(f"try {step.tries}")
    counts = ", ".join(f"{number} {look(state).word.lower()}" for state, number in step.counts)
    line = " · ".join(facts) if facts else step.reason or word
    if len(line) > _LINE and told:
        line = told
    said = [step.name, word, *([f"{len(step.items)} runs: {counts}"] if step.is_many and step.items else []), *facts]
    if step.tries > 1:
        said.append(f"tried {step.tries} times")
    if step.reason:
        said.append(step.reason)
    return Face(
        title=_short(step.name, _TITLE - sum(len(badge) + 1 for badge in badges)),
        line=_short(line, _LINE),
        badges=badges,
        shares=_shares(step) if step.is_many else (),
        said=", ".join(said),
    )


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _shares(step: Step) -> Sequence[tuple[float, float, str]]:
    total = len(step.items) or 1
    at, found = 0.0, []
    for state, number in step.counts:
        found.append((at, number / total * 100, look(state).tone))
        at += number / total * 100
    return found


def metric_of(step: Step | Item) -> str:
    """Return one metric as text: of several runs from the least to the greatest, of a search the best."""
    items = [step] if isinstance(step, Item) else step.items
    if isinstance(step, Step) and step.best and step.shown is not None:
        items = [step.shown]
    keys = list(dict.fromkeys(key for item in items for key in item.metrics))
    if not keys:
        return ""
    values = [item.metrics[keys[0]] for item in items if keys[0] in item.metrics]
    finite = [value for value in values if math.isfinite(value)] or values
    digits = numbers.digits_of(finite)
    low, high = numbers.metric(min(finite), digits), numbers.metric(max(finite), digits)
    return f"{keys[0].rpartition('/')[2]} {low}" + (f" – {high}" if low != high else "")


def by_urgency(step: Step) -> Sequence[Item]:
    """Return the runs of a step: the best, then those that somebody should look at, else in their order."""
    order = {state: number for number, (state, _) in enumerate(step.counts)}
    trials = {item.run.info.run_id: item.run.data.tags.get(TRIAL, "") for item in step.items}

    def place(item: Item) -> tuple[bool, int, int]:
        number = trials[item.run.info.run_id]
        return item.run.info.run_id != step.best, order[item.state], int(number) if number.isdigit() else 0

    return sorted(step.items, key=place)


def brief(value: str) -> str:
    """Return a parameter's value in so few characters that a column has room: a number in four digits."""
    try:
        return numbers.metric(float(value)) if len(value) > _TITLE // 2 else value
    except ValueError:
        return cut(value, 40)


def part_of(step: Step, item: Item) -> str:
    """Return what tells a run from the others of its step: of a trial its number alone, as its values stand beside."""
    text = item.run.info.run_name.removeprefix(step.name).strip() or item.run.info.run_name
    number = item.run.data.tags.get(TRIAL)
    return f"trial {number}" if number else text


def varied(step: Step) -> Sequence[str]:
    """Return the parameters in which the runs of a step differ, those that the project varies first."""
    declared = [*step.plan.foreach, *step.plan.searches] if step.plan else []
    values: dict[str, set[str]] = {}
    for item in step.items:
        for key, value in item.run.data.params.items():
            values.setdefault(key, set()).add(value)
    differ = sorted(key for key, found in values.items() if len(found) > 1)
    return list(dict.fromkeys([*(key for key in declared if key in values), *differ]))[:4]


# -- one step --------------------------------------------------------------------------------------


def panel(asked: Asked, found: WorkflowRun, step: Step) -> Mapping[str, Any]:
    """Return what is told of a step that was chosen.

    Args:
        asked: The request.
        found: The workflow's run.
        step: The step.
    """
    item = step.shown
    metrics: dict[str, None] = {}
    for each in step.items:
        metrics |= dict.fromkeys(each.metrics)
    return {
        "item": item,
        "items": by_urgency(step)[:_MOST_ITEMS],
        "left_out": max(0, len(step.items) - _MOST_ITEMS),
        "varied": () if step.plan and step.plan.foreach else varied(step),
        "metrics": list(metrics)[:3] if step.is_many else list(metrics),
        "lines": _last_lines(asked, item.run) if item else (),
        "before": [link for link in found.links if link.target == step.name],
        "after": [link for link in found.links if link.source == step.name],
        "task": task_url(found.run, item.run) if item else "",
        "params": sorted(item.run.data.params.items()) if item else (),
        "system": {key: value for key, value in item.run.data.metrics.items() if key.startswith(SYSTEM)}
        if item
        else {},
    }


def _last_lines(asked: Asked, run: Run) -> Sequence[tuple[int, Markup]]:
    """Return the last lines that a run wrote."""
    from toolkit.server.artifacts.files import Files  # noqa: PLC0415 - here alone
    from toolkit.server.pages.logs import last_lines  # noqa: PLC0415 - the same

    files = Files(asked.stores, asked.catalog)
    try:
        with files.open(files.of_run(run.info.run_id, "logs/output.log")).stream as stream:
            return last_lines(stream, most=_LINES)[0]
    except ToolkitError:  # it has none yet, or it is elsewhere
        return ()


def prefect_url(run: Run) -> str:
    """Return the address of a run's flow run in Prefect's pages; empty where it is not known."""
    place = run.data.tags.get("prefect.flow_run_url", "")
    try:
        return place if urlsplit(place).scheme in ("http", "https") else ""
    except ValueError:
        return ""


def task_url(whole: Run, run: Run) -> str:
    """Return the address of a step's task run in Prefect's pages; empty where it is not known."""
    base, found, _ = prefect_url(whole).partition("/runs/flow-run/")
    task = run.data.tags.get("prefect.task_run_id", "")
    return f"{base}/runs/task-run/{quote(task, safe='')}" if found and task else ""


PAGES = [("GET", "/workflows", every), ("GET", "/workflows/{run_id}", show)]
