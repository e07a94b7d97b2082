"""What a search costs in a large store: pages, deep pages and counts; and a sample of a long history.

    python benchmarks/search.py [--runs N] [--points N] [--database URL] [--every]

The store has runs of 20 metrics and 20 parameters each (`population.py`). A database that has runs already is used as
it is. Each call is timed after one that does not count; the table gives median and worst.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from benchmarks.population import KEYS, LOSS, add_history, fill  # noqa: E402 - beside this file
from benchmarks.search_kinds import EXAMPLE, kinds  # noqa: E402 - the same
from toolkit.db.engine import Database, open_database  # noqa: E402
from toolkit.tracking.records import SearchQuery  # noqa: E402
from toolkit.tracking.sql import SqlRunStore  # noqa: E402

SLOWEST = 40
DEEP = 40  # pages before the deep one
LIMIT_MS = 50
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


def history(store: SqlRunStore, database: Database, points: int) -> tuple[float, float]:
    """Return the milliseconds of a sample of 1,000 points of a long history, which is made if it is not there."""
    (run,) = store.search_runs(SearchQuery(order_by=["start_time"], limit=1)).items
    if LOSS not in run.data.metrics:
        add_history(database, 1, points)
    return measure(lambda: store.sample_history(run.info.run_id, LOSS, points=1_000))


def every(store: SqlRunStore) -> None:
    """Time the first page and the count of every kind of search; print those that take longest."""
    rows = []
    counted: dict[tuple[object, ...], float] = {}
    for name, query in kinds():
        query = replace(query, limit=50)
        first, _ = measure(lambda query=query: store.search_runs(query), 3)  # type: ignore[misc]
        key = (query.filter, tuple(query.experiment_ids), query.lifecycle)
        if key not in counted:
            counted[key], _ = measure(lambda query=query: store.count_runs(query), 3)  # type: ignore[misc]
        rows.append((max(first, counted[key]), first, counted[key], name))
    rows.sort(reverse=True)
    above = sum(row[0] > LIMIT_MS for row in rows)
    print(f"\n{len(rows)} kinds of search, {above} of them above {LIMIT_MS} ms; first page and count of the slowest:")
    for _, first, count, name in rows[:SLOWEST]:
        print(f"{first:8.1f} {count:8.1f}  {name}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=1_000_000, help="of the long history")
    parser.add_argument("--database", metavar="URL", help="make the population here, or use the one that is here")
    parser.add_argument("--every", action="store_true", help="also every kind of search that there is")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(options.database or f"sqlite:///{folder}/search.db")
        store = SqlRunStore(database, "file:///artifacts")
        if not store.search_runs(SearchQuery(limit=1)).items:
            fill(database, options.runs)
        runs = store.count_runs(SearchQuery())
        with database.read() as connection:
            server = ".".join(str(part) for part in connection.dialect.server_version_info or ())
        print(
            f"{runs:,} runs × {KEYS} metrics × {KEYS} parameters; pages of 50\n"
            f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; "
            f"Python {platform.python_version()}, {database.dialect} {server}, SQLAlchemy {version('sqlalchemy')}\n"
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
            print(f"{name:42}{' '.join(map(shown, cells))}", flush=True)
        median, worst = history(store, database, options.points)
        print(f"\n{options.points:,} points of one metric, sampled to 1,000: {median:.1f} (worst {worst:.1f})")
        if options.every:
            every(store)
        store.close()
        database.close()


if __name__ == "__main__":
    main()
