"""Runs that a filter finds, each step below the run that it is a part of, whatever the filter, the order and the page.

A run is shown where it fits, or where one of its steps does. The page goes over such runs alone, so no step is parted
from its run by the end of a page, and a run comes once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from toolkit.server.pages.view import PAGE, RunsView, quoted
from toolkit.tracking.records import Page, Run, SearchQuery
from toolkit.tracking.store import RunStore

MOST = 1_000
"""Steps that fit, at most: of more, all runs are shown one after the other."""
BELOW = 20
"""Steps that are shown below a run."""
_DEEPEST = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Families:
    """A page of runs with their steps.

    Attributes:
        runs: The runs, and how it goes on.
        steps: Of each run that has some, those that fit.
        left: How many more fit than are shown, of runs where some are left out.
        beside: The runs that do not fit themselves.
        flat: Whether so many steps fit that all runs are shown one after the other.
    """

    runs: Page[Run]
    steps: Mapping[str, Sequence[Run]] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    flat: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A row of a table.

    Attributes:
        run: Whose it is.
        level: How deep it stands: 0 of a run, 1 of a step.
        beside: Whether the run does not fit, but stands there for its steps.
        is_open: Whether steps of the run follow.
    """

    run: Run
    level: int = 0
    beside: bool = False
    is_open: bool = False


def search(store: RunStore, view: RunsView, fields: Sequence[str] | None = None, *, limit: int = PAGE) -> Families:
    """Return a page of a view's runs.

    Args:
        store: Where the runs are.
        view: The view.
        fields: Which values are loaded.
        limit: How many runs at most, not counting steps below them.

    Raises:
        InvalidValue: The view's filter, order or place cannot be read.
    """
    if not (view.filter and view.parents):
        return Families(runs=store.search_runs(view.search(limit=limit, fields=fields)))
    whole = replace(view, after=None, sort=())
    parts = store.search_runs(_within(whole, f"({view.filter}) AND parent_run_id IS NOT NULL", limit=MOST, fields=[]))
    if parts.next_page_token:
        return Families(runs=store.search_runs(view.search(limit=limit, fields=fields)), flat=True)
    root_of = _roots(store, whole, parts.items)
    shown = f"(parent_run_id IS NULL AND ({view.filter}))"
    if root_of:
        shown = f"{shown} OR {_any_of(list(dict.fromkeys(root_of.values())))}"
    query = replace(view.search(limit=limit, fields=fields), filter=shown)
    page = store.search_runs(query)
    return _filled(store, view, page, root_of, fields)


def _filled(
    store: RunStore, view: RunsView, page: Page[Run], root_of: Mapping[str, str], fields: Sequence[str] | None
) -> Families:
    """Return a page with the steps of its runs, in the order of the view."""
    ids = {run.info.run_id for run in page.items} & set(root_of.values())
    if not ids:
        return Families(runs=page)
    below = [step for step, root in root_of.items() if root in ids and step != root]
    fits = store.search_runs(
        _within(replace(view, after=None), f"({view.filter}) AND {_any_of(sorted(ids))}", fields=[])
    )
    fitting = {run.info.run_id for run in fits.items}
    steps: dict[str, list[Run]] = {}
    if below:
        query = replace(view.search(limit=MOST, fields=fields), filter=_any_of(below), page_token=None)
        for run in store.search_runs(query).items:
            steps.setdefault(root_of[run.info.run_id], []).append(run)
    return Families(
        runs=page,
        steps={root: found[:BELOW] for root, found in steps.items()},
        left={root: len(found) - BELOW for root, found in steps.items() if len(found) > BELOW},
        beside=frozenset(ids - fitting),
    )


def _roots(store: RunStore, view: RunsView, parts: Sequence[Run]) -> Mapping[str, str]:
    """Return of each step the run at the top that it belongs to; the step itself, where its run is not there."""
    parent_of: dict[str, str | None] = {run.info.run_id: run.info.parent_run_id for run in parts}
    for _ in range(_DEEPEST):
        unknown = {parent for parent in parent_of.values() if parent and parent not in parent_of}
        if not unknown:
            break
        found = store.search_runs(_within(view, _any_of(sorted(unknown)), limit=len(unknown), fields=[]))
        known = {run.info.run_id: run.info.parent_run_id for run in found.items}
        parent_of |= dict.fromkeys(unknown) | known
        for missing in unknown - set(known):
            for child in [child for child, parent in parent_of.items() if parent == missing]:
                parent_of[child] = None
    return {run.info.run_id: _top(run.info.run_id, parent_of) for run in parts}


def _top(run_id: str, parent_of: Mapping[str, str | None]) -> str:
    for _ in range(_DEEPEST):
        parent = parent_of.get(run_id)
        if parent is None:
            break
        run_id = parent
    return run_id


def _within(view: RunsView, filter_: str, *, limit: int = MOST, fields: Sequence[str] | None = None) -> SearchQuery:
    return replace(view.search(limit=limit, fields=fields), filter=filter_)


def _any_of(ids: Sequence[str]) -> str:
    return f"run_id IN ({', '.join(map(quoted, ids))})"
