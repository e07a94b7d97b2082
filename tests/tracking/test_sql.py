"""What the SQL store does beyond the contract: few statements, by indices, in many processes, through kill -9."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.dialects import sqlite

from toolkit.db.engine import Database, open_database
from toolkit.errors import InvalidSetting, SchemaError
from toolkit.ids import new_run_id
from toolkit.testing.runs import OWNER, START, add_run, new_run
from toolkit.tracking.records import Lifecycle, Metric, RunQuery, RunStatus
from toolkit.tracking.sql import SqlRunStore
from toolkit.tracking.sql_runs import listing

ROOT = "file:///artifacts"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/toolkit.db"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = open_database(url)
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> SqlRunStore:
    return SqlRunStore(database, ROOT)


@pytest.fixture
def statements(database: Database, store: SqlRunStore) -> list[tuple[str, bool]]:
    """What is sent to the database, as (text, many rows), from now on."""
    seen: list[tuple[str, bool]] = []
    event.listen(
        database.engine, "before_cursor_execute", lambda *arguments: seen.append((arguments[2], bool(arguments[5])))
    )
    return seen


def points(count: int, keys: int = 10) -> list[Metric]:
    return [Metric(key=f"m{n % keys}", value=n / 2, timestamp=START + n, step=n) for n in range(count)]


def test_a_page_costs_the_same_statements_whatever_its_size(
    store: SqlRunStore, statements: list[tuple[str, bool]]
) -> None:
    for number in range(30):
        run = add_run(store, params={"a": "1"}, start_time=START + number)
        store.log_batch(run.info.run_id, metrics=points(20))
    costs = []
    for limit in (1, 30):
        statements.clear()
        page = store.list_runs(RunQuery(limit=limit))
        assert len(page.items) == limit
        assert all(run.data.params and run.data.metrics and run.data.tags for run in page.items)
        costs.append(len(statements))
    assert costs == [5, 5], "BEGIN, and one each for runs, parameters, tags and metrics"
    statements.clear()
    store.list_experiments()
    assert len(statements) == 3


def test_a_batch_is_one_transaction_and_one_statement_a_table(
    store: SqlRunStore, statements: list[tuple[str, bool]]
) -> None:
    run_id = add_run(store).info.run_id
    store.log_batch(run_id, metrics=points(1_000))
    statements.clear()
    store.log_batch(run_id, metrics=points(1_000))
    assert [(text.split(" (")[0], many) for text, many in statements[2:]] == [
        ("INSERT INTO metrics", True),
        ("INSERT INTO latest_metrics", True),
    ]
    statements.clear()
    store.log_batch(run_id, metrics=points(1_000), params={"a": "1", "b": "2"}, tags={"a": "1", "b": None})
    assert [text for text, _ in statements if text.startswith("BEGIN")] == ["BEGIN IMMEDIATE"]
    assert len(statements) == 8


_BASE = RunQuery(experiment_ids=["0"])
_PLANS = [
    (_BASE, "runs_of_experiment (experiment=?)"),
    (RunQuery(), "runs_by_start"),
    (RunQuery(lifecycle=None), "runs_by_start"),
    (RunQuery(parent_run_id="a" * 32), "runs_of_parent (parent_run_id=?)"),
    (RunQuery(run_name="x"), "runs_by_name (name=?)"),
    (replace(_BASE, status=[RunStatus.FAILED], top_level=True), "runs_of_experiment (experiment=?)"),
    (replace(_BASE, lifecycle=Lifecycle.DELETED), "runs_of_experiment (experiment=?)"),
]


@pytest.mark.parametrize(("query", "index"), _PLANS)
def test_lists_walk_an_index_in_order(store: SqlRunStore, database: Database, query: RunQuery, index: str) -> None:
    for number in range(3):
        add_run(store, run_name="x", parent_run_id="a" * 32, start_time=START + number)
    token = store.list_runs(RunQuery(limit=1)).next_page_token
    for page_token in (None, token):
        statement = listing(replace(query, page_token=page_token), database.dialect).limit(50)
        text = str(statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
        with database.read() as connection:
            plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
        assert len(plan) == 1, plan  # no "USE TEMP B-TREE FOR ORDER BY"
        wanted = f"USING INDEX {index}"
        if page_token:
            wanted = wanted.replace("=?)", "=? AND start_time<?)")
        assert wanted in plan[0]


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda s, r: s.get_run(r), "USING INDEX sqlite_autoindex_runs_1 (run_id=?)"),
        (
            lambda s, _: s.list_runs(RunQuery(run_id_prefix="ab")),
            "USING INDEX sqlite_autoindex_runs_1 (run_id>? AND run_id<?)",
        ),
        (lambda s, _: s.list_experiments(), "USING INDEX experiments_created"),
        (lambda s, _: s.find_experiment("x"), "USING INDEX experiments_name (name=?)"),
        (lambda s, _: s.lost_candidates("h"), "USING INDEX runs_running"),
        (lambda s, r: s.list_artifacts(r, prefix="a"), "SEARCH artifacts USING PRIMARY KEY (run=?"),
        (lambda s, r: s.metric_history(r, "m0"), "SEARCH metrics USING PRIMARY KEY (run=? AND key=?)"),
        (
            lambda s, r: s.metric_history(r, "m0", page_token=s.metric_history(r, "m0", limit=2).next_page_token),
            "SEARCH metrics USING PRIMARY KEY (run=? AND key=? AND (step,timestamp,value,special)>(?,?,?,?))",
        ),
        (lambda s, r: s.get_run(r), "SEARCH latest_metrics USING PRIMARY KEY (run=?)"),
        (lambda s, r: s.get_run(r), "SEARCH params USING PRIMARY KEY (run=?)"),
        (lambda s, _: s.update_experiment("0", lifecycle=Lifecycle.DELETED), "INDEX runs_counted (experiment=?)"),
    ],
)
def test_other_queries_use_an_index(store: SqlRunStore, database: Database, call: object, wanted: str) -> None:
    run_id = add_run(store, owner=OWNER, lease_ms=1_000).info.run_id
    store.log_batch(run_id, metrics=points(100))
    plans: list[str] = []

    def explain(_connection: object, cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        if statement.startswith(("SELECT", "UPDATE")):
            raw = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[attr-defined]
            plans.extend(row[3] for row in raw.fetchall())

    event.listen(database.engine, "before_cursor_execute", explain)
    call(store, run_id)  # type: ignore[operator]
    assert any(wanted in plan for plan in plans), plans
    scans = [plan for plan in plans if plan.startswith("SCAN") and "INDEX" not in plan and "json_each" not in plan]
    assert scans == []


def test_a_database_that_is_handed_over_stays_open(database: Database, url: str) -> None:
    SqlRunStore(database, ROOT).close()
    store = SqlRunStore(database, ROOT)
    assert add_run(store)
    own = SqlRunStore(url, ROOT)
    own.close()
    assert add_run(store)


def test_what_cannot_be_opened_is_closed_again(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting):
        SqlRunStore("sqlite://", ROOT)
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("CREATE TABLE runs (id INTEGER)")
    connection.close()
    with pytest.raises(SchemaError):
        SqlRunStore(f"sqlite:///{tmp_path}/x.db", ROOT)


def test_two_stores_see_each_other(url: str) -> None:
    one, two = SqlRunStore(url, ROOT), SqlRunStore(url, ROOT)
    run_id = add_run(one).info.run_id
    for number, store in enumerate((one, two, one)):
        store.log_batch(run_id, metrics=[Metric(key=f"k{number % 2}", value=1.0, timestamp=0, step=number)])
    assert one.get_run(run_id) == two.get_run(run_id)
    assert set(two.get_run(run_id).data.metrics) == {"k0", "k1"}
    one.close()
    two.close()


def test_keys_of_a_transaction_that_failed_are_not_remembered(store: SqlRunStore, database: Database) -> None:
    run_id = add_run(store).info.run_id

    def fail(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("INSERT INTO latest_metrics"):
            raise OSError("pulled the plug")

    event.listen(database.engine, "before_cursor_execute", fail)
    with pytest.raises(OSError, match="pulled"):
        store.log_batch(run_id, metrics=points(5, keys=5), params={"p": "1"}, tags={"t": "1"})
    event.remove(database.engine, "before_cursor_execute", fail)
    assert store.get_run(run_id).data == replace(store.get_run(run_id).data, metrics={}, params={}, latest={})
    other = add_run(store).info.run_id
    store.log_batch(other, metrics=[Metric(key="other", value=1.0, timestamp=0)])
    store.log_batch(run_id, metrics=points(5, keys=5))
    assert store.get_run(run_id).data.metrics == {f"m{n}": n / 2 for n in range(5)}


def _write_much(url: str, shared: str, experiment: str, process: int) -> None:
    store = SqlRunStore(url, ROOT)
    found = store.ensure_experiment(experiment)

    def work(thread: int) -> None:
        own = add_run(store, experiment_id=found.experiment_id, params={"p": "1"}).info.run_id
        for step in range(6):
            point = Metric(key=f"m{thread}", value=1.0, timestamp=process, step=step)
            for run_id in (shared, own):
                store.log_batch(run_id, metrics=[point], tags={"last": str(thread)})
        store.update_run(own, status=RunStatus.FINISHED)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    store.close()
    os._exit(0)


def test_threads_of_two_processes_write_and_nobody_is_told_to_wait(url: str) -> None:
    store = SqlRunStore(url, ROOT)
    shared = add_run(store).info.run_id
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_write_much, args=(url, shared, "wine", number)) for number in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert [len(store.metric_history(shared, f"m{thread}").items) for thread in range(16)] == [12] * 16
    wine = [experiment for experiment in store.list_experiments().items if experiment.name == "wine"]
    assert len(wine) == 1
    runs = store.list_runs(RunQuery(experiment_ids=[wine[0].experiment_id], status=[RunStatus.FINISHED])).items
    assert len(runs) == 32
    store.close()


_VICTIM = """
import os, sys
from toolkit.tracking.records import Metric
from toolkit.tracking.sql import SqlRunStore
url, run_id, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = SqlRunStore(url, "file:///a")
for batch in range(first, first + 1_000_000):
    metrics = [Metric(key=f"m{n % 7}", value=float(n), timestamp=batch, step=batch) for n in range(50)]
    store.log_batch(run_id, metrics=metrics, params={f"p{batch}": "1"}, tags={f"t{batch}": "1"})
    os.write(1, b"%d\\n" % batch)
"""


def test_what_was_acknowledged_survives_kill_9_and_batches_are_whole(url: str, tmp_path: Path) -> None:
    store = SqlRunStore(url, ROOT)
    run_id = add_run(store).info.run_id
    acknowledged = 0
    for kill_after in (1, 17, 60, 133):
        argv = [sys.executable, "-c", _VICTIM, url, run_id, str(acknowledged)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as victim:
            assert victim.stdout is not None
            lines = [victim.stdout.readline() for _ in range(kill_after)]
            victim.send_signal(signal.SIGKILL)
            lines += victim.stdout.readlines()
        last = int([line for line in lines if line.endswith(b"\n")][-1])
        data = store.get_run(run_id).data
        written = {int(key[1:]) for key in data.params}
        # Everything up to the last acknowledgement, and at most the one that was on its way.
        assert set(range(last + 1)) <= written <= set(range(last + 2))
        assert written == {int(key[1:]) for key in data.tags if key[0] == "t"}
        steps = [point.step for n in range(7) for point in store.metric_history(run_id, f"m{n}").items]
        assert {step: steps.count(step) for step in written} == dict.fromkeys(written, 50)
        assert {point.step for point in data.latest.values()} == {max(written)}
        acknowledged = max(written) + 1
    with sqlite3.connect(tmp_path / "toolkit.db") as check:
        assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert check.execute("PRAGMA foreign_key_check").fetchall() == []
    check.close()
    store.close()


def test_the_same_run_from_two_processes_is_one(url: str) -> None:
    store = SqlRunStore(url, ROOT)
    new = new_run(run_id=new_run_id(), params={"a": "1"})
    context = multiprocessing.get_context("fork")

    def create() -> None:
        own = SqlRunStore(url, ROOT)
        assert own.create_run(new).data.params == {"a": "1"}
        own.close()
        os._exit(0)

    processes = [context.Process(target=create) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert len(store.list_runs(RunQuery()).items) == 1
    store.close()
