"""The statements that give a page of runs: one that sorts few runs, or several that walk an index in its order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, false, not_, select

from toolkit.db.tables import latest_metrics, runs
from toolkit.tracking.filter_fields import Field, Kind
from toolkit.tracking.filter_tree import conjuncts
from toolkit.tracking.number import NAN as NAN_MARK
from toolkit.tracking.records import Lifecycle
from toolkit.tracking.search import MISSING, NAN, PRESENT, Search
from toolkit.tracking.sql_runs import INFO
from toolkit.tracking.sql_search_filter import NAMED, RUN_COLUMNS, condition, holds, is_short, key_id, of_run
from toolkit.tracking.sql_search_order import Term, after, constant, joined, sorted_by
from toolkit.tracking.sql_search_plan import Start, implied, keys_of, scope, start, without

_ALONG = ("start_time", "run_name")  # attributes that all runs have, and an index


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One statement of a page: rows of runs in the order of its terms."""

    source: FromClause
    where: Sequence[ColumnElement[bool]]
    terms: Sequence[Term]

    @property
    def statement(self) -> Select[Any]:
        """The statement, without its limit: what a run is, and then the terms that are not constant."""
        terms = [term.value.label(f"at{at}") for at, term in enumerate(self.terms) if term.constant is None]
        return select(*INFO, *terms).select_from(self.source).where(*self.where).order_by(*sorted_by(self.terms))


def readings(connection: Connection, search: Search, dialect: str) -> Iterator[Reading]:
    """Yield the statements that give a page, to be run one after the other until it is full."""
    first = str(search.keys[0].field)
    index = _has_index(connection, search.keys[0].field)
    newest = first == "start_time" and search.query.lifecycle is Lifecycle.ACTIVE
    if newest and not conjuncts(search.tree) and len(search.query.experiment_ids) <= 1:
        begin = Start()  # nothing need be counted
    else:
        begin = start(connection, search, dialect, walkable=index or first in _ALONG)
    if begin.few:
        yield _sorted(search, begin, dialect)
    elif index:
        yield from _sections(search, dialect)
    else:
        yield _walked(search, dialect)


def _sorted(search: Search, begin: Start, dialect: str) -> Reading:
    """Return the statement that takes few runs and sorts them."""
    tree = search.tree
    where: list[ColumnElement[bool]] = [runs.c.id.in_(keys_of(begin.sources))]
    if begin.part is not None:
        where.append(scope(search.query, runs, dialect, indexed=False))
        tree = without(tree, [begin.part])
    where.append(condition(tree, of_run(runs.c.id, dialect)))
    source, terms = joined(search.keys, runs, dialect, walked=False)
    return _after(Reading(source=source, where=where, terms=terms), search)


def _walked(search: Search, dialect: str) -> Reading:
    """Return the statement that walks the runs themselves, by an index in the order wanted where there is one."""
    # A single experiment's newest runs are one stretch of an index; several experiments' are not.
    alone = len(search.query.experiment_ids) == 1 and str(search.keys[0].field) == "start_time"
    where = [
        scope(search.query, runs, dialect, indexed=alone),
        condition(search.tree, of_run(runs.c.id, dialect)),
    ]
    source, terms = joined(search.keys, runs, dialect, walked=True)
    return _after(Reading(source=source, where=where, terms=terms), search)


def _sections(search: Search, dialect: str) -> Iterator[Reading]:
    """Yield the parts of an order whose first key has an index: values along it, then NaN, then what lacks the key."""
    key = search.keys[0]
    known = implied(search.tree, key.field)
    begin = search.position[0] if search.position else PRESENT
    for rank in (PRESENT, NAN, MISSING):
        if rank == begin:
            yield _after(_section(search, rank, dialect), search)
        elif isinstance(begin, int) and rank > begin and not (rank == MISSING and known):
            yield _section(search, rank, dialect)


def _section(search: Search, rank: int, dialect: str) -> Reading:
    key, *rest = search.keys
    known = implied(search.tree, key.field)
    source, values, where = _ranked(key.field, rank)
    column = RUN_COLUMNS[key.field.key] if key.field.kind is Kind.ATTRIBUTE else values.c.value
    value = Term(value=column, type=key.type, descending=key.descending)
    tree = search.tree
    if rank != MISSING and key.field.kind is not Kind.ATTRIBUTE:
        tree = without(tree, known)  # what is known of the values bounds the walk
        where += [test for comparison in known for test in holds(comparison, values, dialect)]
    where += [scope(search.query, runs, dialect, indexed=False), condition(tree, of_run(runs.c.id, dialect))]
    source, terms = joined(rest, source, dialect, walked=True)
    first = [constant(rank), value if rank == PRESENT else constant(key.type())]
    return Reading(source=source, where=where, terms=[*first, *terms])


def _ranked(field: Field, rank: int) -> tuple[FromClause, FromClause, list[ColumnElement[bool]]]:
    """Return the runs whose value of a field has a rank: where from, the values among it, and which rows."""
    if field.kind is Kind.ATTRIBUTE:
        column = RUN_COLUMNS[field.key]
        there = {PRESENT: column.is_not(None), NAN: false(), MISSING: column.is_(None)}
        return runs, runs, [there[rank]]
    metric = field.kind is Kind.METRIC
    values = (latest_metrics if metric else NAMED[field.kind]).alias()
    where = [values.c.key == (key_id(field.key) if metric else field.key)]
    if rank == MISSING:
        lacking = not_(select(1).where(values.c.run == runs.c.id, *where).exists())
        return runs, values, [lacking]
    if metric and rank == PRESENT:
        where.append(values.c.special < NAN_MARK)
    elif metric:
        where += [values.c.value == inf, values.c.special == NAN_MARK]
    else:
        where.append(is_short(values.c.value) if rank == PRESENT else false())
    return values.join(runs, runs.c.id == values.c.run), values, where


def _has_index(connection: Connection, field: Field) -> bool:
    """Tell whether an index has all values of a field in order; that of parameters and tags has no long ones."""
    if field.kind in NAMED:
        named = NAMED[field.kind].c
        long = select(named.run).where(named.key == field.key, not_(is_short(named.value)))
        return connection.execute(long.limit(1)).first() is None
    return field.kind is Kind.METRIC or str(field) == "end_time"


def _after(reading: Reading, search: Search) -> Reading:
    if search.position is None:
        return reading
    beyond = after(reading.terms, search.position)
    return Reading(source=reading.source, where=[*reading.where, beyond], terms=reading.terms)
