"""The engine: connections, transactions and what each kind of database needs at the start of one."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from toolkit.db.dialect import SQLITE
from toolkit.db.failure import is_busy, translate
from toolkit.db.fork import no_fork, watch
from toolkit.errors import InvalidSetting, StoreBusy, StoreError

Durability = Literal["normal", "full"]

_WRITES = "toolkit_writes"
_BARE = "toolkit_bare"
_RETRY_PAUSE = 0.005
_POOL_SIZE = 8
_POOL_OVERFLOW = 56


class Database:
    """A database that is open: the only way to its transactions.

    It may be used by any thread, and by a child after a fork, which gets connections of its own.

    Args:
        engine: Connections, prepared by `open_database`.
        wait: Seconds to wait for a lock before `StoreBusy`.
    """

    def __init__(self, engine: Engine, *, wait: float) -> None:
        self.engine = engine
        self.wait = wait
        self._turn = threading.Lock()
        watch(self)

    @property
    def dialect(self) -> str:
        """Name of the kind of database: ``sqlite``."""
        return self.engine.dialect.name

    @property
    def place(self) -> str:
        """The database as messages name it, without its password."""
        return self.engine.url.render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database; else ``None``."""
        return Path(self.engine.url.database or "") if self.dialect == SQLITE else None

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection for reading: one unchanging picture of the data, that waits for no writer.

        Raises:
            StoreError: The database cannot be used.
            StoreBusy: It stayed locked for longer than the wait.
        """
        with no_fork(), self._translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection for reading and writing; what is done with it is there whole at the end, or not at all.

        Threads of one process take turns here, which is fairer and faster than SQLite's own waiting.

        Raises:
            Conflict: The database refuses a row that contradicts another.
            StoreError: The database cannot be used.
            StoreBusy: It stayed locked for longer than the wait.
        """
        turn = self._turn  # a forked child gets a new one
        if not turn.acquire(timeout=self.wait):
            raise StoreBusy(f"{self.place} was busy for longer than the configured wait: try again")
        try:
            with no_fork(), self._translated(), self.engine.connect() as connection:
                connection = connection.execution_options(**{_WRITES: True})
                with connection.begin():
                    yield connection
        finally:
            turn.release()

    def outside_transaction(self, statement: str) -> None:
        """Run what a database does outside transactions only, such as SQLite's change of its mode.

        Raises:
            StoreError: The database cannot be used.
            StoreBusy: It stayed locked for longer than the wait.
        """
        with no_fork(), self._translated(), self.engine.connect() as connection:
            _patiently(connection.execution_options(**{_BARE: True}), statement, self.wait)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise translate(error, self.place) from error

    def release_idle(self) -> None:
        """Close the connections that nobody uses; before a fork (`toolkit.db.fork`)."""
        self.engine.dispose()

    def renew_locks(self) -> None:
        """Forget who has the turn to write, in a forked child: that thread is not here."""
        self._turn = threading.Lock()


class Picture(Database):
    """A database as one transaction sees it, for reading only.

    Args:
        database: Whose picture it is.
        connection: In a transaction of `Database.read`, by which everything is read.
    """

    def __init__(self, database: Database, connection: Connection) -> None:
        self.engine = database.engine
        self.wait = database.wait
        self._connection = connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Give the connection.

        Raises:
            StoreError: The database cannot be used.
        """
        with self._translated():
            yield self._connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Refuse.

        Raises:
            StoreError: Always.
        """
        raise StoreError(f"this is a picture of {self.place}, which cannot be written to")
        yield self._connection

    def close(self) -> None:
        """Leave the connection to who opened it."""


def open_database(url: str, *, wait: float = 20.0, durability: Durability = "normal") -> Database:
    """Open a database; an SQLite file is made if there is none, but nothing is put into it (`ensure_schema` does).

    Args:
        url: SQLAlchemy URL; ``sqlite:///relative/path`` or ``sqlite:////absolute/path``.
        wait: Seconds to wait for a lock before `StoreBusy`.
        durability: ``full`` also survives power loss; ``normal`` survives the death of any process.

    Raises:
        InvalidSetting: The URL is malformed, or of a kind of database that is not supported.
        StoreError: The folder of an SQLite file cannot be made.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InvalidSetting(
            f"{url!r} is not a database URL: wanted one such as sqlite:////path/to/toolkit.db"
        ) from None
    if parsed.get_backend_name() != SQLITE:
        shown = parsed.render_as_string(hide_password=True)
        raise InvalidSetting(
            f"{shown!r}: only SQLite databases are supported now, such as sqlite:////path/to/toolkit.db"
        )
    return Database(_sqlite_engine(parsed, wait=wait, durability=durability), wait=wait)


def _sqlite_engine(url: URL, *, wait: float, durability: Durability) -> Engine:
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise InvalidSetting(f"{str(url)!r} names no file: wanted one such as sqlite:////path/to/toolkit.db")
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder {folder} of the database cannot be made: {error.strerror}") from error
    engine = create_engine(
        url.set(drivername=SQLITE),
        connect_args={"timeout": wait, "isolation_level": None},  # None: we say BEGIN ourselves
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_OVERFLOW,
        pool_timeout=wait,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        for setting in (
            f"synchronous={'FULL' if durability == 'full' else 'NORMAL'}",
            "foreign_keys=ON",
            "cache_size=-16000",  # 16 MB
            "journal_size_limit=67108864",  # a log that a long reader made grow is cut back to 64 MB
        ):
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes then fails at once, without waiting, when somebody wrote in between.
        options = connection.get_execution_options()
        if not options.get(_BARE):
            _patiently(connection, "BEGIN IMMEDIATE" if options.get(_WRITES) else "BEGIN", wait)

    return engine


def _patiently(connection: Connection, statement: str, wait: float) -> None:
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
