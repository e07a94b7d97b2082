"""The engine of an SQLite file: what its connections are set to, and how a transaction begins."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError

from toolkit.db.failure import is_busy
from toolkit.errors import InvalidSetting, StoreError

_RETRY_PAUSE = 0.005
_POOL_SIZE = 8
_POOL_OVERFLOW = 56


class DirectConnection(sqlite3.Connection):
    """A connection whose fixed statements go straight to the driver (`toolkit.db.hasty`)."""


def direct(connection: Connection) -> DirectConnection | None:
    """Return the driver's connection, if statements may go straight to it."""
    driver = connection.connection.dbapi_connection
    return driver if isinstance(driver, DirectConnection) else None


def hasty_engine(url: URL) -> Engine:
    """Return the engine of a file for who waits for no lock, nor for the log to be moved to the file."""
    return sqlite_engine(url, wait=0.0, full=False, pages=0, kind=DirectConnection)


def sqlite_engine(
    url: URL, *, wait: float, full: bool, pages: int | None = None, kind: type[sqlite3.Connection] = sqlite3.Connection
) -> Engine:
    """Return the engine of a file; its folder is made if there is none.

    Args:
        url: Names the file.
        wait: Seconds to wait for a lock.
        full: Whether a commit also survives power loss.
        pages: Length of the log from which a commit moves it to the file; 0: no commit does; default: SQLite's own.
        kind: Of the driver's connections.

    Raises:
        InvalidSetting: The URL names no file.
        StoreError: The folder cannot be made.
    """
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise InvalidSetting(f"{str(url)!r} names no file: wanted one such as sqlite:////path/to/toolkit.db")
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder {folder} of the database cannot be made: {error.strerror}") from error
    engine = create_engine(
        url,
        connect_args={"timeout": wait, "isolation_level": None, "factory": kind},  # None: we say BEGIN ourselves
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_OVERFLOW,
        pool_timeout=wait,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        for setting in (
            f"synchronous={'FULL' if full else 'NORMAL'}",
            "foreign_keys=ON",
            "cache_size=-16000",  # 16 MB
            "journal_size_limit=67108864",  # a log that a long reader made grow is cut back to 64 MB
        ):
            cursor.execute(f"PRAGMA {setting}")
        if pages is not None:
            cursor.execute(f"PRAGMA wal_autocheckpoint={pages}")
        cursor.close()

    return engine


def write_nothing(connection: Connection) -> None:
    """Write what is there already: who writes first after a checkpoint begins the log anew, and waits for the disk."""
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    connection.exec_driver_sql(f"PRAGMA user_version = {version}")


def begin(connection: Connection, *, writes: bool, wait: float) -> None:
    """Begin a transaction. One that reads first and writes then fails at once, without waiting, if somebody wrote."""
    patiently(connection, "BEGIN IMMEDIATE" if writes else "BEGIN", wait)


def patiently(connection: Connection, statement: str, wait: float) -> None:
    """Run a statement that needs a lock. SQLite does the waiting; what it refuses without waiting is tried again."""
    deadline = time.monotonic() + wait
    while True:
        try:
            connection.exec_driver_sql(statement)
        except DBAPIError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_PAUSE)
        else:
            return
