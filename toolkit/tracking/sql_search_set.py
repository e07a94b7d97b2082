"""The runs that a filter is true of, all of them, as a set: one byte a run, by its inner key.

What has no index of its own (``NOT``, ``!=``, ``IS NULL``, ``REGEXP``) and what two conditions leave of each other can
be told neither beforehand nor row by row in good time. Each condition alone is one stretch of an index, and sets of
100,000 runs are joined in microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import compress

from sqlalchemy import ColumnElement, Connection, Select, func, not_, select

from toolkit.db.dialect import contains, joined_text, one_of
from toolkit.db.tables import INDEXED_LENGTH, latest_metrics, runs
from toolkit.tracking.filter_fields import Field, Kind
from toolkit.tracking.filter_tree import EVERYTHING, All, Comparison, Not, OneOf, Operator, Tree, comparisons
from toolkit.tracking.records import Lifecycle, SearchQuery
from toolkit.tracking.sql_search_filter import NAMED, condition, holds, is_short, of_run, scope

FEW = 8_000
"""So many runs at most are looked up one by one rather than met along an index."""

_RARE = 2_000
_COSTS = {
    Operator.EQUAL: 0,
    Operator.IN: 1,
    Operator.BETWEEN: 2,
    Operator.LIKE: 4,
    Operator.ILIKE: 5,
    Operator.REGEXP: 8,
    Operator.NULL: 7,
}
_COMPOSED, _NEGATED, _ATTRIBUTES, _RANGE = 6, 5, 3, 2


class RunSet:
    """Some runs.

    Args:
        mask: For each inner key 1 or 0.
    """

    def __init__(self, mask: bytes) -> None:
        self._mask = mask

    def __len__(self) -> int:
        """Return how many there are."""
        return self._mask.count(1)

    @property
    def keys(self) -> list[int]:
        """Their inner keys."""
        return list(compress(range(len(self._mask)), self._mask))

    def __and__(self, other: RunSet) -> RunSet:
        """Return those that are in another set of the same store too."""
        mine, theirs = (int.from_bytes(each._mask, "little") for each in (self, other))
        return RunSet((mine & theirs).to_bytes(len(self._mask), "little"))

    def __sub__(self, other: RunSet) -> RunSet:
        """Return those that are not in another set of the same store."""
        mine, theirs = (int.from_bytes(each._mask, "little") for each in (self, other))
        return RunSet((mine & ~theirs).to_bytes(len(self._mask), "little"))

    def has(self, connection: Connection, run: ColumnElement[int], dialect: str) -> ColumnElement[bool]:
        """Return the condition that a run is among them. It holds for the next statement of this connection only."""
        return contains(connection, self._mask, run, dialect)


def find(connection: Connection, query: SearchQuery, tree: Tree, dialect: str) -> RunSet:
    """Return the runs that are where is searched, and that a filter is true of."""
    size = (connection.execute(select(func.max(runs.c.id))).scalar() or 0) + 1
    return _Finder(connection, query, size, dialect).found(tree)


def having(connection: Connection, field: Field, like: RunSet, dialect: str) -> RunSet:
    """Return the runs, wherever, that have a field.

    Args:
        connection: To the database.
        field: A metric, a parameter, a tag or an attribute.
        like: A set of the same store.
        dialect: Kind of database.
    """
    there = Comparison(field=field, operator=Operator.NULL, negated=True)
    size = len(like._mask)
    return RunSet(_Finder(connection, SearchQuery(), size, dialect).of(there).to_bytes(size, "little"))


class _Finder:
    """Makes sets as integers of one byte a run, which Python joins fastest."""

    def __init__(self, connection: Connection, query: SearchQuery, size: int, dialect: str) -> None:
        self._connection = connection
        self._query = query
        self._size = size
        self._dialect = dialect
        self._every = int.from_bytes(b"\1" * size, "little")
        self._flipped = False

    def found(self, tree: Tree) -> RunSet:
        found = self._every if tree == EVERYTHING else self.of(tree)
        return RunSet((found & self._searched(found)).to_bytes(self._size, "little"))

    def _searched(self, found: int) -> int:
        """Return the runs that are where is searched, or so many that those found are told apart."""
        here = scope(self._query, runs, self._dialect, indexed=True)
        if (few := found.bit_count()) <= _RARE:
            return self._keys([select(runs.c.id).where(self._among(found), here)]) if few else 0
        if self._flipped or found == self._every or self._is_small(here):
            return self._keys([select(runs.c.id).where(here)])  # nor is there anything that is no run
        outside = not_(scope(self._query, runs, self._dialect, indexed=False))
        return self._every & ~self._keys([select(runs.c.id).where(outside)])

    def _is_small(self, here: ColumnElement[bool]) -> bool:
        """Tell whether fewer runs are where is searched than elsewhere; where nothing is counted, as a rule."""
        if not self._query.experiment_ids:
            return self._query.lifecycle is Lifecycle.DELETED
        inside = int(self._connection.execute(select(func.count()).select_from(runs).where(here)).scalar_one())
        return inside * 2 <= self._size

    def of(self, tree: Tree) -> int:
        if all(each.field.kind is Kind.ATTRIBUTE for each in comparisons(tree)):
            return self._tested(tree)
        if isinstance(tree, All):
            return self._all(tree.parts)
        if isinstance(tree, OneOf):
            found = 0
            for part in tree.parts:
                found |= self.of(part)
            return found
        if isinstance(tree, Not):
            return self._flip(self.of(tree.part))
        if tree.field.kind is Kind.DATASET:
            return self._tested(tree)
        keys = self._keys(sources(tree, self._dialect))
        return self._flip(keys) if tree.operator is Operator.NULL and not tree.negated else keys

    def _all(self, parts: Sequence[Tree]) -> int:
        attributes = [part for part in parts if all(each.field.kind is Kind.ATTRIBUTE for each in comparisons(part))]
        rest: list[Tree] = [part for part in parts if part not in attributes]
        if attributes:
            rest.append(All(parts=tuple(attributes)))
        rest.sort(key=_cost)
        found = self._every
        while rest:
            found &= self.of(rest.pop(0))
            if rest and found.bit_count() <= _RARE:
                return self._tested(All(parts=tuple(rest)), self._among(found)) if found else 0
        return found

    def _tested(self, tree: Tree, *among: ColumnElement[bool]) -> int:
        """Return the runs that a filter is true of, from looking at each."""
        test = condition(tree, of_run(runs.c.id, self._dialect))
        return self._keys([select(runs.c.id).where(*among, test)])

    def _among(self, found: int) -> ColumnElement[bool]:
        return one_of(runs.c.id, RunSet(found.to_bytes(self._size, "little")).keys, self._dialect)

    def _flip(self, found: int) -> int:
        self._flipped = True
        return self._every & ~found

    def _keys(self, statements: Sequence[Select[tuple[int]]]) -> int:
        mask = bytearray(self._size)
        for statement in statements:
            column = statement.subquery().c[0]
            told = self._connection.execute(select(joined_text(column, self._dialect))).scalar()
            # As one text: to fetch the rows takes five times as long.
            for key in json.loads(f"[{told or ''}]"):
                mask[key] = 1
        return int.from_bytes(mask, "little")


def _cost(part: Tree) -> int:
    """Return how late to look for the runs of a part: what is rare as a rule first, what takes long last."""
    if not isinstance(part, Comparison):
        only = all(each.field.kind is Kind.ATTRIBUTE for each in comparisons(part))
        return _ATTRIBUTES if only else _COMPOSED
    cost = _COSTS.get(part.operator, _RANGE)
    return max(cost, _NEGATED) if part.negated else cost


def sources(part: Comparison, dialect: str) -> list[Select[tuple[int]]]:
    """Return statements that give, by an index, the keys of all runs with a metric, parameter or tag as compared."""
    if part.field.kind is Kind.METRIC:
        metric = latest_metrics.alias()
        return [select(metric.c.run).where(*holds(part, metric, dialect))]
    named = NAMED[part.field.kind].alias()
    found = select(named.c.run).where(*holds(part, named, dialect))
    short = found.where(is_short(named.c.value))
    exact = part.operator in (Operator.EQUAL, Operator.IN) and not part.negated
    if exact and all(len(str(value)) <= INDEXED_LENGTH for value in part.values):
        return [short]
    return [short, found.where(not_(is_short(named.c.value)))]
