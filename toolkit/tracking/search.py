"""A search, checked and read: what each kind of store needs to evaluate it, and its page tokens.

A token holds the sort key of the last item that was given and a digest of the query: it fits no other search.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from toolkit.db.tables import INDEXED_LENGTH
from toolkit.errors import InvalidValue
from toolkit.tracking import filter, limits, paging  # noqa: A004 - the grammar's module is its noun
from toolkit.tracking.filter_fields import Entity, Field, Kind, Type
from toolkit.tracking.filter_tree import Tree
from toolkit.tracking.records import SearchQuery

KEYS = 8
COLUMNS = 1_000
EXPERIMENTS = 10_000
HEAD = INDEXED_LENGTH
"""Parameters and tags are ordered by their first characters, this many: what the index holds, and tokens stay short."""

Position = tuple[str | int | float, ...]
_LOADED = (Kind.METRIC, Kind.PARAM, Kind.TAG)
PRESENT, NAN, MISSING = range(3)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderKey:
    """One key of an order. Its place in a position is a rank and a value: there (0), NaN (1) or missing (2).

    Ranks ascend in both directions: NaN comes after the numbers, and what lacks the field is last.

    Attributes:
        field: What is ordered by.
        descending: Whether the greatest value is first.
    """

    field: Field
    descending: bool

    @property
    def type(self) -> type:
        """The type of the value."""
        if self.field.whole:
            return int
        return float if self.field.type is Type.NUMBER else str

    def part(self, value: str | float | None) -> tuple[int, str | int | float]:
        """Return the rank and the value of something with this value."""
        nothing: str | int | float = self.type()
        if value is None:
            return MISSING, nothing
        if value != value:
            return NAN, nothing
        cut = isinstance(value, str) and self.field.kind is not Kind.ATTRIBUTE
        return PRESENT, str(value)[:HEAD] if cut else value


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Which values to load: keys of each kind; ``None`` for all."""

    metrics: frozenset[str] | None = None
    params: frozenset[str] | None = None
    tags: frozenset[str] | None = None


EVERY_COLUMN = Columns()


@dataclass(frozen=True, kw_only=True)
class Search:
    """A query that was checked.

    Attributes:
        query: What was given.
        entity: What is searched.
        tree: Its filter.
        keys: Its order, with the keys that settle ties.
        columns: What to load.
    """

    query: SearchQuery
    entity: Entity
    tree: Tree
    keys: tuple[OrderKey, ...]
    columns: Columns = field(default_factory=Columns)

    @cached_property
    def position(self) -> Position | None:
        """Where the previous page ended: rank and value of each key, one after the other."""
        token = self.query.page_token
        if token is None:
            return None
        types = [part for key in self.keys for part in (int, key.type)]
        return tuple(paging.decode(token, self._kind, types))

    def token(self, position: Position) -> str:
        """Return the token of the page after this position."""
        return paging.encode(self._kind, position)

    @cached_property
    def _kind(self) -> str:
        query = self.query
        stage = query.lifecycle.value if query.lifecycle else None
        order = [(str(key.field.kind), key.field.key, key.descending) for key in self.keys]
        told = json.dumps([sorted(query.experiment_ids), query.filter.strip(), order, stage])
        return f"{self.entity.name}-{hashlib.sha256(told.encode()).hexdigest()[:24]}"


def read(query: SearchQuery, entity: Entity, *, most: int = limits.RUNS_PER_PAGE) -> Search:
    """Return a search.

    Args:
        query: What was given.
        entity: What is searched.
        most: How many items a page may have.

    Raises:
        InvalidValue: Its filter, its order, its fields, its experiments, its token or its page size cannot be used.
    """
    limits.check_page_size(query.limit, most)
    _check_list("experiment_ids", query.experiment_ids, EXPERIMENTS)
    for experiment_id in query.experiment_ids:
        limits.check_text(experiment_id, "experiment_ids", limits.KEY_LENGTH)
    search = Search(
        query=query,
        entity=entity,
        tree=filter.parse(query.filter, entity),
        keys=_keys(query.order_by, entity),
        columns=_columns(query.fields, entity),
    )
    _ = search.position  # an unusable token is refused before anything is asked for
    return search


def _keys(order_by: Sequence[str], entity: Entity) -> tuple[OrderKey, ...]:
    _check_list("order_by", order_by, KEYS)
    keys: dict[Field, OrderKey] = {}
    for text in order_by:
        found, descending = filter.parse_ordering(text, entity)
        if found in keys:
            raise InvalidValue(f"Invalid order_by: the key {str(found)!r} is there twice: wanted each once")
        keys[found] = OrderKey(field=found, descending=descending)
    for name, descending in entity.ties:
        tie = entity.attributes[name]
        keys.setdefault(tie, OrderKey(field=tie, descending=descending))
    return tuple(keys.values())


def _columns(fields: Sequence[str] | None, entity: Entity) -> Columns:
    if fields is None:
        return EVERY_COLUMN
    _check_list("fields", fields, COLUMNS)
    wanted: Mapping[Kind, set[str]] = {kind: set() for kind in _LOADED}
    whole = set()
    for text in fields:
        kind, key = filter.parse_column(text, entity)
        if key is None:
            whole.add(kind)
        elif kind in wanted:
            wanted[kind].add(key)
    chosen = [None if kind in whole else frozenset(wanted[kind]) for kind in _LOADED]
    return Columns(metrics=chosen[0], params=chosen[1], tags=chosen[2])


def _check_list(name: str, given: Sequence[str], most: int) -> None:
    if isinstance(given, str) or len(given) > most:
        raise InvalidValue(f"Invalid {name}: wanted a list of at most {most}")
