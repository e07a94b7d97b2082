"""Connections and transactions."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sqlite3
import threading
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from toolkit.db.engine import Database, open_database
from toolkit.db.failure import translate
from toolkit.db.schema import ensure_schema
from toolkit.errors import Conflict, InvalidSetting, InvalidValue, StoreBusy, StoreError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "toolkit.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{path}", wait=5)
    ensure_schema(database)
    yield database
    database.close()


def add_key(database: Database, name: str) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO metric_keys (name) VALUES (?)", (name,))


def names(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.exec_driver_sql("SELECT name FROM metric_keys ORDER BY name").scalars())


def test_settings_of_a_connection(path: Path, database: Database) -> None:
    full = open_database(f"sqlite:///{path}", durability="full", wait=7)
    wanted = {"journal_mode": "wal", "foreign_keys": 1}
    for one, more in (
        (database, {"synchronous": 1, "busy_timeout": 5_000}),
        (full, {"synchronous": 2, "busy_timeout": 7_000}),
    ):
        with one.read() as connection:
            for name, value in {**wanted, **more}.items():
                assert connection.exec_driver_sql(f"PRAGMA {name}").scalar() == value, name
    full.close()


def test_every_writer_begins_immediate(database: Database) -> None:
    seen: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    add_key(database, "a")
    names(database)
    assert [text for text in seen if text.startswith("BEGIN")] == ["BEGIN IMMEDIATE", "BEGIN"]


def test_all_or_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.exec_driver_sql("INSERT INTO metric_keys (name) VALUES ('a')")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(Conflict), database.write() as connection:
        connection.exec_driver_sql("INSERT INTO metric_keys (name) VALUES ('b'), ('b')")
    assert names(database) == []
    add_key(database, "c")
    assert names(database) == ["c"]


def test_a_reader_has_one_picture_and_blocks_nobody(database: Database) -> None:
    add_key(database, "a")
    with database.read() as connection:
        count = "SELECT count(*) FROM metric_keys"
        assert connection.exec_driver_sql(count).scalar() == 1
        add_key(database, "b")
        assert connection.exec_driver_sql(count).scalar() == 1
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM metric_keys")
        assert names(database) == ["a", "b"]


def test_a_locked_database_is_waited_for(path: Path, database: Database) -> None:
    """Another process's lock is nothing that a caller sees, as long as it ends within the wait."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, lambda: other.execute("ROLLBACK"))
    release.start()
    add_key(database, "a")
    release.join()
    assert names(database) == ["a"]
    other.close()


def test_a_database_that_stays_locked_is_told(path: Path, database: Database) -> None:
    """After the wait, not before it and not long after it; and reading goes on."""
    quick = open_database(f"sqlite:///{path}", wait=0.3)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    with pytest.raises(StoreBusy, match="longer than the configured wait"):
        add_key(quick, "a")
    assert 0.25 < time.monotonic() - start < 2
    assert names(quick) == []
    other.execute("ROLLBACK")
    add_key(quick, "a")
    other.close()
    quick.close()


def test_a_thread_that_holds_the_turn_for_too_long(path: Path, database: Database) -> None:
    quick = open_database(f"sqlite:///{path}", wait=0.1)
    errors = []

    def write() -> None:
        try:
            add_key(quick, "a")
        except StoreBusy as error:
            errors.append(error)

    with quick.write():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert len(errors) == 1
    add_key(quick, "b")
    quick.close()


def test_refusals_without_waiting_are_tried_again(database: Database) -> None:
    """SQLite refuses some locks at once, whatever its timeout says."""
    refusals = iter([True] * 3)

    def refuse(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("BEGIN") and next(refusals, False):
            busy = sqlite3.OperationalError("database is locked")
            busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise OperationalError(statement, None, busy)

    event.listen(database.engine, "before_cursor_execute", refuse)
    add_key(database, "a")
    assert names(database) == ["a"]


def _child(database: Database, name: str) -> None:
    add_key(database, name)
    assert name in names(database)
    os._exit(0)


def test_a_forked_child_has_connections_of_its_own(path: Path, database: Database) -> None:
    """Also when the parent forks in the middle of another thread's transactions, and when it ends first."""
    add_key(database, "parent")
    inside = threading.Event()

    def hold() -> None:
        with database.write() as connection:
            connection.exec_driver_sql("INSERT INTO metric_keys (name) VALUES ('slow')")
            inside.set()
            time.sleep(0.2)
            assert "parent" in names(database)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(5)
    children = [multiprocessing.get_context("fork").Process(target=_child, args=(database, f"c{n}")) for n in range(2)]
    for child in children:
        child.start()
    thread.join()
    for child in children:
        child.join(10)
        assert child.exitcode == 0
    add_key(database, "after")
    assert names(database) == ["after", "c0", "c1", "parent", "slow"]
    with sqlite3.connect(path) as check:
        assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()


def _patient_child(database: Database, opened: Event, closed: Event) -> None:
    add_key(database, "early")
    opened.set()
    closed.wait(5)
    add_key(database, "late")
    os._exit(0)  # no closing: what was acknowledged must be there all the same


def test_the_parent_may_close_before_its_child_writes(path: Path, database: Database) -> None:
    """SQLite deletes the log with the last connection; a forked child's must count."""
    names(database)
    context = multiprocessing.get_context("fork")
    opened, closed = context.Event(), context.Event()
    child = context.Process(target=_patient_child, args=(database, opened, closed))
    child.start()
    assert opened.wait(5)
    database.close()
    closed.set()
    child.join(10)
    assert child.exitcode == 0
    assert names(database) == ["early", "late"]


@pytest.mark.parametrize(
    "url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "sqlite:///file:x?uri=true", "http://host:5000"]
)
def test_urls_that_cannot_be_used(url: str) -> None:
    with pytest.raises(InvalidSetting):
        open_database(url)


def test_passwords_are_not_shown() -> None:
    for url in (
        "mysql://ada:sesame@host/db",
        "postgresql+asyncpg://ada:sesame@host/db",
        "postgresql://ada:sesame@host:port/db",
        "ada:sesame@host",
    ):
        with pytest.raises(InvalidSetting) as error:
            open_database(url)
        assert "sesame" not in str(error.value), url
        assert "postgresql://" in str(error.value), url
    for url in ("postgres://ada:sesame@host/db", "postgresql+psycopg2://ada@host/db?password=sesame"):
        database = open_database(url)
        assert database.place.startswith("postgresql://ada")
        assert "sesame" not in database.place


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be made"):
        open_database(f"sqlite:///{tmp_path}/file/x/toolkit.db")


def test_a_full_disk_loses_nothing(path: Path, database: Database) -> None:
    add_key(database, "before")
    size = max(file.stat().st_size for file in path.parent.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"full|no space"):
            add_key(database, "x" * 1_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(database) == ["before"]
    add_key(database, "after")
    assert names(database) == ["after", "before"]


def test_errors_say_what_to_do_and_not_what_was_written() -> None:
    for code, words in ((sqlite3.SQLITE_FULL, "no space"), (sqlite3.SQLITE_READONLY, "permissions"), (0, "disk I/O")):
        original = sqlite3.OperationalError("disk I/O")
        original.sqlite_errorcode = code
        told = translate(OperationalError("INSERT secret", {"value": "secret"}, original), "sqlite:///x.db")
        assert isinstance(told, StoreError)
        assert words in str(told)
        assert "x.db" in str(told)
        assert "secret" not in str(told)


def test_values_do_not_reach_error_texts(database: Database) -> None:
    with pytest.raises(Conflict) as error, database.write() as connection:
        connection.exec_driver_sql("INSERT INTO metric_keys (name) VALUES (?), (?)", ("secret", "secret"))
    assert "secret" not in f"{error.value} {error.value.__cause__}"


@pytest.mark.parametrize("value", ["\ud800", 2**64], ids=["surrogate", "number"])
def test_what_no_database_can_keep_is_the_callers_fault(database: Database, value: object) -> None:
    with pytest.raises(InvalidValue, match="no database can keep"), database.write() as connection:
        connection.exec_driver_sql("INSERT INTO metric_keys (name) VALUES (?)", (value,))
    assert names(database) == []


def test_who_must_not_wait_never_waits_for_the_disk(database: Database, path: Path) -> None:
    """SQLite waits for it when it moves its log to the file, and when it then begins the log anew."""
    hasty = database.hasty()
    assert hasty is not None
    with hasty.read() as connection:
        assert connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one() == 0

    def times_begun() -> int:
        return int.from_bytes(Path(f"{path}-wal").read_bytes()[12:16], "big")

    add_key(database, "a")
    before = times_begun()
    database.checkpoint()
    assert times_begun() == before + 1
    add_key(hasty, "b")
    assert times_begun() == before + 1
    assert names(database) == ["a", "b"]
