"""The engine: connections and transactions, and what is done when one is broken off."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeVar

from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError

from toolkit.db import postgresql, sqlite
from toolkit.db.dialect import SQLITE
from toolkit.db.failure import UNSPEAKABLE, is_away, translate
from toolkit.db.fork import no_fork, watch
from toolkit.db.url import read_url, shown
from toolkit.errors import StoreBusy, StoreError, StoreInterrupted

Durability = Literal["normal", "full"]
T = TypeVar("T")

_WRITES = "toolkit_writes"
_BARE = "toolkit_bare"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0  # seconds between tries


class Turn:
    """Whose turn it is to write to an SQLite file, among the threads of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class Database:
    """A database that is open: the only way to its transactions.

    It may be used by any thread, and by a child after a fork, which gets connections of its own.

    Args:
        engine: Connections, prepared by `open_database`.
        wait: Seconds to wait for a lock before `StoreBusy`, and for a server that restarts.
        full: Whether commits wait for the disk.
        turn: Whose turn it is to write, if another opening of the same file in this process shares it.
    """

    def __init__(self, engine: Engine, *, wait: float, full: bool = False, turn: Turn | None = None) -> None:
        self.engine = engine
        self.wait = wait
        self._full = full
        self._turn = turn or Turn()
        self._hasty: Database | None = None
        self._met = False  # whether a connection was ever made
        watch(self)

    @property
    def dialect(self) -> str:
        """Name of the kind of database: ``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    @property
    def place(self) -> str:
        """The database as messages name it, without its password."""
        return shown(self.engine.url)

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database; else ``None``."""
        return Path(self.engine.url.database or "") if self.dialect == SQLITE else None

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection for reading: one unchanging picture of the data, that waits for no writer.

        Raises:
            InvalidValue: It is asked for what no database can keep.
            StoreError: The database cannot be used.
            StoreBusy: It stayed locked for longer than the wait.
            StoreInterrupted: The connection was lost; `persist` tries again.
        """
        with self._transaction(writes=False) as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection for reading and writing; what is done with it is there whole at the end, or not at all.

        Threads of one process take turns to write to SQLite, which is fairer and faster than SQLite's own waiting.

        Raises:
            Conflict: The database refuses a row that contradicts another.
            InvalidValue: It never takes such a value.
            StoreError: The database cannot be used.
            StoreBusy: It stayed locked for longer than the wait.
            StoreInterrupted: The connection was lost, or other writers were in the way; `persist` tries again.
        """
        with self._one_writer(), self._transaction(writes=True) as connection:
            yield connection

    def persist(self, work: Callable[[], T], *, in_doubt: bool = True) -> T:
        """Do work of one transaction; do it again, for as long as the wait, when the database breaks it off.

        Args:
            work: What opens the transaction.
            in_doubt: Whether to do it again also where it may have been done already: only if that is harmless.

        Raises:
            StoreInterrupted: It was broken off again and again, or it is not known whether it was done.
        """
        pauses = None
        while True:
            try:
                return work()
            except StoreInterrupted as error:
                pauses = pauses or _pauses(self.wait)
                pause = next(pauses, None)
                if pause is None or (error.in_doubt and not in_doubt):
                    raise
            time.sleep(pause)

    def outside_transaction(self, statement: str) -> None:
        """Run what a database does outside transactions only, such as SQLite's change of its mode.

        Raises:
            StoreError: The database cannot be used.
            StoreBusy: It stayed locked for longer than the wait.
        """
        with self._calm(), self._translated(), self.engine.connect() as connection:
            bare = connection.execution_options(**{_BARE: True})
            if self.dialect == SQLITE:
                sqlite.patiently(bare, statement, self.wait)
            else:
                bare.exec_driver_sql(statement)

    def hasty(self) -> Database | None:
        """Open the same file for who must not wait at all (`toolkit.db.hasty`).

        Returns:
            The same database, closed with this one; ``None`` where every write waits: for a server, or for the disk.
        """
        if self.dialect != SQLITE or self._full:
            return None
        if self._hasty is None:
            from toolkit.db.hasty import Hasty  # noqa: PLC0415 - which is a database itself

            self._hasty = Hasty(sqlite.hasty_engine(self.engine.url), turn=self._turn)
        return self._hasty

    def checkpoint(self) -> None:
        """Move what was written from SQLite's log to its file, while no thread of this process writes.

        Who writes next does not wait for the disk: that the log begins anew is done here, too.

        Raises:
            StoreError: The database cannot be used.
            StoreBusy: It stayed locked for longer than the wait.
        """
        if self.dialect == SQLITE:
            with self._one_writer():
                self.outside_transaction("PRAGMA wal_checkpoint(PASSIVE)")
                with self._transaction(writes=True) as connection:
                    sqlite.write_nothing(connection)

    def close(self) -> None:
        """Close all connections."""
        if self._hasty is not None:
            self._hasty.close()
        self.engine.dispose()

    @contextlib.contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        whole = False
        try:
            with self._calm(), self._begun(writes) as connection:
                yield connection
                whole = True
        except (SQLAlchemyError, *UNSPEAKABLE) as error:
            told = translate(error, self.place, met=self._met, in_doubt=writes and whole)
            raise told from error

    @contextlib.contextmanager
    def _begun(self, writes: bool) -> Iterator[Connection]:
        """Give a connection in a transaction, which is committed at the end."""
        pauses = None
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    connection = stack.enter_context(self.engine.connect()).execution_options(**{_WRITES: writes})
                    stack.enter_context(connection.begin())
                    self._met = True
                    break
                except SQLAlchemyError as error:
                    # Nothing has been done yet. A server that was never met is rather a wrong address than away.
                    stack.close()
                    if not is_away(error, met=self._met):
                        raise
                    pauses = pauses or _pauses(self.wait)
                    pause = next(pauses, None)
                    if pause is None:
                        raise
                time.sleep(pause)
            yield connection

    @contextlib.contextmanager
    def _one_writer(self) -> Iterator[None]:
        if self.dialect != SQLITE:
            yield
            return
        turn = self._turn.lock  # a forked child gets a new one
        if not turn.acquire(timeout=self.wait):
            raise StoreBusy(f"{self.place} was busy for longer than the configured wait: try again")
        try:
            yield
        finally:
            turn.release()

    def _calm(self) -> contextlib.AbstractContextManager[None]:
        """Keep forks waiting, where a child would inherit what it must not have."""
        return no_fork() if self.dialect == SQLITE else contextlib.nullcontext()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, *UNSPEAKABLE) as error:
            raise translate(error, self.place) from error

    def release_idle(self) -> None:
        """Close the connections that nobody uses; before a fork (`toolkit.db.fork`)."""
        if self.dialect == SQLITE:
            self.engine.dispose()

    def renew_locks(self) -> None:
        """Forget who has the turn to write, in a forked child: that thread is not here.

        The parent's connections to a server are left to the parent: they are neither used nor closed here.
        """
        self._turn.lock = threading.Lock()
        if self.dialect != SQLITE:
            self.engine.dispose(close=False)


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

    def persist(self, work: Callable[[], T], *, in_doubt: bool = True) -> T:  # noqa: ARG002 - the form of Database's
        """Do the work once: when the transaction is broken off, the picture is gone."""
        return work()

    def close(self) -> None:
        """Leave the connection to who opened it."""


def open_database(
    url: str, *, wait: float = 20.0, durability: Durability = "normal", kept: int = postgresql.KEPT
) -> Database:
    """Open a database; an SQLite file is made if there is none, but nothing is put into it (`ensure_schema` does).

    Args:
        url: ``sqlite:///relative/path``, ``sqlite:////absolute/path`` or ``postgresql://user:password@host/database``.
        wait: Seconds to wait for a lock before `StoreBusy`, and for a server that restarts.
        durability: ``full`` also survives power loss; ``normal`` survives the death of any process. On PostgreSQL
            ``normal`` is what the server is set to, which is ``full`` unless somebody changed it.
        kept: How many connections to a server stay open when nobody uses them.

    Raises:
        InvalidSetting: The URL is malformed, of a kind of database that is not supported, or psycopg is not installed.
        StoreError: The folder of an SQLite file cannot be made.
    """
    return _opened(read_url(url), wait=wait, full=durability == "full", kept=kept)


def _opened(url: URL, *, wait: float, full: bool, kept: int) -> Database:
    file = url.drivername == SQLITE
    if file:
        engine = sqlite.sqlite_engine(url, wait=wait, full=full)
    else:
        engine = postgresql.postgresql_engine(url, wait=wait, full=full, kept=kept)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        writes = bool(options.get(_WRITES))
        if options.get(_BARE):
            return
        if file:
            sqlite.begin(connection, writes=writes, wait=wait)
        else:
            postgresql.begin(connection, writes=writes)

    return Database(engine, wait=wait, full=full)


def _pauses(wait: float) -> Iterator[float]:
    """Yield pauses between tries, in seconds, until the wait is over, which begins with the first failure.

    They are longer each time, and not the same for all who wait.
    """
    deadline = time.monotonic() + wait
    longest = _FIRST_PAUSE
    while (pause := longest * random.uniform(0.5, 1.5)) < deadline - time.monotonic():  # noqa: S311 - no secret
        yield pause
        longest = min(2 * longest, _LONGEST_PAUSE)
