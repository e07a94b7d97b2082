"""A store with many runs, written around the run store by bulk inserts: what benchmarks of search and history read.

Each run has 20 metrics and 20 parameters, and the tags that runs of the SDK have. Most are in experiment ``0`` and
FINISHED; some are parts of others, deleted, failed, or running. The same seed gives the same values everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

from sqlalchemy import Connection, Table, insert

from toolkit.db import tables
from toolkit.db.dialect import SQLITE
from toolkit.db.engine import Database

KEYS = 20
START = 1_700_000_000_000
METRICS = ("rmse", "accuracy", "epochs", "diverged", *(f"metric_{n}" for n in range(KEYS - 4)))
PARAMS = tuple(sorted(("alpha", "optimizer", "seed", *(f"param_{n}" for n in range(KEYS - 3)))))
EXPERIMENTS = 5
LOSS = "loss"
"""The metric with a long history."""

_STATUSES = ("FINISHED",) * 90 + ("FAILED",) * 7 + ("KILLED",) * 2 + ("RUNNING",)
_USERS = ("ada",) * 6 + ("grace",) * 3 + ("alan",)
_Row = Sequence[object]


def fill(database: Database, runs: int) -> None:
    """Write so many runs into a store that has none, and let the database look at what it holds.

    Args:
        database: With its schema and experiment ``0``.
        runs: How many.
    """
    with database.write() as connection:
        metrics, names = tables.latest_metrics, enumerate(METRICS, 1)
        _put(connection, tables.experiments, ("id", "name", "artifact_location", "created", "updated"), _experiments())
        _put(connection, tables.metric_keys, ("id", "name"), names)
        _put(connection, tables.runs, _RUN, _runs(runs))
        _put(connection, metrics, ("run", "key", "step", "timestamp", "value", "special"), _metrics(runs))
        _put(connection, tables.params, ("run", "key", "value"), _params(runs))
        _put(connection, tables.tags, ("run", "key", "value"), _tags(runs))
    _settle(database)


def add_history(database: Database, run: int, points: int, *, each: int = 1, gap: int = 1) -> None:
    """Write a history of `LOSS` for the run of this inner key, in which its metric was not logged yet.

    Args:
        database: That `fill` has filled.
        run: Inner key: 1 for the first run.
        points: How many.
        each: How many points have the same step.
        gap: From one step to the next.
    """
    with database.write() as connection:
        known = connection.exec_driver_sql(f"SELECT id FROM metric_keys WHERE name = '{LOSS}'").scalar()
        key = known or len(METRICS) + 1
        if not known:
            _put(connection, tables.metric_keys, ("id", "name"), [(key, LOSS)])
        columns = ("run", "key", "step", "timestamp", "value", "special")
        rows = ((run, key, n // each * gap, START + n, 1000.0 / (n + 1), 0) for n in range(points))
        _put(connection, tables.metrics, columns, rows)
        last = (points - 1) // each * gap
        _put(connection, tables.latest_metrics, columns, [(run, key, last, START + points - 1, 1000.0 / points, 0)])
    _settle(database)


_RUN = (
    "id",
    "run_id",
    "experiment",
    "name",
    "user_id",
    "status",
    "reason",
    "start_time",
    "end_time",
    "artifact_uri",
    "parent_run_id",
    "deleted",
)


def _experiments() -> Iterator[_Row]:
    for n in range(1, EXPERIMENTS):
        yield n, f"experiment-{n}", f"file:///artifacts/{n}", START, START


def _runs(runs: int) -> Iterator[_Row]:
    random = Random(1)
    parent = None
    for n in range(1, runs + 1):
        run_id = f"{random.getrandbits(128):032x}"
        status = random.choice(_STATUSES)
        experiment = 0 if n % 10 else 1 + n // 10 % (EXPERIMENTS - 1)
        child = parent if n % 10 in (1, 2) else None
        parent = run_id if n % 10 == 0 else parent
        yield (
            n,
            run_id,
            experiment,
            f"run-{n % 1000}",
            random.choice(_USERS),
            status,
            "heartbeat_lost" if status == "FAILED" and n % 5 == 0 else None,
            START + n,
            None if status == "RUNNING" else START + n + random.randrange(10**7),
            f"file:///artifacts/{experiment}/{run_id}/artifacts",
            child,
            START + n if n % 50 == 7 else None,
        )


def _metrics(runs: int) -> Iterator[_Row]:
    random = Random(2)
    for run in range(1, runs + 1):
        for key, name in enumerate(METRICS, 1):
            value = float(random.randrange(10)) if name == "epochs" else random.random()
            nan = name == "diverged" and run % 100 == 0
            yield run, key, 100, START, float("inf") if nan else value, int(nan)


def _params(runs: int) -> Iterator[_Row]:
    random = Random(3)
    for run in range(1, runs + 1):
        for name in PARAMS:
            if name == "alpha":
                value = str(random.randrange(10) / 10)
            elif name == "optimizer":
                value = random.choice(("adam", "sgd"))
            elif name == "seed":
                value = f"{random.getrandbits(64):x}"
            else:
                value = str(random.randrange(1000))
            yield run, name, value


def _tags(runs: int) -> Iterator[_Row]:
    for run in range(1, runs + 1):
        if run % 1000 == 0:
            yield run, "mlflow.note.content", f"note {run} " * 50
        yield run, "mlflow.runName", f"run-{run % 1000}"
        yield run, "mlflow.user", "ada"
        if run % 500 == 0:
            yield run, "stage", "candidate"
        yield run, "team", f"team-{run % 7}"


def _put(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[_Row]) -> None:
    """Write rows; indices are made afterwards, which is several times faster."""
    later = [index for index in table.indexes if not index.unique]
    for index in later:
        index.drop(connection)
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == SQLITE:
        statement = str(insert(table).compile(dialect=connection.dialect, column_keys=list(columns)))
        driver.executemany(statement, rows)
    else:
        listed = ", ".join(f'"{name}"' for name in columns)
        with driver.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")  # no look-up of a foreign key for each row
            with cursor.copy(f'COPY "{table.name}" ({listed}) FROM STDIN') as copy:
                for row in rows:
                    copy.write_row(row)
    for index in later:
        index.create(connection)


def _settle(database: Database) -> None:
    """Do what a database does by itself in a quiet minute: PostgreSQL's autovacuum looks at tables that grew."""
    if database.dialect == SQLITE:
        database.outside_transaction("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    raw = database.engine.raw_connection()
    driver: Any = raw.driver_connection
    driver.autocommit = True
    driver.execute("VACUUM ANALYZE")
    raw.invalidate()  # no other may get it as it is
