"""What PostgreSQL does to its clients, for real: restarts, crashes, deadlocks, locks, refusals."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from typing import Any

import postgres
import pytest
from sqlalchemy import event

from toolkit.db import postgresql
from toolkit.db.engine import Database, open_database
from toolkit.db.schema import HEAD, ensure_schema, upgrade
from toolkit.db.tables import metadata
from toolkit.errors import (
    AlreadyExists,
    InvalidSetting,
    InvalidValue,
    SchemaError,
    StoreBusy,
    StoreError,
    StoreInterrupted,
)
from toolkit.testing.runs import add_run
from toolkit.tracking import sql_runs
from toolkit.tracking.entries import Listed, Logged
from toolkit.tracking.records import ArtifactEntry, Lifecycle, Metric, Owner, RunQuery, RunStatus
from toolkit.tracking.sql import SqlRunStore

ROOT = "file:///artifacts"


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    database = open_database(postgres_url, wait=10)
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> SqlRunStore:
    return SqlRunStore(database, ROOT)


@pytest.fixture(scope="module")
def own_server() -> Iterator[postgres.Server]:
    """A server that may be stopped, with few connections and crash safety on."""
    if reason := postgres.why_not():
        pytest.skip(reason)
    with postgres.running("max_connections=12", "superuser_reserved_connections=3", "fsync=on") as server:
        yield server


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


def point(key: str = "m", step: int = 0) -> Metric:
    return Metric(key=key, value=1.0, timestamp=0, step=step)


class Acknowledged:
    """Threads that log to runs of their own, and a note of all that was acknowledged."""

    def __init__(self, store: SqlRunStore, threads: int = 4) -> None:
        self.store = store
        self.steps: dict[str, list[int]] = {}
        self.refused: list[StoreError] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write) for _ in range(threads)]

    def __enter__(self) -> Acknowledged:
        for thread in self._threads:
            thread.start()
        self.until_more(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        run_id = add_run(self.store).info.run_id
        steps = self.steps.setdefault(run_id, [])
        step = 0
        while not self._stop.is_set():
            points = [point(f"m{n}", step) for n in range(5)]
            try:
                self.store.log_batch(run_id, metrics=points, params={f"p{step}": "1"}, tags={"last": str(step)})
                steps.append(step)
            except StoreError as error:
                self.refused.append(error)
            step += 1

    def until_more(self, batches: int) -> None:
        """Wait until each thread was acknowledged so many more batches."""
        before = {run_id: len(steps) for run_id, steps in self.steps.items()}
        limit = time.monotonic() + 60
        while len(self.steps) < len(self._threads) or any(
            len(steps) < before.get(run_id, 0) + batches for run_id, steps in list(self.steps.items())
        ):
            assert time.monotonic() < limit, [len(steps) for steps in self.steps.values()]
            time.sleep(0.01)

    def check(self, store: SqlRunStore) -> None:
        """Compare: all that was acknowledged is there, and nothing is there by half."""
        for run_id, steps in self.steps.items():
            data = store.get_run(run_id).data
            written = sorted(int(key[1:]) for key in data.params)
            assert set(steps) <= set(written)
            for n in range(5):
                assert [each.step for each in store.metric_history(run_id, f"m{n}").items] == written
                assert data.latest[f"m{n}"].step == written[-1]
            assert data.tags["last"] == str(written[-1])


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_loses_nothing_and_the_pool_heals(own_server: postgres.Server, mode: str) -> None:
    """In the middle of writers; ``immediate`` is a crash. Nobody is told of it: each call is done again."""
    name = own_server.new_database()
    store = SqlRunStore(open_database(own_server.url(name), wait=60), ROOT)
    with Acknowledged(store) as writers:
        for _ in range(2):
            own_server.stop(mode)
            own_server.start()
            writers.until_more(5)
    assert writers.refused == []
    writers.check(store)
    fresh = SqlRunStore(own_server.url(name), ROOT)
    writers.check(fresh)
    fresh.close()
    store._db.close()


def test_ended_connections_are_replaced(postgres_server: postgres.Server, postgres_url: str) -> None:
    database = open_database(postgres_url, wait=30)
    store = SqlRunStore(database, ROOT)
    with Acknowledged(store) as writers:
        for _ in range(8):
            postgres_server.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                "postgres",
                name_of(postgres_url),
            )
            writers.until_more(1)
    assert writers.refused == []
    writers.check(store)
    database.close()


def test_a_server_that_stays_away_is_told(own_server: postgres.Server) -> None:
    """After the wait, by one clear line; and when it is there again, work goes on."""
    name = own_server.new_database()
    database = open_database(own_server.url(name), wait=1)
    store = SqlRunStore(database, ROOT)
    run_id = add_run(store).info.run_id
    own_server.stop()
    for call in (lambda: store.get_run(run_id), lambda: store.log_batch(run_id, tags={"a": "1"})):
        with pytest.raises(StoreError, match="cannot be reached") as error:
            call()
        assert postgres.PASSWORD not in str(error.value)
    own_server.start()
    store.log_batch(run_id, tags={"a": "2"})
    assert store.get_run(run_id).data.tags["a"] == "2"
    database.close()


def test_a_server_that_falls_silent_is_not_waited_for_for_ever(
    postgres_server: postgres.Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is stopped, and its machine still answers for it: no timeout of the network tells."""
    monkeypatch.setattr(postgresql, "_SILENCE", 2)
    database = open_database(postgres_url, wait=0.5)
    store = SqlRunStore(database, ROOT)
    run_id = add_run(store).info.run_id
    rows = postgres_server.ask(
        "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
        "postgres",
        name_of(postgres_url),
    )
    for (pid,) in rows:
        os.kill(pid, signal.SIGSTOP)
    try:
        store.log_batch(run_id, tags={"a": "1"})  # another connection, another process: it works
    finally:
        for (pid,) in rows:
            os.kill(pid, signal.SIGCONT)
    assert store.get_run(run_id).data.tags["a"] == "1"
    database.close()


def test_more_clients_than_connections_take_turns(own_server: postgres.Server) -> None:
    """The server has twelve, and the pools of four processes would take two dozen."""
    name = own_server.new_database()
    stores = [SqlRunStore(open_database(own_server.url(name), wait=60), ROOT) for _ in range(4)]
    run_id = add_run(stores[0]).info.run_id

    def write(number: int) -> None:
        store = stores[number % 4]
        for step in range(5):
            store.log_batch(run_id, metrics=[point(f"m{number}", step)])

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(write, range(24)))
    assert len(stores[0].get_run(run_id).data.metrics) == 24
    for each in stores:
        each._db.close()


def test_a_deadlock_is_nobodys_error(store: SqlRunStore, postgres_url: str) -> None:
    """Two clients change two runs in opposite orders: the server ends one, which does it again."""
    first, second = (add_run(store).info.run_id for _ in range(2))
    other = open_database(postgres_url, wait=10)
    meet = threading.Barrier(2, timeout=5)
    tries = []

    def change(database: Database, order: tuple[str, str]) -> Callable[[], None]:
        def work() -> None:
            tries.append(order)
            with database.write() as connection:
                for run_id in order:
                    connection.exec_driver_sql("UPDATE runs SET user_id = user_id || 'x' WHERE run_id = %s", (run_id,))
                    if len(tries) == 2 and run_id == order[0]:
                        meet.wait()

        return work

    def run(database: Database, order: tuple[str, str]) -> None:
        database.persist(change(database, order))

    def early(connection: Any, *_: object) -> None:  # noqa: ANN401 - an SQLAlchemy connection
        connection.exec_driver_sql("SET LOCAL deadlock_timeout = '50ms'")

    for database in (store._db, other):
        event.listen(database.engine, "begin", early)
    barrier = threading.Barrier(2)

    def start(database: Database, order: tuple[str, str]) -> None:
        barrier.wait()
        run(database, order)

    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(start, store._db, (first, second)), pool.submit(start, other, (second, first))]
        for each in done:
            each.result(timeout=30)
    assert len(tries) == 3, "one was broken off, and tried again"
    for run_id in (first, second):
        assert store.get_run(run_id).info.user_id == "adaxx"
    other.close()


def test_clients_that_log_the_same_do_not_meet_in_a_deadlock(store: SqlRunStore, postgres_url: str) -> None:
    """Whatever the order in which they were given it: rows are written in the order of their keys."""
    run_id = add_run(store).info.run_id
    others = [SqlRunStore(postgres_url, ROOT) for _ in range(3)]
    points = [point(f"m{n}", step) for n in range(40) for step in range(5)]
    broken = 0
    original = Database.persist

    def count(self: Database, work: Callable[[], Any], **options: bool) -> Any:  # noqa: ANN401 - as it is
        def counted() -> Any:  # noqa: ANN401 - as it is
            nonlocal broken
            try:
                return work()
            except StoreInterrupted:
                broken += 1
                raise

        return original(self, counted, **options)

    def write(number: int) -> None:
        order = points if number % 2 else points[::-1]
        names = [f"p{n}" for n in range(40)][:: 1 if number % 2 else -1]
        others[number % 3].log_batch(
            run_id, metrics=order, params=dict.fromkeys(names, "1"), tags=dict.fromkeys(names, "1")
        )

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(6) as pool:
        patch.setattr(Database, "persist", count)
        list(pool.map(write, range(24)))
    assert broken == 0
    assert len(store.metric_history(run_id, "m7").items) == 5
    for each in others:
        each.close()


def test_a_lock_that_is_held_for_too_long_is_told(
    postgres_server: postgres.Server, postgres_url: str, store: SqlRunStore
) -> None:
    """After the wait; reading goes on, and so does writing when the lock is gone."""
    import psycopg

    run_id = add_run(store).info.run_id
    quick = SqlRunStore(open_database(postgres_url, wait=0.3), ROOT)
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT * FROM runs FOR UPDATE")
        begun = time.monotonic()
        with pytest.raises(StoreBusy, match="longer than the configured wait"):
            quick.update_run(run_id, status=RunStatus.FINISHED)
        assert 0.25 < time.monotonic() - begun < 10
        assert quick.get_run(run_id).info.status is RunStatus.RUNNING
    quick.update_run(run_id, status=RunStatus.FINISHED)
    quick._db.close()


def test_a_lock_within_the_wait_is_nobodys_error(postgres_url: str, store: SqlRunStore) -> None:
    import psycopg

    run_id = add_run(store).info.run_id
    other = psycopg.connect(postgres_url)
    other.execute("LOCK TABLE tags IN EXCLUSIVE MODE")
    release = threading.Timer(0.3, other.rollback)
    release.start()
    store.log_batch(run_id, tags={"a": "1"})
    release.join()
    other.close()


def test_a_database_that_takes_no_writes_says_so(
    postgres_server: postgres.Server, postgres_url: str, store: SqlRunStore
) -> None:
    run_id = add_run(store).info.run_id
    postgres_server.ask(f"ALTER DATABASE {name_of(postgres_url)} SET default_transaction_read_only = on")
    closed = SqlRunStore(postgres_url, ROOT)
    with pytest.raises(StoreError, match=r"takes no writes: .*default_transaction_read_only"):
        closed.log_batch(run_id, tags={"a": "1"})
    assert closed.get_run(run_id)
    closed.close()


def test_whatever_the_server_defaults_to(postgres_server: postgres.Server, postgres_url: str) -> None:
    """Isolation, and the time zone and formats of what it prints."""
    name = name_of(postgres_url)
    for setting in (
        "default_transaction_isolation = serializable",
        "timezone = 'Asia/Tokyo'",
        "extra_float_digits = -5",
    ):
        postgres_server.ask(f"ALTER DATABASE {name} SET {setting}")
    database = open_database(postgres_url)
    store = SqlRunStore(database, ROOT)
    run_id = add_run(store, lease_ms=60_000).info.run_id
    store.log_batch(run_id, metrics=[Metric(key="m", value=0.1 + 0.2, timestamp=2**53 + 1, step=-(2**53) - 1)])
    latest = store.get_run(run_id).data.latest["m"]
    assert (latest.value, latest.timestamp, latest.step) == (0.1 + 0.2, 2**53 + 1, -(2**53) - 1)
    assert store.lost_candidates("elsewhere") == []
    with database.write() as connection:
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"
    with database.read() as connection:
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "repeatable read"
        assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"
    database.close()


def test_no_points_are_left_of_a_run_that_is_removed(
    postgres_server: postgres.Server, postgres_url: str, store: SqlRunStore
) -> None:
    """Not even of those that are written while it is removed: no foreign key stands for that."""
    for _ in range(10):
        run_id = add_run(store).info.run_id
        store.update_run(run_id, lifecycle=Lifecycle.DELETED)
        start = threading.Barrier(2)

        def write(run_id: str = run_id, start: threading.Barrier = start) -> None:
            with store._db.write() as connection:
                found = sql_runs.find(connection, run_id, lock=True)
                start.wait()
                time.sleep(0.02)
                store._values.metrics(connection, found.key, [(f"m{n}", 0, 0, 1.0, 0) for n in range(50)])

        writer = threading.Thread(target=write)
        writer.start()
        start.wait()
        assert store.purge(run_ids=[run_id]) == [run_id]
        writer.join()
    assert postgres_server.ask("SELECT count(*) FROM metrics", name_of(postgres_url)) == [(0,)]
    assert postgres_server.ask("SELECT count(*) FROM latest_metrics", name_of(postgres_url)) == [(0,)]


def test_two_senders_of_one_journal_apply_it_once(store: SqlRunStore, postgres_url: str) -> None:
    """What the slower one sends was written before, and must not overwrite what came after it."""
    other = SqlRunStore(postgres_url, ROOT)
    run_id = add_run(store).info.run_id
    entries = [Logged(run_id=run_id, tags={"a": str(number)}) for number in range(3)]
    for attempt in range(20):
        start = threading.Barrier(2)

        def send(store: SqlRunStore, count: int, journal: str, start: threading.Barrier = start) -> None:
            start.wait()
            assert store.apply(entries[:count], journal=journal, first=0) == []

        with ThreadPoolExecutor(2) as pool:
            for sent in [pool.submit(send, store, 3, f"j{attempt}"), pool.submit(send, other, 1, f"j{attempt}")]:
                sent.result()
        assert store.get_run(run_id).data.tags["a"] == "2"
    other.close()


def test_a_reader_has_one_picture(store: SqlRunStore) -> None:
    run_id = add_run(store).info.run_id
    with store.picture() as before:
        assert before.get_run(run_id).data.params == {}
        store.log_batch(run_id, params={"a": "1"})
        assert before.get_run(run_id).data.params == {}
    assert store.get_run(run_id).data.params == {"a": "1"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "wrong"}, "refuses the user or the password"),
        ({"database": "nowhere"}, "no such database"),
        ({"port": 1}, "cannot be reached"),
    ],
)
def test_what_cannot_be_opened_is_told_at_once(postgres_url: str, change: dict[str, Any], words: str) -> None:
    from sqlalchemy import make_url

    url = make_url(postgres_url).set(**change)
    begun = time.monotonic()
    with pytest.raises(StoreError, match=words) as error:
        SqlRunStore(url.render_as_string(hide_password=False), ROOT)
    assert time.monotonic() - begun < 10
    assert str(url.password) not in str(error.value)


def test_without_psycopg_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "toolkit.db.patience", raising=False)
    with pytest.raises(InvalidSetting, match=r"pip install 'toolkit\[postgres\]'") as error:
        open_database("postgresql://ada:sesame@host/db")
    assert "sesame" not in str(error.value)


def test_values_do_not_reach_error_texts(database: Database) -> None:
    with pytest.raises(Exception, match="contradicts") as error, database.write() as connection:
        connection.exec_driver_sql("INSERT INTO metric_keys (name) VALUES ('secret'), ('secret')")
    assert "secret" not in str(error.value)


# -- first starts ----------------------------------------------------------------------------------


def _start(url: str, ready: Barrier, made: Any, creates: bool) -> None:  # noqa: ANN401 - a semaphore
    original = metadata.create_all

    def count(connection: Any, **_options: bool) -> None:  # noqa: ANN401 - an SQLAlchemy connection
        made.release()
        original(connection, checkfirst=False)

    metadata.create_all = count  # type: ignore[method-assign, assignment]
    ready.wait()
    store = SqlRunStore(url, ROOT)
    if creates:
        for number in range(5):
            run = add_run(store, experiment_id=store.ensure_experiment(f"wine {number}").experiment_id)
            store.log_batch(run.info.run_id, metrics=[point(f"m{n}") for n in range(10)])
    store.close()
    os._exit(0)


@pytest.mark.parametrize("before", [None, "0001"])
def test_many_processes_start_at_once_and_one_makes_it(postgres_server: postgres.Server, before: str | None) -> None:
    """On an empty and on an old database; then all of them make the same experiments and metrics."""
    name = postgres_server.new_database()
    url = postgres_server.url(name)
    if before:
        old = open_database(url)
        with old.write() as connection:
            upgrade(connection, old.place, before)
        old.close()
    context = multiprocessing.get_context("spawn")
    ready, made = context.Barrier(4), context.Semaphore(0)
    processes = [context.Process(target=_start, args=(url, ready, made, True)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert made.acquire(block=False) is (before is None)
    assert not made.acquire(block=False)
    store = SqlRunStore(url, ROOT)
    assert sorted(each.name for each in store.list_experiments().items) == ["Default", *(f"wine {n}" for n in range(5))]
    assert len(store.list_runs(RunQuery()).items) == 20
    store.close()
    postgres_server.drop(name)


def test_one_experiment_has_one_maker(store: SqlRunStore, postgres_url: str) -> None:
    others = [SqlRunStore(postgres_url, ROOT) for _ in range(4)]
    outcomes = []

    def make(number: int) -> None:
        try:
            outcomes.append(others[number % 4].create_experiment("wine").experiment_id)
        except AlreadyExists:
            outcomes.append("there")

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(make, range(12)))
    assert len(outcomes) == 12
    assert outcomes.count("there") == 11
    for each in others:
        each.close()


def test_a_failure_in_the_middle_leaves_nothing(postgres_server: postgres.Server) -> None:
    name = postgres_server.new_database()
    database = open_database(postgres_server.url(name), wait=5)

    def fail(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "CREATE TABLE artifacts" in statement:
            raise OSError("pulled the plug")

    event.listen(database.engine, "before_cursor_execute", fail)
    with pytest.raises(OSError, match="pulled"):
        ensure_schema(database)
    assert postgres_server.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name) == [(0,)]
    event.remove(database.engine, "before_cursor_execute", fail)
    assert ensure_schema(database) is None
    assert ensure_schema(database) == HEAD
    database.close()
    postgres_server.drop(name)


def test_other_programs_may_have_tables_beside_ours(postgres_server: postgres.Server) -> None:
    """Also those with Alembic's version table; but not with tables of the same names."""
    name = postgres_server.new_database()
    postgres_server.ask("CREATE TABLE alembic_version (version_num text); CREATE TABLE studies (id int)", name)
    SqlRunStore(postgres_server.url(name), ROOT).close()
    assert postgres_server.ask("SELECT count(*) FROM alembic_version", name) == [(0,)]
    postgres_server.drop(name)
    name = postgres_server.new_database()
    postgres_server.ask(
        "CREATE TABLE alembic_version (v text); CREATE TABLE runs (id int); CREATE VIEW tags AS SELECT 1", name
    )
    with pytest.raises(SchemaError, match=r"another program .*\(runs, tags\).*createdb"):
        SqlRunStore(postgres_server.url(name), ROOT)
    postgres_server.ask("CREATE TABLE experiments (id int)", name)
    with pytest.raises(SchemaError, match="MLflow's own"):
        SqlRunStore(postgres_server.url(name), ROOT)
    postgres_server.drop(name)


def test_a_newer_schema_is_refused(postgres_server: postgres.Server, postgres_url: str) -> None:
    postgres_server.ask("UPDATE toolkit_schema SET version_num = '9999'", name_of(postgres_url))
    with pytest.raises(SchemaError, match="newer version of toolkit"):
        SqlRunStore(postgres_url, ROOT)


def test_made_at_once_or_by_migrations_it_is_the_same(postgres_server: postgres.Server, postgres_url: str) -> None:
    name = postgres_server.new_database()
    migrated = open_database(postgres_server.url(name))
    with migrated.write() as connection:
        upgrade(connection, migrated.place)
    migrated.close()
    columns = (
        "SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name "
        "FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
    )
    indices = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"
    constraints = (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"
    )
    for question in (columns, indices, constraints):
        assert postgres_server.ask(question, name) == postgres_server.ask(question, name_of(postgres_url))
    postgres_server.drop(name)


# -- forks -----------------------------------------------------------------------------------------


def _child(store: SqlRunStore, run_id: str, number: int) -> None:
    for step in range(5):
        store.log_batch(run_id, metrics=[point(f"c{number}", step)])
    os._exit(0)


def test_a_forked_child_has_connections_of_its_own(store: SqlRunStore) -> None:
    """Also when the parent forks in the middle of other threads' transactions."""
    run_id = add_run(store).info.run_id
    context = multiprocessing.get_context("fork")
    with Acknowledged(store, threads=2) as writers:
        children = [context.Process(target=_child, args=(store, run_id, number)) for number in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join(30)
            assert child.exitcode == 0
        writers.until_more(2)
    assert writers.refused == []
    writers.check(store)
    assert sorted(store.get_run(run_id).data.metrics) == ["c0", "c1", "c2"]


def incompressible(length: int) -> str:
    """Return text of that many characters whose rows PostgreSQL cannot make shorter."""
    numbers = random.Random(length)
    return "".join(chr(numbers.randrange(0x4E00, 0x9FFF)) for _ in range(length))


def test_a_value_that_is_too_long_for_an_index_is_the_callers_fault(store: SqlRunStore) -> None:
    """To try it again would be in vain: a client's journal would never get past it."""
    run_id = add_run(store).info.run_id
    with pytest.raises(InvalidValue, match="cannot keep"):
        store.update_run(run_id, run_name=incompressible(8000))
    long = ArtifactEntry(path=incompressible(1024), size=1, sha256="0" * 64, created=1)
    short = Logged(run_id=run_id, points=(), params={"a": "1"}, tags={})
    refused = store.apply([Listed(run_id=run_id, artifacts=(long,)), short], journal="j", first=0)
    assert [type(each.entry) for each in refused] == [Listed]
    assert store.get_run(run_id).data.params == {"a": "1"}


@pytest.mark.parametrize("text", ["a\0b", "\ud800"], ids=["nul", "surrogate"])
def test_text_that_cannot_be_sent_is_the_callers_fault(store: SqlRunStore, text: str) -> None:
    with pytest.raises(InvalidValue, match="database"):
        store.lost_candidates(text)
    with pytest.raises(InvalidValue, match="database"):
        store.renew_leases(Owner(host=text, pid=1, started=1), [add_run(store).info.run_id], lease_ms=1)
