"""Groups of an experiment's runs: those with the same value of a parameter or a tag, and what they measure together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from toolkit.server.pages import numbers
from toolkit.server.pages.columns import Column, loaded
from toolkit.server.pages.view import RunsView
from toolkit.tracking.records import Run
from toolkit.tracking.store import RunStore

COUNTED = 10_000
"""Runs that groups are made of, at most: the first ones in the order of the view."""
SHOWN = 200
"""Groups that a page shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """What the runs of a group measure.

    Attributes:
        count: How many of them have a number.
        mean: Of these, as it is shown.
        low: The least.
        high: The greatest.
    """

    count: int
    mean: str
    low: str
    high: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Runs with one value.

    Attributes:
        value: The value; ``None`` of the runs that have none.
        count: How many they are.
        spreads: Of each metric that is shown, in their order; ``None`` where no run has a number.
    """

    value: str | None
    count: int
    spreads: Sequence[Spread | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """The groups of a view.

    Attributes:
        metrics: What they are summed up by.
        items: The groups, those with most runs first.
        runs: How many runs they are made of.
        whole: Whether these are all runs of the view.
        left: How many groups are not among the items.
    """

    metrics: Sequence[Column]
    items: Sequence[Group]
    runs: int
    whole: bool
    left: int = 0


def groups_of(store: RunStore, view: RunsView, columns: Sequence[Column]) -> Groups:
    """Return the groups of a view's runs, of which no other values are loaded than those that are summed up.

    Args:
        store: Where the runs are.
        view: The view; it has a column that makes groups.
        columns: What is shown; its metrics are summed up.

    Raises:
        InvalidValue: The view's filter cannot be read.
    """
    made_by = view.group
    assert made_by is not None
    metrics = [column for column in columns if column.kind == "m"]
    query = replace(view, after=None).search(limit=COUNTED, fields=loaded([made_by, *metrics]))
    found = store.search_runs(query)
    members: dict[str | None, list[Run]] = {}
    for run in found.items:
        members.setdefault(_value(run, made_by), []).append(run)
    order = sorted(members, key=lambda value: (-len(members[value]), value is None, value or ""))
    items = [_group(value, members[value], metrics) for value in order[:SHOWN]]
    return Groups(
        metrics=metrics,
        items=items,
        runs=len(found.items),
        whole=found.next_page_token is None,
        left=max(0, len(order) - SHOWN),
    )


def _value(run: Run, column: Column) -> str | None:
    if column.kind == "a":
        return run.info.user_id if column.key == "user" else run.info.reason
    return (run.data.params if column.kind == "p" else run.data.tags).get(column.key)


def _group(value: str | None, runs: Sequence[Run], metrics: Sequence[Column]) -> Group:
    return Group(value=value, count=len(runs), spreads=[_spread(runs, column.key) for column in metrics])


def _spread(runs: Sequence[Run], key: str) -> Spread | None:
    values = [run.data.metrics[key] for run in runs if math.isfinite(run.data.metrics.get(key, math.nan))]
    if not values:
        return None
    mean = math.fsum(value / len(values) for value in values)  # a sum of the greatest floats would be infinite
    low, high = min(values), max(values)
    digits = numbers.digits_of([low, mean, high])
    shown = [numbers.metric(value, digits) for value in (mean, low, high)]
    return Spread(count=len(values), mean=shown[0], low=shown[1], high=shown[2])
