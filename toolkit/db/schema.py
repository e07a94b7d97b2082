"""The schema's life: made, recognised, upgraded, or refused.

The common case, a database of this version, costs one query. Alembic is imported only where a schema must be upgraded:
a new database is made from `tables` and stamped, which a test holds to be the same as all migrations in a row.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy import Connection, inspect, select

from toolkit.db.dialect import SQLITE
from toolkit.db.engine import Database
from toolkit.db.postgresql import unhurried
from toolkit.db.tables import SCHEMA_TABLE, metadata, schema_version
from toolkit.errors import SchemaError, StoreBusy, StoreError

HEAD = "0007"
"""The newest migration: what this version of the code works with."""

_MLFLOW = {"experiments", "runs", "alembic_version"}
_SHOWN_TABLES = 5
_LOCK = 0x746F_6F6C_6B69_7401  # of PostgreSQL's advisory locks, which are of a database: the letters "toolkit", and 1


def ensure_schema(database: Database) -> str | None:
    """Make the schema, or upgrade it, if that is needed. Several processes may do this at once: one works, all wait.

    Returns:
        The version that there was before; ``None`` where there was no schema.

    Raises:
        SchemaError: The schema is newer than this code, or the database holds tables of somebody else's that have the
            names of ours. It is left as it was.
        StoreError: The database cannot be used.
        StoreBusy: Another process holds the database for longer than the wait.
    """
    return database.persist(lambda: _ensure(database))


def _ensure(database: Database) -> str | None:
    if _is_ready(database):
        return HEAD
    _refuse_foreign(database)
    with _one_process(database):
        if _is_ready(database):
            return HEAD
        with database.write() as connection, contextlib.ExitStack() as stack:
            if database.dialect != SQLITE:
                stack.enter_context(unhurried(connection))
                # Held until the end of the transaction, whatever that is.
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            version = _version(connection)
            if version is None:
                metadata.create_all(connection, checkfirst=False)  # what is there already would not be ours
                connection.execute(schema_version.insert().values(version_num=HEAD))
            elif version != HEAD:
                upgrade(connection, database.place)
        _write_ahead(database)
        return version


def read_version(database: Database) -> str | None:
    """Return the version of the schema that a database has; ``None`` where there is none of ours.

    Raises:
        StoreError: The database cannot be used.
    """
    with database.read() as connection:
        return _version(connection)


def upgrade(connection: Connection, place: str, target: str = HEAD) -> None:
    """Run the migrations up to ``target`` in the transaction of ``connection``.

    Raises:
        SchemaError: The database has a version that is not among the migrations: a newer one.
    """
    from alembic import command  # noqa: PLC0415 - heavy, and hardly ever needed
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "toolkit.db:migrations")
    config.attributes["connection"] = connection
    version = _version(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise SchemaError(
            f"{place} was made by a newer version of toolkit (its schema is {version!r}, the newest known here "
            f"{HEAD!r}): upgrade toolkit, or use another database; nothing was changed"
        )
    command.upgrade(config, target)


def _is_ready(database: Database) -> bool:
    try:
        return _is_head(database)
    except StoreError:
        with database.read() as connection:
            there = inspect(connection).has_table(SCHEMA_TABLE)
        # If it is there, another process made it since, or it was another failure: the second try tells.
        return there and _is_head(database)


def _is_head(database: Database) -> bool:
    with database.read() as connection:
        if connection.execute(select(schema_version.c.version_num)).scalar() != HEAD:
            return False
        # A file that was restored from a copy may have lost its mode.
        return database.dialect != SQLITE or connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def _version(connection: Connection) -> str | None:
    """Return the version of the schema; ``None`` where there is no schema of ours."""
    if not inspect(connection).has_table(SCHEMA_TABLE):
        return None
    version: str | None = connection.execute(select(schema_version.c.version_num)).scalar()
    return version


def _refuse_foreign(database: Database) -> None:
    """Refuse a database where others have tables of our names. Beside tables of other names ours may stand."""
    with database.read() as connection:
        look = inspect(connection)
        found = {*look.get_table_names(), *look.get_view_names()}
        encoding = "UTF8" if database.dialect == SQLITE else connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise SchemaError(f"{database.place} keeps text as {encoding}: give toolkit a database with the encoding UTF8")
    if SCHEMA_TABLE in found or not (taken := found & set(metadata.tables)):
        return
    own = "sqlite:///toolkit.db" if database.dialect == SQLITE else "one made with createdb"
    if found >= _MLFLOW:
        raise SchemaError(
            f"{database.place} is a database of MLflow's own; it was left as it is. Give toolkit a database of its "
            f"own, such as {own}"
        )
    names = ", ".join(sorted(taken)[:_SHOWN_TABLES])
    raise SchemaError(
        f"{database.place} holds tables of another program with names that toolkit needs ({names}); it was left as it "
        f"is. Give toolkit another database, such as {own}"
    )


def _write_ahead(database: Database) -> None:
    """Let readers and the writer of an SQLite file go on beside each other, from now on and for everybody."""
    if database.dialect == SQLITE:
        database.outside_transaction("PRAGMA journal_mode=WAL")


@contextlib.contextmanager
def _one_process(database: Database) -> Iterator[None]:
    """Hold the lock file beside an SQLite file: the lock that SQLite has cannot be waited for while tables are made."""
    if database.file is None:
        yield
        return
    from filelock import FileLock, Timeout  # noqa: PLC0415 - only where a schema is made or upgraded

    path = database.file.with_name(database.file.name + ".lock")
    try:
        with FileLock(path, timeout=database.wait):
            yield
    except Timeout:
        raise StoreBusy(f"{database.place} is being upgraded by another process: try again") from None
