"""Search over runs in SQL: pages and counts. Each function works in the transaction that it is handed."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import Connection, func, select

from toolkit.db.dialect import SQLITE, define
from toolkit.db.tables import runs
from toolkit.tracking import sql_search_set
from toolkit.tracking.filter_text import ilike, regexp
from toolkit.tracking.filter_tree import Operator, comparisons, conjuncts
from toolkit.tracking.records import Page, Run
from toolkit.tracking.search import Search
from toolkit.tracking.sql_runs import INFO, with_data
from toolkit.tracking.sql_search_filter import scope
from toolkit.tracking.sql_search_order import position_of
from toolkit.tracking.sql_search_texts import Texts, settled
from toolkit.tracking.sql_search_walk import first_rows

_UNEQUAL = {Operator.REGEXP, Operator.ILIKE}  # what databases do not evaluate alike


def page(connection: Connection, search: Search, dialect: str) -> Page[Run]:
    """Return a page of runs."""
    search = prepared(connection, search, dialect)
    limit = search.query.limit
    rows = first_rows(connection, search, dialect, limit + 1)
    token = None
    if len(rows) > limit:
        last, reading = rows[limit - 1]
        token = search.token(position_of(reading.terms, last[len(INFO) :]))
    items = with_data(connection, [row for row, _ in rows[:limit]], dialect, search.columns)
    return Page(items=items, next_page_token=token)


def count(connection: Connection, search: Search, dialect: str) -> int:
    """Return how many runs a search finds."""
    search = prepared(connection, search, dialect)
    if conjuncts(search.tree):
        return len(sql_search_set.find(connection, search.query, search.tree, dialect))
    within = scope(search.query, runs, dialect, indexed=True)
    return int(connection.execute(select(func.count()).select_from(runs).where(within)).scalar_one())


def prepared(connection: Connection, search: Search, dialect: str, texts: Texts | None = None) -> Search:
    """Return a search that the database can evaluate; an SQLite connection is given the functions for that.

    Args:
        connection: In the transaction of the search.
        search: What is searched for.
        dialect: Kind of database.
        texts: Where the values of fields are; default: those of runs and experiments.
    """
    operators = {part.operator for part in comparisons(search.tree)}
    if dialect == SQLITE and Operator.REGEXP in operators:
        # Many runs have the same text.
        define(connection, "toolkit_regexp", lru_cache(maxsize=4096)(lambda pattern, text: regexp(pattern)(text)))
    if dialect == SQLITE and Operator.ILIKE in operators:
        define(connection, "toolkit_ilike", lambda pattern, text: ilike(pattern)(text))
    return settled(connection, search, dialect, texts) if operators & _UNEQUAL else search
