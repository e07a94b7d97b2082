"""A first database for our Prefect server, made in a few milliseconds.

Prefect makes its SQLite database by walking through every change that its schema ever saw, which takes six seconds:
two thirds of the first start. Here it is made from ``prefect_schema.sql``, the schema as those changes leave it,
marked with the last of them. Prefect looks at the mark when it starts and applies what is newer, as for any database of
an earlier version; a test holds the outcome against Prefect's own. Where anything does not fit, nothing is made and
Prefect takes its own way.

``prefect_schema.sql`` is `dump` of a database that the lowest Prefect that we allow has made.
"""

from __future__ import annotations

import importlib.util
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

_SCHEMA = Path(__file__).with_name("prefect_schema.sql")
_REVISION = re.compile(r"INSERT INTO \"?alembic_version\"? VALUES\('(\w+)'\)")
_MIGRATIONS = Path("server", "database", "_migrations", "versions", "sqlite")
_URL_SETTINGS = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")


def make(file: Path, environ: Mapping[str, str]) -> bool:
    """Make Prefect's database, unless there is one or Prefect is told to use another.

    Args:
        file: Where Prefect looks for it.
        environ: The environment variables of the server.

    Returns:
        Whether it was made.
    """
    if file.exists() or any(environ.get(name) for name in _URL_SETTINGS):
        return False
    try:
        schema = _SCHEMA.read_text(encoding="utf-8")
    except OSError:
        return False
    if not _is_known(schema):
        return False
    unfinished = file.with_name(f".{file.name}.new")
    unfinished.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(unfinished)) as database:
            database.executescript(schema)
        unfinished.rename(file)
    except sqlite3.Error:  # a SQLite that lacks something the schema needs: Prefect will say so better
        with suppress(OSError):
            unfinished.unlink()
        return False
    return True


def _is_known(schema: str) -> bool:
    """Tell whether the installed Prefect knows the change that the schema is marked with."""
    mark = _REVISION.search(schema)
    prefect = importlib.util.find_spec("prefect")  # finds it without importing it
    if mark is None or prefect is None or prefect.origin is None:
        return False
    return any((Path(prefect.origin).parent / _MIGRATIONS).glob(f"*{mark[1]}*.py"))


def dump(file: Path) -> str:
    """Return the SQL text that makes a database like a freshly made one of Prefect's.

    Args:
        file: The database.
    """
    with closing(sqlite3.connect(file)) as database:
        return "\n".join(line.rstrip() for text in database.iterdump() for line in text.splitlines()) + "\n"
