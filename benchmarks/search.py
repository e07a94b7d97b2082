"""What a search costs in a large store: pages, deep pages and counts, over SQLite.

    python benchmarks/search.py [--runs N] [--database FILE]

The store has runs of 20 metrics and 20 parameters each, written around the run store by bulk inserts. A database that
is there already is used as it is. Each call is timed after one that does not count; the table gives median and worst.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from random import Random

from toolkit.ids import new_run_id
from toolkit.tracking.records import Metric, NewRun, SearchQuery
from toolkit.tracking.sql import SqlRunStore

KEYS = 20
START = 1_700_000_000_000
DEEP = 40  # pages before the deep one
LIMIT_MS = 50
EXAMPLE = "metrics.rmse < 0.3 AND params.alpha = '0.5'"
SEARCHES: dict[str, SearchQuery] = {
    "newest runs": SearchQuery(experiment_ids=["0"]),
    f"{EXAMPLE}, by rmse": SearchQuery(filter=EXAMPLE, order_by=["metrics.rmse"]),
    "the same, only rmse loaded": SearchQuery(filter=EXAMPLE, order_by=["metrics.rmse"], fields=["metrics.rmse"]),
    f"{EXAMPLE}, newest": SearchQuery(filter=EXAMPLE, experiment_ids=["0"]),
    "all, by rmse DESC": SearchQuery(order_by=["metrics.rmse DESC"], experiment_ids=["0"]),
    "all, by epochs (10 values)": SearchQuery(order_by=["metrics.epochs"], experiment_ids=["0"]),
    "all, by params.alpha (10 values)": SearchQuery(order_by=["params.alpha"], experiment_ids=["0"]),
    "metrics.rmse < 0.9, by accuracy": SearchQuery(filter="metrics.rmse < 0.9", order_by=["metrics.accuracy"]),
    "metrics.rmse < 0.001, by accuracy": SearchQuery(filter="metrics.rmse < 0.001", order_by=["metrics.accuracy"]),
    "alpha = '0.5' OR rmse < 0.01, by rmse": SearchQuery(
        filter="params.alpha = '0.5' OR metrics.rmse < 0.01", order_by=["metrics.rmse"]
    ),
    "params.param_3 LIKE '%99', newest": SearchQuery(filter="params.param_3 LIKE '%99'"),
    "params.param_3 LIKE 'none%'": SearchQuery(filter="params.param_3 LIKE 'none%'"),
    "all, by end_time DESC": SearchQuery(order_by=["end_time DESC"], experiment_ids=["0"]),
    "all, by status (no index)": SearchQuery(order_by=["status"], experiment_ids=["0"]),
    "params.param_3 REGEXP 'none' (no index)": SearchQuery(filter="params.param_3 REGEXP 'none'"),
}


def fill(path: Path, runs: int) -> None:
    """Write runs, metrics, parameters and tags into a store that is there."""
    random = Random(1)
    metrics = ["rmse", "accuracy", "epochs", *(f"metric_{n}" for n in range(KEYS - 3))]
    params = sorted(["alpha", "optimizer", *(f"param_{n}" for n in range(KEYS - 2))])
    numbers = range(1, runs + 1)

    def values() -> Iterator[tuple[object, ...]]:
        for run in numbers:
            for key, name in enumerate(metrics, 1):
                value = float(random.randrange(10)) if name == "epochs" else random.random()
                yield run, key, 100, START, value, 0

    def texts() -> Iterator[tuple[object, ...]]:
        for run in numbers:
            for name in params:
                if name == "alpha":
                    yield run, name, str(random.randrange(10) / 10)
                else:
                    yield (
                        run,
                        name,
                        random.choice(("adam", "sgd")) if name == "optimizer" else str(random.randrange(1000)),
                    )

    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO metric_keys (id, name) VALUES (?, ?)", enumerate(metrics, 1))
    connection.executemany(
        "INSERT INTO runs (id, run_id, experiment, name, user_id, status, start_time, end_time, artifact_uri) "
        "VALUES (?, ?, 0, ?, 'ada', 'FINISHED', ?, ?, 'file:///artifacts/' || ?)",
        (
            (n, f"{random.getrandbits(128):032x}", f"run-{n % 1000}", START + n, START + n + random.randrange(10**7), n)
            for n in numbers
        ),
    )
    connection.executemany("INSERT INTO latest_metrics VALUES (?, ?, ?, ?, ?, ?)", values())
    connection.executemany("INSERT INTO params VALUES (?, ?, ?)", texts())
    connection.executemany(
        "INSERT INTO tags VALUES (?, ?, ?)",
        ((n, key, value) for n in numbers for key, value in (("mlflow.user", "ada"), ("team", f"team-{n % 7}"))),
    )
    connection.execute("COMMIT")
    connection.close()


def measure(call: Callable[[], object], times: int = 7) -> tuple[float, float]:
    """Return the median and the worst milliseconds of a call."""
    call()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took), max(took)


def deep(store: SqlRunStore, query: SearchQuery) -> SearchQuery:
    """Return the query for a page after many, or for the last one."""
    for _ in range(DEEP):
        token = store.search_runs(query).next_page_token
        if token is None:
            break
        query = replace(query, page_token=token)
    return query


def shown(milliseconds: tuple[float, float]) -> str:
    """Return a cell of the table."""
    median, worst = milliseconds
    return f"{median:7.1f} {worst:7.1f} {'!' if median > LIMIT_MS else ' '}"


def writing(folder: Path) -> float:
    """Return how many metrics a second a store takes, in batches of 1,000 of one key."""
    store = SqlRunStore(f"sqlite:///{folder}/writing.db", "file:///artifacts")
    new = NewRun(experiment_id="0", run_id=new_run_id(), run_name="x", user_id="ada", start_time=START)
    run_id = store.create_run(new).info.run_id
    batches = [
        [Metric(key="loss", value=step / 3, timestamp=START + step, step=step) for step in range(at, at + 1_000)]
        for at in range(0, 100_000, 1_000)
    ]
    began = time.perf_counter()
    for batch in batches:
        store.log_batch(run_id, metrics=batch)
    took = time.perf_counter() - began
    store.close()
    return len(batches) * 1_000 / took


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--database", type=Path, help="keep the store here, or use the one that is here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.database or Path(folder, "search.db")
        there = path.exists()
        store = SqlRunStore(f"sqlite:///{path.resolve()}", "file:///artifacts")
        if not there:
            fill(path, options.runs)
        runs = store.count_runs(SearchQuery())
        print(
            f"{runs:,} runs × {KEYS} metrics × {KEYS} parameters, {path.stat().st_size / 1e6:.0f} MB; pages of 50\n"
            f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; "
            f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, SQLAlchemy {version('sqlalchemy')}\n"
            f"milliseconds, median and worst; ! is more than {LIMIT_MS}\n"
        )
        print(f"{'search':42}{'first page':>17} {'page ' + str(DEEP + 1):>17} {'count':>17}")
        for name, query in SEARCHES.items():
            query = replace(query, limit=50)
            later = deep(store, query)
            cells = [
                measure(lambda query=query: store.search_runs(query)),  # type: ignore[misc]
                measure(lambda later=later: store.search_runs(later)),  # type: ignore[misc]
                measure(lambda query=query: store.count_runs(query)),  # type: ignore[misc]
            ]
            print(f"{name:42}{' '.join(map(shown, cells))}")
        store.close()
        print(f"\nlog_batch, batches of 1,000 of one key: {writing(Path(folder)):,.0f} metrics/s")


if __name__ == "__main__":
    main()
