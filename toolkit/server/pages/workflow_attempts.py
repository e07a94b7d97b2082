"""The attempts at the same work: a workflow's run, those that it went on from, and those that went on from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toolkit.errors import NotFound
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.states import FIELDS
from toolkit.server.pages.view import quoted
from toolkit.server.pages.workflow_steps import WORKFLOW
from toolkit.tracking.records import Run, SearchQuery

RESUMED_FROM, FLOW_RUN = "toolkit.resumed_from", "prefect.flow_run_id"
_MOST = 1_000
_SHOWN = 10
_ID = 32


def attempts(asked: Asked, run: Run) -> Sequence[tuple[int, Run]]:
    """Return the runs of the same work with their numbers, the first one first; none where there is only this one.

    Of very many the first and the last are returned, and the one that is asked for.

    Args:
        asked: The request.
        run: One of them.
    """
    found = {each.info.run_id: each for each in _connected(asked, run)}
    numbered = list(enumerate(sorted(found.values(), key=lambda each: each.info.start_time), 1))
    if len(numbered) < 2:
        return ()
    return [
        (number, each)
        for number, each in numbered
        if number == 1 or number > len(numbered) - _SHOWN or each.info.run_id == run.info.run_id
    ]


def _connected(asked: Asked, run: Run) -> Iterator[Run]:
    yield run
    known = {each.info.run_id: each for each in _candidates(asked, run)}
    near: dict[str, set[str]] = {}
    for each in [run, *known.values()]:
        if before := each.data.tags.get(RESUMED_FROM):
            near.setdefault(before, set()).add(each.info.run_id)
            near.setdefault(each.info.run_id, set()).add(before)
        if flow := each.data.tags.get(FLOW_RUN):
            near.setdefault(flow, set()).add(each.info.run_id)
            near.setdefault(each.info.run_id, set()).add(flow)
    seen, waiting = {run.info.run_id}, [run.info.run_id]
    while waiting:
        for name in sorted(near.get(waiting.pop(), ())):
            if name in seen:
                continue
            seen.add(name)
            waiting.append(name)
            if (other := known.get(name) or _first(asked, name)) is not None:
                yield other


def _first(asked: Asked, name: str) -> Run | None:
    """Return the run that others went on from, which did not itself go on from one."""
    try:
        return asked.stores.runs.get_run(name) if len(name) == _ID else None
    except NotFound:  # it was removed for good
        return None


def _candidates(asked: Asked, run: Run) -> Sequence[Run]:
    """Return the runs of the workflow that went on from others, and those of the same flow run of Prefect."""
    fields = [f"tags.{RESUMED_FROM}", f"tags.{FLOW_RUN}", *FIELDS]
    name, flow = run.data.tags.get(WORKFLOW, ""), run.data.tags.get(FLOW_RUN, "")
    terms = [f"tags.`{WORKFLOW}` = {quoted(name[:500])} AND tags.`{RESUMED_FROM}` IS NOT NULL"] if name else []
    if flow:
        terms.append(f"tags.`{FLOW_RUN}` = {quoted(flow[:500])} AND tags.`{WORKFLOW}` IS NOT NULL")
    found: list[Run] = []
    for term in terms:
        found += asked.stores.runs.search_runs(SearchQuery(filter=term, limit=_MOST, fields=fields)).items
    return found
