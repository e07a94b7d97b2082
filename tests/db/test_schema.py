"""The schema: made, recognised, refused."""

from __future__ import annotations

import hashlib
import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event

from toolkit.db.engine import Database, open_database
from toolkit.db.schema import HEAD, ensure_schema, upgrade
from toolkit.db.tables import SCHEMA_TABLE, metadata
from toolkit.errors import SchemaError, StoreError


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def definition(database: Database) -> list[tuple[object, ...]]:
    with database.read() as connection:
        return [
            tuple(row)
            for row in connection.exec_driver_sql("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2")
        ]


def make(path: Path, script: str) -> str:
    """Make a database of somebody else's; return the digest of its file."""
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_made_at_once_or_by_migrations_it_is_the_same(tmp_path: Path) -> None:
    at_once, migrated = (open_database(url(tmp_path / name)) for name in ("a.db", "b.db"))
    ensure_schema(at_once)
    with migrated.write() as connection:
        upgrade(connection, migrated.place)
    assert definition(at_once) == definition(migrated)
    for database in (at_once, migrated):
        with database.read() as connection:
            assert connection.exec_driver_sql(f"SELECT version_num FROM {SCHEMA_TABLE}").all() == [(HEAD,)]
            context = MigrationContext.configure(connection, opts={"version_table": SCHEMA_TABLE})
            assert compare_metadata(context, metadata) == []
        ensure_schema(database)
        database.close()


def test_the_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "toolkit.db:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_schema_that_is_there_costs_one_query(tmp_path: Path) -> None:
    database = open_database(url(tmp_path / "x.db"))
    ensure_schema(database)
    seen: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    ensure_schema(database)
    assert [text.split()[0] for text in seen] == ["BEGIN", "SELECT", "PRAGMA"]
    database.close()


def test_neither_a_new_nor_a_known_database_needs_alembic(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom toolkit.tracking.sql import SqlRunStore\n"
        f"for _ in range(2): SqlRunStore({url(tmp_path / 'x.db')!r}, 'file:///a').close()\n"
        "assert not {'alembic', 'mako', 'hypothesis', 'prefect'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("version", ["9999", ""])
def test_a_newer_schema_is_refused(tmp_path: Path, version: str) -> None:
    path = tmp_path / "x.db"
    made = make(
        path, f"CREATE TABLE {SCHEMA_TABLE} (version_num TEXT); INSERT INTO {SCHEMA_TABLE} VALUES ('{version}')"
    )
    database = open_database(url(path))
    with pytest.raises(SchemaError, match="newer version of toolkit"):
        ensure_schema(database)
    database.close()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == made


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (("experiments", "runs", "metrics", "alembic_version"), "MLflow's own"),
        (("experiments", "runs"), r"another program .*\(experiments, runs\)"),
        (("studies", "trials", "tags"), r"another program .*\(tags\)"),
        (tuple(metadata.tables)[1:], "another program"),
    ],
)
def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path, tables: tuple[str, ...], message: str) -> None:
    path = tmp_path / "x.db"
    made = make(path, "".join(f"CREATE TABLE {table} (id INTEGER);" for table in tables))
    database = open_database(url(path))
    with pytest.raises(SchemaError, match=message) as error:
        ensure_schema(database)
    database.close()
    assert "sqlite:///toolkit.db" in str(error.value)
    assert len(str(error.value)) < 500
    assert hashlib.sha256(path.read_bytes()).hexdigest() == made
    assert [file.name for file in tmp_path.iterdir()] == ["x.db"]


def test_other_programs_may_have_tables_beside_ours(tmp_path: Path) -> None:
    """Also one that uses Alembic: its version table is not ours."""
    path = tmp_path / "x.db"
    make(path, "CREATE TABLE studies (id INTEGER); CREATE TABLE alembic_version (version_num TEXT);")
    with sqlite3.connect(path) as other:
        other.execute("INSERT INTO alembic_version VALUES ('v3.2.0.a')")
    other.close()
    for _ in range(2):
        database = open_database(url(path))
        ensure_schema(database)
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "v3.2.0.a"
            assert connection.exec_driver_sql("SELECT count(*) FROM studies").scalar() == 0
        database.close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"PK\x03\x04 not a database" * 1_000)
    before = path.read_bytes()
    database = open_database(url(path))
    with pytest.raises(StoreError, match="not an SQLite database"):
        ensure_schema(database)
    database.close()
    assert path.read_bytes() == before


def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").touch()
    database = open_database(url(tmp_path / "x.db"))
    ensure_schema(database)
    ensure_schema(database)
    database.close()


def test_a_failure_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    database = open_database(url(tmp_path / "x.db"))

    def fail(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "CREATE TABLE artifacts" in statement:
            raise OSError("pulled the plug")

    event.listen(database.engine, "before_cursor_execute", fail)
    with pytest.raises(OSError, match="pulled"):
        ensure_schema(database)
    assert definition(database) == []
    event.remove(database.engine, "before_cursor_execute", fail)
    ensure_schema(database)
    assert definition(database)
    database.close()


def test_a_restored_copy_is_put_into_its_mode_again(tmp_path: Path) -> None:
    database = open_database(url(tmp_path / "x.db"))
    ensure_schema(database)
    database.close()
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.execute(f"VACUUM INTO '{tmp_path / 'copy.db'}'")
    connection.close()
    copy = open_database(url(tmp_path / "copy.db"))
    ensure_schema(copy)
    with copy.read() as reading:
        assert reading.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    copy.close()


def test_a_reader_does_not_stop_the_first_start(tmp_path: Path) -> None:
    """SQLite refuses to change its mode while anybody reads, and does not wait by itself."""
    path = tmp_path / "x.db"
    made = open_database(url(path))
    ensure_schema(made)
    made.close()
    reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    reader.execute("PRAGMA journal_mode=DELETE")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM runs").fetchall()
    release = threading.Timer(0.3, lambda: reader.execute("ROLLBACK"))
    release.start()
    database = open_database(url(path))
    ensure_schema(database)
    release.join()
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    database.close()
    reader.close()


def _start(path: Path, ready: object, made: object) -> None:
    original = metadata.create_all

    def count(connection: object, **_options: bool) -> None:
        made.release()  # type: ignore[attr-defined]
        original(connection, checkfirst=False)  # type: ignore[arg-type]

    metadata.create_all = count  # type: ignore[method-assign, assignment]
    ready.wait()  # type: ignore[attr-defined]
    database = open_database(url(path))
    ensure_schema(database)
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO metric_keys (name) VALUES (hex(randomblob(8)))")
    database.close()


@pytest.mark.parametrize("attempt", range(3))
def test_many_processes_start_at_once_and_one_makes_it(tmp_path: Path, attempt: int) -> None:
    context = multiprocessing.get_context("fork")
    ready, made = context.Barrier(4), context.Semaphore(0)
    processes = [context.Process(target=_start, args=(tmp_path / "x.db", ready, made)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert made.acquire(block=False)
    assert not made.acquire(block=False)
    database = open_database(url(tmp_path / "x.db"))
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM metric_keys").scalar() == 4
    database.close()
