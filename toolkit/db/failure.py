"""The one translation of what a database says into our errors. Values and statements are never repeated."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from toolkit.errors import Conflict, StoreBusy, StoreError

_PRIMARY = 0xFF  # the lower byte of SQLite's result codes; the rest says more

_SQLITE_MESSAGES = {
    sqlite3.SQLITE_FULL: "there is no space left for the database: free some and try again; nothing was lost",
    sqlite3.SQLITE_READONLY: "the database cannot be written: check the permissions of its file and folder",
    sqlite3.SQLITE_PERM: "the database cannot be opened: check the permissions of its file and folder",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened: check its path, and the permissions of file and folder",
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database; it was left as it is",
    sqlite3.SQLITE_CORRUPT: "the database is damaged: stop writing to it, copy it, and restore a backup",
    sqlite3.SQLITE_IOERR: "the disk under the database fails, or is full",
    sqlite3.SQLITE_TOOBIG: "a value is too long for the database",
}


def is_busy(error: BaseException | None) -> bool:
    """Tell whether an error of SQLAlchemy or of the driver says that somebody else holds a lock."""
    if isinstance(error, DBAPIError):
        error = error.orig
    if isinstance(error, sqlite3.Error):
        return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
    return False


def translate(error: SQLAlchemyError, place: str) -> StoreError | Conflict:
    """Return the error of ours for one of SQLAlchemy's.

    Args:
        error: What was raised.
        place: The database, as messages name it.
    """
    if isinstance(error, PoolTimeout) or is_busy(error):
        return StoreBusy(f"{place} was locked by others for longer than the configured wait: try again")
    if isinstance(error, IntegrityError):
        return Conflict(f"the change contradicts what {place} holds: {error.orig}")
    if isinstance(error, DBAPIError):
        if isinstance(error.orig, sqlite3.Error) and (message := _SQLITE_MESSAGES.get(_code(error.orig))):
            return StoreError(f"{place}: {message}")
        return StoreError(f"{place}: {error.orig}")
    return StoreError(f"{place}: {error}")


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)  # only errors that SQLite itself raised have one
    return code & _PRIMARY
