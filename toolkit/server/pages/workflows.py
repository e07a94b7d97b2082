"""Runs of workflows: which there were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.responses import Response

from toolkit.errors import InvalidValue
from toolkit.server.pages import times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import duration_of
from toolkit.server.pages.render import page
from toolkit.server.pages.states import FIELDS, look, state_of
from toolkit.server.pages.view import quoted
from toolkit.server.pages.workflow_declared import declared
from toolkit.server.pages.workflow_steps import STEP, WORKFLOW
from toolkit.tracking.records import Run, RunStatus, SearchQuery

_ROWS = 25
_NAMES = 200
_MOST_STEPS = 5_000


def every(asked: Asked) -> Response:
    """Return the list of workflows' runs, or its rows."""
    name, status = asked.query.get("name", ""), asked.query.get("status", "").upper()
    terms = [f"tags.`{WORKFLOW}` IS NOT NULL"]
    if name:
        terms.append(f"tags.`{WORKFLOW}` = {quoted(name[:500])}")
    if status:
        if status not in tuple(RunStatus):
            raise InvalidValue(f"there is no status {status[:50]!r}: wanted {', '.join(RunStatus)}")
        terms.append(f"status = '{status}'")
    runs = asked.stores.runs
    fields = [f"tags.{WORKFLOW}", "tags.toolkit.resumed_from", *FIELDS]
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
        filter=query.filter,
        declared=() if asked.is_part or status or asked.query.get("after") else declared(asked, name),
        steps=_steps_of(asked, found.items),
        names=sorted({name, *(each.data.tags[WORKFLOW] for each in known)} - {""}),
        name=name,
        wanted=status,
        statuses=list(RunStatus),
        experiments={each: runs.get_experiment(each).name for each in experiments},
        took=lambda run: duration_of(run, times.now()),
        look=look,
        is_live=any(run.info.status is RunStatus.RUNNING for run in found.items),
    )


def _steps_of(asked: Asked, runs: Sequence[Run]) -> Mapping[str, Sequence[tuple[str, str]]]:
    """Return the runs of the steps of each workflow's run, with their states, by its id; the last try of each."""
    found: dict[str, dict[str, str]] = {run.info.run_id: {} for run in runs}
    if not runs:
        return {}
    ids = ", ".join(map(quoted, found))
    query = SearchQuery(
        filter=f"tags.`{STEP}` IS NOT NULL AND parent_run_id IN ({ids})",
        order_by=["start_time ASC"],
        limit=_MOST_STEPS,
        fields=[f"tags.{STEP}", *FIELDS],
    )
    for step in asked.stores.runs.search_runs(query).items:
        found[str(step.info.parent_run_id)][step.info.run_name] = state_of(step)
    return {run_id: list(states.items()) for run_id, states in found.items()}


PAGES = [("GET", "/workflows", every)]
