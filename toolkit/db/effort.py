"""Statements that are given up when they turn out to take long, for another way to the same answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from toolkit.db.dialect import SQLITE

_STEPS = 8_000  # of SQLite's machine in a millisecond
_TICKS = 16  # parts in which the steps are counted
_SLOWER = 3  # a server's time passes also while it waits for others
_INTERRUPTED = 9  # SQLITE_INTERRUPT
_CANCELED = "57014"  # query_canceled
# What is tried is to walk an index: PostgreSQL, which takes conditions for independent, would often rather look at all.
# And workers take longer to start than a page that is full soon.
_WALK = "SAVEPOINT effort; " + "; ".join(
    f"SET LOCAL {setting}"
    for setting in (
        "enable_sort = off",
        "enable_hashjoin = off",
        "enable_mergejoin = off",
        "enable_seqscan = off",
        "enable_bitmapscan = off",
        "max_parallel_workers_per_gather = 0",
    )
)
_BACK = "ROLLBACK TO SAVEPOINT effort; RELEASE SAVEPOINT effort"


class _Ticks:
    """Says when enough was done. The first tick may come early: SQLite goes on counting where it stopped last time."""

    def __init__(self) -> None:
        self._left = _TICKS

    def __call__(self) -> bool:
        self._left -= 1
        return self._left < 0


class GivenUp(Exception):
    """A statement took more than it was given."""


@contextlib.contextmanager
def limited(connection: Connection, milliseconds: int) -> Iterator[None]:
    """Give up a walk along an index that takes more than about so many milliseconds; the transaction goes on.

    SQLite counts steps of its machine, so that the same is given up on a slow or busy computer.

    Args:
        connection: In a transaction; nothing but SELECTs may be run.
        milliseconds: For each statement.

    Raises:
        GivenUp: A statement took longer.
    """
    if connection.dialect.name == SQLITE:
        driver = cast(Any, connection.connection.dbapi_connection)
        driver.set_progress_handler(_Ticks(), max(1, milliseconds * _STEPS // _TICKS))
        try:
            yield
        except DBAPIError as error:
            if getattr(error.orig, "sqlite_errorcode", None) != _INTERRUPTED:
                raise
            raise GivenUp from None
        finally:
            driver.set_progress_handler(None, 0)
        return
    connection.exec_driver_sql(f"{_WALK}; SET LOCAL statement_timeout = {milliseconds * _SLOWER}")
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _CANCELED:
            raise
        connection.exec_driver_sql(_BACK)
        raise GivenUp from None
    connection.exec_driver_sql(_BACK)  # nothing was written: only the settings go back
