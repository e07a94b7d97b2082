"""Search in memory: every thing is looked at, and the plainest order is the law for the SQL store's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cmp_to_key
from typing import TypeVar

from toolkit.tracking.filter_fields import Field, Kind
from toolkit.tracking.filter_match import matches
from toolkit.tracking.filter_tree import Value
from toolkit.tracking.records import DatasetInput, Experiment, Page, Run, RunData
from toolkit.tracking.search import Columns, OrderKey, Position, Search
from toolkit.tracking.system_tags import CONTEXT

T = TypeVar("T", Run, Experiment)
V = TypeVar("V")
Given = Value | tuple[str, ...] | None


def page(search: Search, things: Iterable[T]) -> Page[T]:
    """Return the page of a search over all runs or all experiments."""
    found = page_of(search, [thing for thing in things if _is_within(search, thing)], _value)
    return Page(items=[_chosen(thing, search.columns) for thing in found.items], next_page_token=found.next_page_token)


def page_of(search: Search, things: Iterable[V], get: Callable[[V, Field], Given]) -> Page[V]:
    """Return the page of a search over records of any kind.

    Args:
        search: What is searched for: its filter, its order and its page.
        things: All that is searched in.
        get: Gives a thing's value of a field; ``None`` if it lacks it, a tuple where it may have several.
    """
    found = [
        (_position(search.keys, thing, get), thing)
        for thing in things
        if matches(search.tree, lambda field, thing=thing: get(thing, field))  # type: ignore[misc]
    ]
    found.sort(key=lambda pair: _sortable(search.keys, pair[0]))
    if search.position is not None:
        last = _sortable(search.keys, search.position)
        found = [pair for pair in found if last < _sortable(search.keys, pair[0])]
    limit = search.query.limit
    token = search.token(found[limit - 1][0]) if len(found) > limit else None
    return Page(items=[thing for _, thing in found[:limit]], next_page_token=token)


def is_found(search: Search, thing: Run | Experiment) -> bool:
    """Tell whether a search finds a thing."""
    return _is_within(search, thing) and matches(search.tree, lambda field: _value(thing, field))


def _is_within(search: Search, thing: Run | Experiment) -> bool:
    what = thing.info if isinstance(thing, Run) else thing
    query = search.query
    return (not query.experiment_ids or what.experiment_id in query.experiment_ids) and query.lifecycle in (
        None,
        what.lifecycle_stage,
    )


def _value(thing: Run | Experiment, field: Field) -> Given:
    if field.kind is Kind.ATTRIBUTE:
        value: Value | None = getattr(thing.info if isinstance(thing, Run) else thing, field.key)
        return value
    if isinstance(thing, Experiment):
        return thing.tags.get(field.key)
    if field.kind is Kind.METRIC:
        return thing.data.metrics.get(field.key)
    if field.kind is Kind.DATASET:
        return _of_datasets(thing.inputs, field.key)
    return (thing.data.params if field.kind is Kind.PARAM else thing.data.tags).get(field.key)


def _of_datasets(inputs: Sequence[DatasetInput], key: str) -> tuple[str, ...]:
    """Return what a field is of each dataset: a comparison is true of a run if it is of one of them."""
    if key == "context":
        return tuple(each.tags[CONTEXT] for each in inputs if CONTEXT in each.tags)
    return tuple(getattr(each.dataset, key) for each in inputs)


def _position(keys: Sequence[OrderKey], thing: V, get: Callable[[V, Field], Given]) -> Position:
    parts: list[str | int | float] = []
    for key in keys:
        value = get(thing, key.field)
        assert not isinstance(value, tuple)  # nothing is ordered by datasets
        parts += key.part(int(value) if key.field.whole and value is not None else value)
    return tuple(parts)


def _sortable(keys: Sequence[OrderKey], position: Position) -> tuple[object, ...]:
    return tuple(
        cmp_to_key(_backward if descending else _forward)(part)
        for key, rank, value in zip(keys, position[::2], position[1::2], strict=True)
        for part, descending in ((rank, False), (value, key.descending))
    )


def _forward(one: Value, other: Value) -> int:
    return int(one > other) - int(one < other)  # type: ignore[operator]  # both are of the key's type


def _backward(one: Value, other: Value) -> int:
    return _forward(other, one)


def _chosen(thing: T, columns: Columns) -> T:
    if isinstance(thing, Experiment):
        return thing
    data = thing.data
    loaded = RunData(
        metrics=_of(data.metrics, columns.metrics),
        params=_of(data.params, columns.params),
        tags=_of(data.tags, columns.tags),
        latest=_of(data.latest, columns.metrics),
    )
    return Run(info=thing.info, data=loaded)


def _of(values: Mapping[str, V], keys: frozenset[str] | None) -> Mapping[str, V]:
    return values if keys is None else {key: value for key, value in values.items() if key in keys}
