"""An SQLite file opened for who must not wait: what is locked is `StoreBusy` at once, and little is done besides.

Such a one is an event loop, which writes by itself what takes less time than to hand it to a thread. Its connection
stays open, and statements of `toolkit.db.fixed` and `toolkit.db.dialect.Prepared` go straight to the driver: what
SQLAlchemy does around a statement takes ten times as long as SQLite.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from toolkit.db.engine import Database, Turn


class Hasty(Database):
    """A file for one thread at a time that waits for nobody.

    It leaves it to others to move what it has written from SQLite's log to the file (`Database.checkpoint`).

    Args:
        engine: Connections that wait for no lock.
        turn: Whose turn it is to write; shared with the other opening of the file in this process.
    """

    def __init__(self, engine: Engine, *, turn: Turn) -> None:
        super().__init__(engine, wait=0.0, turn=turn)
        self._kept: Connection | None = None

    @contextlib.contextmanager
    def _begun(self, writes: bool) -> Iterator[Connection]:
        connection, driver = self._opened()
        try:
            driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            try:
                yield connection
                if connection.in_transaction():  # SQLAlchemy has run something, too
                    connection.commit()
                else:
                    driver.execute("COMMIT")
            except BaseException:
                self._undo(connection, driver)
                raise
        except sqlite3.Error as error:
            raise DBAPIError.instance(None, None, error, sqlite3.Error) from error  # as if SQLAlchemy had met it

    def _opened(self) -> tuple[Connection, sqlite3.Connection]:
        if self._kept is None or self._kept.closed or self._kept.invalidated:
            self._kept = self.engine.connect()
        driver = self._kept.connection.dbapi_connection
        assert isinstance(driver, sqlite3.Connection)
        return self._kept, driver

    def _undo(self, connection: Connection, driver: sqlite3.Connection) -> None:
        """Take back what was done; where that cannot be said, the connection is given up, which does the same."""
        try:
            if connection.in_transaction():
                connection.rollback()
            if driver.in_transaction:
                driver.execute("ROLLBACK")
        except Exception:  # noqa: BLE001 - what went wrong before is told, not this
            self._kept = None
            connection.invalidate()
            connection.close()

    def close(self) -> None:
        """Close the connection."""
        self._let_go()
        super().close()

    def release_idle(self) -> None:
        """Close the connection, before a fork: no transaction is open then."""
        self._let_go()
        super().release_idle()

    def _let_go(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()
