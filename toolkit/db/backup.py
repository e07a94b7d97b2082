"""Backups: a whole copy of a database, as it was at one moment, taken while others write."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL

from toolkit.db.engine import Database
from toolkit.errors import AlreadyExists, InvalidValue, NotFound, StoreError

_CONNECTION = ("host", "port", "user", "dbname")


def back_up(database: Database, target: Path, *, force: bool = False) -> int:
    """Copy a database into a file, which appears whole or not at all; return its size in bytes.

    A copy of an SQLite file is one itself; one of a PostgreSQL database is for ``pg_restore``.

    Args:
        database: What is copied. Others may write to it meanwhile: what they do after the beginning is not in the copy.
        target: The file to be.
        force: Whether it may replace one that is there.

    Raises:
        AlreadyExists: The file is there.
        InvalidValue: The file's folder is not there, or the file is the database itself.
        NotFound: There is no database to copy.
        StoreError: It cannot be copied.
    """
    target = target.absolute()
    if not target.parent.is_dir():
        raise InvalidValue(f"there is no folder {target.parent} for the backup: make it first")
    if target.is_dir():
        raise InvalidValue(f"{target} is a folder: give the name of a file for the backup")
    if database.file is not None and not database.file.exists():
        raise NotFound(f"there is no database {database.place} to back up")
    if database.file is not None and target.exists() and target.samefile(database.file):
        raise InvalidValue(f"{target} is the database itself: give another file for the backup")
    if target.exists() and not force:
        raise _there(target)
    with _appearing(target, force=force) as part:
        if database.file is not None:
            _copy_sqlite(database, part)
        else:
            _dump_postgresql(database, part)
    return target.stat().st_size


def _there(target: Path) -> AlreadyExists:
    return AlreadyExists(f"{target} is there already: choose another name, or replace it with --force")


@contextlib.contextmanager
def _appearing(target: Path, *, force: bool) -> Iterator[Path]:
    """Give a file to write to, which takes the target's name when it is written."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        # What others may not read in the database they may not read in its copy.
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            yield part
            _sync(part)
            if force:
                part.replace(target)
            else:
                os.link(part, target)
        except FileExistsError:
            raise _there(target) from None
        finally:
            part.unlink(missing_ok=True)
        _sync(target.parent)
    except OSError as error:
        raise StoreError(f"the backup {target} cannot be written: {error.strerror or error}") from error


def _sync(path: Path) -> None:
    """Let a file, or the names in a folder, survive the loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _copy_sqlite(database: Database, part: Path) -> None:
    """Copy page by page within one reading transaction, which stops nobody; then see whether the copy can be read."""
    copy = sqlite3.connect(part)
    try:
        with database.read() as connection:
            source = connection.connection.dbapi_connection
            assert isinstance(source, sqlite3.Connection)
            source.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without others beside it; it is WAL again when used
        told = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreError(f"{database.place} cannot be backed up: {error}") from error
    finally:
        copy.close()
    if told != "ok":
        raise StoreError(f"the copy of {database.place} is damaged ({told}): call toolkit db check")


def _dump_postgresql(database: Database, part: Path) -> None:
    program = shutil.which("pg_dump")
    if program is None:
        raise StoreError(
            f"{database.place} is backed up by pg_dump, which is not on the PATH: install PostgreSQL's client programs"
        )
    conninfo, variables = _connection(database.engine.url)
    done = subprocess.run(
        [program, "--format=custom", "--no-password", f"--file={part}", f"--dbname={conninfo}"],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it said nothing")
        raise StoreError(f"{database.place} cannot be backed up: {said}")


def _connection(url: URL) -> tuple[str, dict[str, str]]:
    """Return what names a database to libpq's programs, and the variables that keep its password out of their call."""
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415 - an extra

    given = {name: value if isinstance(value, str) else ",".join(value) for name, value in url.query.items()}
    secret = given.pop("password", None) or url.password
    place = dict(zip(_CONNECTION, (url.host, url.port, url.username, url.database), strict=True))
    named = {**{name: value for name, value in place.items() if value is not None}, **given}
    return make_conninfo("", **named), {} if secret is None else {"PGPASSWORD": str(secret)}
