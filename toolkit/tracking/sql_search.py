"""Search over runs in SQL: pages and counts. Each function works in the transaction that it is handed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from toolkit.db.dialect import SQLITE, define
from toolkit.db.tables import runs
from toolkit.tracking.filter_fields import Kind
from toolkit.tracking.filter_text import ilike, regexp
from toolkit.tracking.filter_tree import Operator, comparisons, conjuncts
from toolkit.tracking.records import Page, Run
from toolkit.tracking.search import Search
from toolkit.tracking.sql_runs import INFO, with_data
from toolkit.tracking.sql_search_filter import condition, of_run
from toolkit.tracking.sql_search_order import position_of
from toolkit.tracking.sql_search_plan import Start, keys_of, outside, scope, start, without
from toolkit.tracking.sql_search_texts import settled
from toolkit.tracking.sql_search_walk import Reading, readings

_UNEQUAL = {Operator.REGEXP, Operator.ILIKE}  # what databases do not evaluate alike


def page(connection: Connection, search: Search, dialect: str) -> Page[Run]:
    """Return a page of runs."""
    search = prepared(connection, search, dialect)
    limit = search.query.limit
    rows: list[tuple[Row[Any], Reading]] = []
    for reading in readings(connection, search, dialect):
        found = connection.execute(reading.statement.limit(limit + 1 - len(rows))).all()
        rows += [(row, reading) for row in found]
        if len(rows) > limit:
            break
    token = None
    if len(rows) > limit:
        last, reading = rows[limit - 1]
        token = search.token(position_of(reading.terms, last[len(INFO) :]))
    items = with_data(connection, [row for row, _ in rows[:limit]], dialect, search.columns)
    return Page(items=items, next_page_token=token)


def count(connection: Connection, search: Search, dialect: str) -> int:
    """Return how many runs a search finds."""
    search = prepared(connection, search, dialect)
    begin = start(connection, search, dialect) if conjuncts(search.tree) else Start()
    return int(connection.execute(_counting(search, begin, dialect)).scalar_one())


def prepared(connection: Connection, search: Search, dialect: str) -> Search:
    """Return a search that the database can evaluate; an SQLite connection is given the functions for that."""
    operators = {part.operator for part in comparisons(search.tree)}
    if dialect == SQLITE and Operator.REGEXP in operators:
        define(connection, "toolkit_regexp", lambda pattern, text: regexp(pattern)(text))
    if dialect == SQLITE and Operator.ILIKE in operators:
        define(connection, "toolkit_ilike", lambda pattern, text: ilike(pattern)(text))
    return settled(connection, search, dialect) if operators & _UNEQUAL else search


def _counting(search: Search, begin: Start, dialect: str) -> Select[Any]:
    query = search.query
    if begin.part is None:
        within = scope(query, runs, dialect, indexed=True)
        return select(func.count()).select_from(runs).where(within, condition(search.tree, of_run(runs.c.id, dialect)))
    found = keys_of(begin.sources).subquery()
    rest = without(search.tree, [begin.part])
    test = condition(rest, of_run(found.c.run, dialect))
    if any(part.field.kind is Kind.ATTRIBUTE for part in comparisons(rest)):
        both = found.join(runs, runs.c.id == found.c.run)
        return select(func.count()).select_from(both).where(scope(query, runs, dialect, indexed=False), test)
    counted = select(func.count()).select_from(found).where(test)
    if query.experiment_ids or query.lifecycle:
        # As a rule few runs are elsewhere: to leave those out is faster than to look each one up.
        counted = counted.where(found.c.run.not_in(outside(query, dialect)))
    return counted
