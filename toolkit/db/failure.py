"""The one translation of what a database says into our errors. Values, statements and passwords are never repeated."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from toolkit.errors import Conflict, InvalidValue, StoreBusy, StoreError, StoreInterrupted

_PRIMARY = 0xFF  # the lower byte of SQLite's result codes; the rest says more

_SQLITE_MESSAGES = {
    sqlite3.SQLITE_FULL: "there is no space left for the database: free some and try again; nothing was lost",
    sqlite3.SQLITE_READONLY: "the database cannot be written: check the permissions of its file and folder",
    sqlite3.SQLITE_PERM: "the database cannot be opened: check the permissions of its file and folder",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened: check its path, and the permissions of file and folder",
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database; it was left as it is",
    sqlite3.SQLITE_CORRUPT: "the database is damaged: stop writing to it, copy it, and restore a backup",
    sqlite3.SQLITE_IOERR: "the disk under the database fails, or is full",
}

# SQLSTATE codes of PostgreSQL, "Appendix A. PostgreSQL Error Codes".
_BUSY = {"55P03", "57014"}  # a lock was not given in time; a statement took longer than the server allows
_BROKEN_OFF = {"40001", "40P01"}  # serialization failure, deadlock: rolled back for sure
_FULL_HOUSE = {"53300", "57P03"}  # too many connections; starting up or shutting down
_GONE = ("57P01", "57P02", "08")  # the server ended the connection, or it was lost
_POSTGRESQL_MESSAGES = {
    "53100": "there is no space left for the database: free some and try again; nothing was lost",
    "25006": "the database takes no writes: it is a standby, or default_transaction_read_only is set",
    "42501": "the database's user lacks a right",
    "28P01": "the database refuses the user or the password",
    "28000": "the database refuses the user",
    "3D000": "there is no such database: make it with createdb",
    "42P01": "a table is missing: call toolkit db upgrade, and toolkit db check",
    "XX001": "the database is damaged: stop writing to it, copy it, and restore a backup",
    "XX002": "an index of the database is damaged: REINDEX it",
}

UNSPEAKABLE = (UnicodeEncodeError, OverflowError)
"""What a driver raises, as it is, for a value that it cannot even send: half a character, a number of over 64 bits."""

# The same value will never be taken: a row too long for an index, a number out of range, characters that are none.
_REFUSED = {"54000", "22001", "22003", "22021", "22P05"}
_NUL = "cannot contain NUL"  # psycopg's own words, without a code

# What a server says before it lets anybody in, where libpq hands on no code.
_WORDS = {
    "password authentication failed": "28P01",
    "no pg_hba.conf entry": "28000",
    "too many clients": "53300",
    "remaining connection slots": "53300",
    "the database system is": "57P03",
    '" does not exist': "3D000",
}


def is_busy(error: BaseException | None) -> bool:
    """Tell whether an error of SQLAlchemy or of the driver says that somebody else holds a lock."""
    if isinstance(error, DBAPIError):
        error = error.orig
    if isinstance(error, sqlite3.Error):
        return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
    return _state(error) in _BUSY


def is_away(error: BaseException, *, met: bool) -> bool:
    """Tell whether an error, before anything was done, says that a server may soon be there (again).

    Args:
        error: What was raised when a transaction was to begin.
        met: Whether the server was ever there.
    """
    if not isinstance(error, DBAPIError) or isinstance(error.orig, sqlite3.Error):
        return False
    if _state(error.orig) in _FULL_HOUSE:
        return True
    return met and _is_lost(error)


def translate(
    error: Exception, place: str, *, met: bool = True, in_doubt: bool = False
) -> StoreError | Conflict | InvalidValue:
    """Return the error of ours for one of SQLAlchemy's, or one of `UNSPEAKABLE`.

    Args:
        error: What was raised.
        place: The database, as messages name it.
        met: Whether the server was ever there.
        in_doubt: Whether it was raised while a change was committed.
    """
    if isinstance(error, UNSPEAKABLE):
        return InvalidValue("a value is no valid Unicode, or a number of more than 64 bits: no database can keep it")
    if isinstance(error, PoolTimeout) or is_busy(error):
        return StoreBusy(f"{place} was locked by others for longer than the configured wait: try again")
    if isinstance(error, IntegrityError):
        return Conflict(f"the change contradicts what {place} holds: {_said(error.orig)}")
    if not isinstance(error, DBAPIError):
        return StoreError(f"{place}: {error}")
    if _is_refused(error.orig):  # trying again is in vain: it is not the store's fault
        return InvalidValue(f"the database cannot keep a value, or one of such length ({_said(error.orig)})")
    if isinstance(error.orig, sqlite3.Error):
        return StoreError(f"{place}: {_SQLITE_MESSAGES.get(_code(error.orig)) or error.orig}")
    return _of_postgresql(error, place, met, in_doubt)


def _of_postgresql(error: DBAPIError, place: str, met: bool, in_doubt: bool) -> StoreError:
    state, said = _state(error.orig), _said(error.orig)
    if state in _BROKEN_OFF:
        return StoreInterrupted(f"{place} broke the change off, for others wrote the same ({said}): try again")
    if state in _FULL_HOUSE:
        return StoreBusy(f"{place} lets nobody in now ({said}): try again")
    if message := _POSTGRESQL_MESSAGES.get(state):
        return StoreError(f"{place}: {message} ({said})")
    if not _is_lost(error):
        return StoreError(f"{place}: {said}")
    if in_doubt:
        return StoreInterrupted(
            f"{place}: the connection was lost while a change was committed ({said}): look whether "
            "it was, and try again",
            in_doubt=True,
        )
    kind = StoreInterrupted if met else StoreError
    return kind(f"{place} cannot be reached ({said}): check that it runs, and its address")


def _is_refused(error: BaseException | None) -> bool:
    """Tell whether a database does not take a value, and never will."""
    if isinstance(error, sqlite3.Error):
        return _code(error) == sqlite3.SQLITE_TOOBIG
    return _state(error) in _REFUSED or (isinstance(error, Exception) and _NUL in str(error))


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)  # only errors that SQLite itself raised have one
    return code & _PRIMARY


def _state(error: BaseException | None) -> str:
    """Return the SQLSTATE of an error of psycopg; empty where the server said nothing."""
    state: str | None = getattr(error, "sqlstate", None)
    if state or not _is_operational(error):
        return state or ""
    said = str(error)
    return next((state for words, state in _WORDS.items() if words in said), "")


def _is_lost(error: DBAPIError) -> bool:
    """Tell whether there is no connection, or none any more."""
    state = _state(error.orig)
    return error.connection_invalidated or state.startswith(_GONE) or (not state and _is_operational(error.orig))


def _is_operational(error: BaseException | None) -> bool:
    return type(error).__name__ in ("OperationalError", "ConnectionTimeout")


def first_line(error: DBAPIError) -> str:
    """Return the first line of what a driver says; what follows it repeats values."""
    return _said(error.orig)


def _said(error: BaseException | None) -> str:
    diagnosis = getattr(error, "diag", None)
    text: str = getattr(diagnosis, "message_primary", None) or str(error)
    return text.strip().partition("\n")[0]
