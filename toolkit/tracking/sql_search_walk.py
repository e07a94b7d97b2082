"""A page of runs: met along the index of its order, or, where that takes long, from all the runs that are found.

Along an index a page is full soon wherever many runs are found: the statement is tried, for some milliseconds. Else all
runs that the filter is true of are told first (`toolkit.tracking.sql_search_set`): few are taken and sorted, and among
many a page is full soon.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import inf
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, false, func, not_, select

from toolkit.db.dialect import SQLITE, forget_mask, one_of
from toolkit.db.effort import GivenUp, limited
from toolkit.db.tables import latest_metrics, runs
from toolkit.tracking import sql_search_set
from toolkit.tracking.filter_fields import Field, Kind
from toolkit.tracking.filter_tree import All, Comparison, Operator, Tree, conjuncts
from toolkit.tracking.number import NAN as NAN_MARK
from toolkit.tracking.search import MISSING, NAN, PRESENT, Search
from toolkit.tracking.sql_runs import INFO
from toolkit.tracking.sql_search_filter import NAMED, RUN_COLUMNS, condition, holds, is_short, key_id, of_run, scope
from toolkit.tracking.sql_search_order import Term, after, constant, joined, sorted_by
from toolkit.tracking.sql_search_set import RunSet

TRIED_MS = 8
"""How long the index of the order is walked before all that is found is told first."""

_PATIENT_MS = 100  # where there is no faster way
_TRIED_A_RUN_MS = 0.03
_LONG_TIE = 1_000
_ALONG = ("start_time", "run_name")  # attributes that all runs have, and an index
_NEWEST_FIRST = "INDEXED BY runs_by_start"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One statement of a page: rows of runs in the order of its terms."""

    source: FromClause
    where: Sequence[ColumnElement[bool]]
    terms: Sequence[Term]
    newest_first: bool = False

    @cached_property
    def statement(self) -> Select[Any]:
        """The statement, without its limit: what a run is, and then the terms that are not constant."""
        terms = [term.value.label(f"at{at}") for at, term in enumerate(self.terms) if term.constant is None]
        chosen = select(*INFO, *terms).select_from(self.source).where(*self.where).order_by(*sorted_by(self.terms))
        # Ties are settled by the newest start: met in that order, hardly any run displaces one that was met before.
        return chosen.with_hint(runs, _NEWEST_FIRST, SQLITE) if self.newest_first else chosen

    def first(self, count: int) -> Select[Any]:
        """Return the statement of its first rows; the same object again, by which SQLAlchemy knows it at once."""
        if count not in self._firsts:
            self._firsts[count] = self.statement.limit(count)
        return self._firsts[count]

    @cached_property
    def _firsts(self) -> dict[int, Select[Any]]:
        return {}


def _tried(connection: Connection, search: Search, wanted: int) -> int:
    """Return how many milliseconds the index of the order is walked."""
    everything = not conjuncts(search.tree) and not search.query.experiment_ids
    patient = everything or _has_long_ties(connection, search.keys[0].field)
    return (_PATIENT_MS if patient else TRIED_MS) + int(wanted * _TRIED_A_RUN_MS)


def _has_long_ties(connection: Connection, field: Field) -> bool:
    """Tell whether many runs have the same value of a field, all of which are met and sorted for a page."""
    if field.kind is Kind.ATTRIBUTE:
        return False
    return bool(connection.execute(_long_tie(field)).scalar())


@lru_cache(maxsize=256)
def _long_tie(field: Field) -> Select[Any]:
    """Return what asks whether a field's first value is also that of many runs further along the index."""
    values = _values(field)
    column = values.c.value
    along = select(column).where(*_ranked(field, PRESENT, values)).order_by(column)
    first, later = (along.limit(1).offset(place).scalar_subquery() for place in (0, _LONG_TIE))
    return select(first == later)


Rows = list[tuple[Row[Any], Reading]]


def first_rows(connection: Connection, search: Search, dialect: str, wanted: int) -> Rows:
    """Return the first runs of a search after its position, so many at most, each with the statement that gave it."""
    indexed = _has_index(connection, search.keys[0].field)
    if indexed:
        walk = _sections if str(search.keys[0].field) not in _ALONG else _walked
        try:
            with limited(connection, _tried(connection, search, wanted)):
                return _gathered(connection, walk(search, dialect), wanted)
        except GivenUp:
            pass
    elif not conjuncts(search.tree) and search.keys[0].field.kind is Kind.ATTRIBUTE:
        return _gathered(connection, _walked(search, dialect), wanted)
    found = sql_search_set.find(connection, search.query, search.tree, dialect)
    try:
        return _gathered(connection, _among(connection, search, found, dialect, indexed=indexed), wanted)
    finally:
        forget_mask(connection, dialect)


def _gathered(connection: Connection, readings: Iterable[Reading], wanted: int) -> Rows:
    rows: Rows = []
    for reading in readings:
        rows += [(row, reading) for row in connection.execute(reading.first(wanted - len(rows))).all()]
        if len(rows) >= wanted:
            break
    return rows


def _walked(search: Search, dialect: str) -> Iterator[Reading]:
    """Yield the statement that walks the runs themselves, by an index in the order wanted where there is one."""
    first = str(search.keys[0].field)
    # A single experiment's newest runs are one stretch of an index; several experiments' are not.
    alone = len(search.query.experiment_ids) == 1 and first == "start_time"
    where = [scope(search.query, runs, dialect, indexed=alone), condition(search.tree, of_run(runs.c.id, dialect))]
    source, terms = joined(search.keys, runs, dialect, walked=True)
    yield _after(Reading(source=source, where=where, terms=terms, newest_first=first not in _ALONG), search)


def _sections(search: Search, dialect: str) -> Iterator[Reading]:
    """Yield the parts of an order whose first key has an index: values along it, then NaN, then what lacks the key."""
    for rank in _ranks(search):
        yield _remembered(_Asked(search), rank, dialect)


class _Asked:
    """A search, the same as another one that asks for the same runs: pages, and lists that are looked at again."""

    __slots__ = ("_asks", "search")

    def __init__(self, search: Search) -> None:
        query = search.query
        self.search = search
        self._asks = (
            tuple(query.experiment_ids),
            query.filter,
            tuple(query.order_by),
            query.lifecycle,
            query.page_token,
        )

    def __hash__(self) -> int:
        return hash(self._asks)

    def __eq__(self, other: object) -> bool:
        # What a filter asks for may have been settled before (`prepared`), another time with another result.
        return isinstance(other, _Asked) and self._asks == other._asks and self.search.tree == other.search.tree


@lru_cache(maxsize=256)
def _remembered(asked: _Asked, rank: int, dialect: str) -> Reading:
    """Return a part of an order: to put its statement together takes longer than to run it in a small store."""
    search = asked.search
    tree = search.tree
    if rank != MISSING and search.keys[0].field.kind is not Kind.ATTRIBUTE:
        tree = _without(tree, _implied(tree, search.keys[0].field))  # they bound the walk
    values = _values(search.keys[0].field)
    tests = [scope(search.query, runs, dialect, indexed=False), condition(tree, of_run(runs.c.id, dialect))]
    if rank == MISSING:
        tests += _lacking(search.keys[0].field, values)
    return _section(search, rank, values, tests, dialect)


def _among(connection: Connection, search: Search, found: RunSet, dialect: str, *, indexed: bool) -> Iterator[Reading]:
    """Yield the statements that give a page of the runs that were found."""
    field, few = search.keys[0].field, sql_search_set.FEW
    if len(found) <= few:
        yield _taken(search, found, dialect)
        return
    if str(field) in _ALONG or (field.kind is Kind.ATTRIBUTE and not indexed):
        yield _filtered(connection, search, found, dialect)
        return
    ranks = _ranks(search)
    if not indexed:  # there are values that are too long for it
        there = found & sql_search_set.having(connection, field, found, dialect)
        if len(there) > few:
            yield _filtered(connection, search, found, dialect)
            return
        if ranks[0] != MISSING:
            yield _taken(search, there, dialect)
    for rank in ranks if indexed else ():
        if rank != MISSING:
            values = _values(field)
            tests = [found.has(connection, runs.c.id if values is runs else values.c.run, dialect)]
            yield _section(search, rank, values, tests, dialect)
    if MISSING not in ranks:
        return
    lacking = found - sql_search_set.having(connection, field, found, dialect)
    if len(lacking) <= few:
        yield _taken(search, lacking, dialect)
    else:
        yield _section(search, MISSING, runs, [lacking.has(connection, runs.c.id, dialect)], dialect)


def _taken(search: Search, found: RunSet, dialect: str) -> Reading:
    """Return the statement that takes few runs and sorts them."""
    source, terms = joined(search.keys, runs, dialect, walked=False)
    return _after(Reading(source=source, where=[one_of(runs.c.id, found.keys, dialect)], terms=terms), search)


def _filtered(connection: Connection, search: Search, found: RunSet, dialect: str) -> Reading:
    """Return the statement that walks all runs and drops those that were not found."""
    source, terms = joined(search.keys, runs, dialect, walked=True)
    where = [found.has(connection, runs.c.id, dialect)]
    newest = str(search.keys[0].field) not in _ALONG
    return _after(Reading(source=source, where=where, terms=terms, newest_first=newest), search)


def _section(
    search: Search, rank: int, values: FromClause, tests: Sequence[ColumnElement[bool]], dialect: str
) -> Reading:
    """Return the statement of a part of an order.

    Args:
        search: What is searched for.
        rank: Of the first key, in all its rows.
        values: Where the first key's values are: the runs, or an alias of the table with its index.
        tests: What else must be true of a run.
        dialect: Kind of database.
    """
    key, *rest = search.keys
    where = [*_ranked(key.field, rank, values), *tests]
    if rank != MISSING and values is not runs:
        where += [test for each in _implied(search.tree, key.field) for test in holds(each, values, dialect)]
    source: FromClause = runs if values is runs or rank == MISSING else values.join(runs, runs.c.id == values.c.run)
    source, terms = joined(rest, source, dialect, walked=True)
    value = constant(key.type())
    if rank == PRESENT:
        column = RUN_COLUMNS[key.field.key] if values is runs else values.c.value
        value = Term(value=column, type=key.type, descending=key.descending)
    first = [constant(rank), value]
    reading = Reading(source=source, where=where, terms=[*first, *terms])
    return _after(reading, search) if rank == _begin(search) else reading


def _values(field: Field) -> FromClause:
    if field.kind is Kind.ATTRIBUTE:
        return runs
    return (latest_metrics if field.kind is Kind.METRIC else NAMED[field.kind]).alias()


def _ranked(field: Field, rank: int, values: FromClause) -> list[ColumnElement[bool]]:
    """Return the conditions that a field's value has a rank; that it is missing is told by the tests."""
    if rank == MISSING:
        return []
    if field.kind is Kind.ATTRIBUTE:
        return [RUN_COLUMNS[field.key].is_not(None) if rank == PRESENT else false()]
    metric = field.kind is Kind.METRIC
    key = values.c.key == (key_id(field.key) if metric else field.key)
    if metric and rank == PRESENT:
        return [key, values.c.special < NAN_MARK]
    if metric:
        return [key, values.c.value == inf, values.c.special == NAN_MARK]
    return [key, is_short(values.c.value) if rank == PRESENT else false()]


def _lacking(field: Field, values: FromClause) -> list[ColumnElement[bool]]:
    if field.kind is Kind.ATTRIBUTE:
        return [RUN_COLUMNS[field.key].is_(None)]
    key = values.c.key == (key_id(field.key) if field.kind is Kind.METRIC else field.key)
    return [not_(select(1).where(values.c.run == runs.c.id, key).exists())]


def _begin(search: Search) -> int:
    begin = search.position[0] if search.position else PRESENT
    return begin if isinstance(begin, int) else PRESENT


def _ranks(search: Search) -> list[int]:
    """Return the ranks of the first key that a page may have."""
    last = NAN if _implied(search.tree, search.keys[0].field) else MISSING
    return [rank for rank in (PRESENT, NAN, MISSING) if _begin(search) <= rank <= last] or [MISSING]


def _implied(tree: Tree, field: Field) -> list[Comparison]:
    """Return the comparisons with a field that must all be true, and are true only where the field is there."""
    return [
        part
        for part in conjuncts(tree)
        if isinstance(part, Comparison) and part.field == field and (part.operator is not Operator.NULL or part.negated)
    ]


def _without(tree: Tree, parts: Sequence[Tree]) -> Tree:
    """Return a filter without some of its conjuncts."""
    return All(parts=tuple(part for part in conjuncts(tree) if part not in parts))


def _has_index(connection: Connection, field: Field) -> bool:
    """Tell whether an index has all values of a field in order; that of parameters and tags has no long ones."""
    if field.kind in NAMED:
        named = NAMED[field.kind].c
        long = select(named.run).where(named.key == field.key, not_(is_short(named.value)))
        if connection.dialect.name != SQLITE:
            # PostgreSQL takes a third of all values for long ones, and looks for the first without the index of those.
            return connection.execute(select(func.count()).select_from(long.subquery())).scalar() == 0
        return connection.execute(long.limit(1)).first() is None
    return field.kind is Kind.METRIC or field.key in (*_ALONG, "end_time")


def _after(reading: Reading, search: Search) -> Reading:
    if search.position is None:
        return reading
    return replace(reading, where=[*reading.where, after(reading.terms, search.position)])
