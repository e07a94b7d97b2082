"""Looking a database over: its schema, whether it is whole, how much is in it, what it is set to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, inspect, select
from sqlalchemy.exc import DBAPIError

from toolkit.db.dialect import SQLITE
from toolkit.db.engine import Database
from toolkit.db.failure import first_line
from toolkit.db.postgresql import unhurried
from toolkit.db.schema import HEAD, read_version
from toolkit.db.tables import metadata
from toolkit.errors import NotFound

_SHOWN = 5
_OLDEST = 130_000  # PostgreSQL 13

_COUNTED = ("experiments", "runs", "metrics", "params", "tags", "artifacts", "datasets")


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What was found.

    Attributes:
        dialect: Kind of database.
        place: Which one, without its password.
        server: Version of the server or the library.
        schema: Version of its schema; ``None`` where there is none.
        known: The newest version that this code knows.
        size: Bytes that it takes.
        counts: Rows of each kind.
        settings: What it is set to, of what matters.
        checked: How it was looked at.
        problems: What is wrong.
        warnings: What is not as it should be, though it works.
    """

    dialect: str
    place: str
    server: str
    schema: str | None
    known: str
    size: int
    counts: Mapping[str, int]
    settings: Mapping[str, str]
    checked: Sequence[str]
    problems: Sequence[str]
    warnings: Sequence[str]


def check(database: Database) -> Check:
    """Look a database over. Nothing is changed; it takes as long as to read it.

    Raises:
        NotFound: There is no such SQLite file.
        StoreError: It cannot be used at all.
    """
    if database.file is not None and not database.file.exists():
        raise NotFound(f"there is no database {database.place} yet: toolkit db upgrade makes it")
    version = read_version(database)
    with database.read() as connection, contextlib.ExitStack() as stack:
        if database.dialect != SQLITE:
            stack.enter_context(unhurried(connection))
        look = _sqlite if database.dialect == SQLITE else _postgresql
        found = look(connection, database)
        there = set(inspect(connection).get_table_names())
        counts = {name: _count(connection, name) for name in _COUNTED if name in there} if version else {}
    problems = [*_of_schema(version, there), *found.problems]
    return Check(
        dialect=database.dialect,
        place=database.place,
        server=found.server,
        schema=version,
        known=HEAD,
        size=found.size,
        counts=counts,
        settings=found.settings,
        checked=found.checked,
        problems=problems,
        warnings=found.warnings,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """What one kind of database says of itself."""

    server: str
    size: int
    settings: Mapping[str, str]
    checked: Sequence[str]
    problems: Sequence[str]
    warnings: Sequence[str]


def _of_schema(version: str | None, there: set[str]) -> Iterator[str]:
    if version is None:
        yield "it has no schema of toolkit's: call toolkit db upgrade"
    elif version < HEAD:
        yield f"its schema {version} is older than {HEAD}: call toolkit db upgrade"
    elif version > HEAD:
        yield f"its schema {version} is newer than {HEAD}: upgrade toolkit"
    elif missing := sorted(set(metadata.tables) - there):
        yield f"tables are missing: {', '.join(missing[:_SHOWN])}: restore a backup"


def _count(connection: Connection, name: str) -> int:
    return int(connection.execute(select(func.count()).select_from(metadata.tables[name])).scalar_one())


def _sqlite(connection: Connection, database: Database) -> _Found:
    def ask(statement: str) -> list[str]:
        return [str(row[0]) for row in connection.exec_driver_sql(statement)]

    file = database.file
    assert file is not None
    damaged = [text for text in ask("PRAGMA integrity_check") if text != "ok"]
    lonely = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    mode = ask("PRAGMA journal_mode")[0]
    log = file.with_name(f"{file.name}-wal")
    problems = [f"it is damaged ({text}): copy it, and restore a backup" for text in damaged[:_SHOWN]]
    problems += [f"a row of {row[0]} belongs to a row of {row[2]} that is not there" for row in lonely[:_SHOWN]]
    warnings = (
        [] if mode == "wal" else [f"its mode is {mode}, in which readers and writers wait for each other: wanted wal"]
    )
    return _Found(
        server=f"SQLite {ask('SELECT sqlite_version()')[0]}",
        size=file.stat().st_size + (log.stat().st_size if log.exists() else 0),
        settings={"journal_mode": mode},
        checked=["integrity_check", "foreign_key_check"],
        problems=problems,
        warnings=warnings,
    )


def _postgresql(connection: Connection, _database: Database) -> _Found:
    names = ("server_version", "synchronous_commit", "fsync", "full_page_writes", "max_connections", "server_encoding")
    settings = {name: str(connection.exec_driver_sql(f"SHOW {name}").scalar()) for name in names}
    number = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
    problems = []
    if number < _OLDEST:
        problems.append(f"PostgreSQL {settings['server_version']} is too old: wanted 13 or newer")
    if settings["server_encoding"] != "UTF8":
        problems.append(f"it keeps text as {settings['server_encoding']}: wanted UTF8")
    losses = {
        "synchronous_commit": "what was acknowledged last may be lost when the server crashes",
        "fsync": "a crash of the machine may damage the database",
        "full_page_writes": "a crash of the machine may damage the database",
    }
    warnings = [f"{name} is off: {loss}" for name, loss in losses.items() if settings[name] == "off"]
    if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar():
        warnings.append("it is a standby: it can be read, not written")
    elif connection.exec_driver_sql("SHOW default_transaction_read_only").scalar() == "on":
        warnings.append("default_transaction_read_only is on: it can be read, not written")
    checked, damaged = _indices(connection)
    return _Found(
        server=f"PostgreSQL {settings['server_version']}",
        size=int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()),
        settings=settings,
        checked=checked,
        problems=[*problems, *damaged],
        warnings=warnings,
    )


def _indices(connection: Connection) -> tuple[list[str], list[str]]:
    """Check the indices of our tables; each in whole where the extension amcheck is there and may be called."""
    rows = connection.exec_driver_sql(
        "SELECT i.indexrelid, i.indexrelid::regclass::text, i.indisvalid FROM pg_index i "
        "JOIN pg_class t ON t.oid = i.indrelid WHERE t.relname = ANY(%s) "
        "AND t.relnamespace = current_schema()::regnamespace ORDER BY 2",
        (sorted(metadata.tables),),
    ).all()
    problems = [f"the index {name} is not valid: REINDEX it" for _, name, valid in rows if not valid]
    able = connection.exec_driver_sql(
        "SELECT n.nspname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
        "WHERE p.proname = 'bt_index_check' AND p.pronargs = 1 AND has_function_privilege(p.oid, 'EXECUTE')"
    ).scalar()
    if able is None:
        return ["indices are valid (with the extension amcheck they would be read, too)"], problems
    schema = connection.dialect.identifier_preparer.quote(able)
    for number, name, _ in rows:
        state = connection.begin_nested()
        try:
            connection.exec_driver_sql(f"SELECT {schema}.bt_index_check(%s::regclass)", (number,))
        except DBAPIError as error:
            state.rollback()
            problems.append(f"the index {name} is damaged ({first_line(error)}): REINDEX it")
        else:
            state.rollback()
    return ["amcheck"], problems
