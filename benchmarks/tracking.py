"""What logging and searching cost, next to MLflow: the issue of both is the same script.

    python benchmarks/tracking.py [--with-mlflow | --peer PYTHON] [--runs N] [--points N] [--skip-search]

The same script runs with ``import toolkit as mlflow`` and with ``import mlflow``, both from compiled bytecode, each on
an SQLite file of its own: one point a call, batches of 1,000 of as many metrics, and whole runs (create, 3 parameters
and 20 metrics, end). Ours is given twice: until the calls have returned, each entry then being in the journal, and
until the store has acknowledged all; MLflow's calls return when the store has it. Searching and the sampled history are
measured on a store of 100,000 runs x 20 metrics x 20 parameters, on SQLite and, where its programs are, on a PostgreSQL
server of its own with default settings. A figure is the best of a few rounds, and the range.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from benchmarks import population  # noqa: E402 - beside this file
from benchmarks.run_overhead import measure, mlflow_command  # noqa: E402 - the same
from toolkit.db.engine import Database, open_database  # noqa: E402
from toolkit.db.schema import ensure_schema  # noqa: E402
from toolkit.tracking.records import SearchQuery  # noqa: E402
from toolkit.tracking.sql import SqlRunStore  # noqa: E402

SCRIPT = """
import json, sys, time
import {module} as mlflow
settle = getattr(mlflow, "flush", lambda: None)
singles, batches, runs = json.loads(sys.argv[1])
figures = {{}}
def measure(name, count, work):
    began = time.perf_counter()
    work()
    returned = time.perf_counter() - began
    settle()
    figures[name] = [count / returned, count / (time.perf_counter() - began)]
def log_singles():
    for step in range(singles):
        mlflow.log_metric("loss", step * 0.5, step=step)
values = {{f"metric_{{n}}": n * 0.5 for n in range(1000)}}
def log_batches():
    for step in range(batches):
        mlflow.log_metrics(values, step=step)
few = {{f"m{{n}}": n * 0.5 for n in range(20)}}
def whole_runs():
    for _ in range(runs):
        with mlflow.start_run():
            mlflow.log_params({{"alpha": 0.5, "layers": 3, "optimizer": "adam"}})
            mlflow.log_metrics(few)
mlflow.set_experiment("benchmark")
with mlflow.start_run():
    mlflow.log_metric("first", 1.0)
    settle()
    measure("singles", singles, log_singles)
    measure("batches", 1000 * batches, log_batches)
measure("runs", runs, whole_runs)
print(json.dumps(figures))
"""

SEARCHES = {
    "filter and order by a metric": SearchQuery(
        filter="metrics.rmse < 0.5 AND params.optimizer = 'adam'", order_by=["metrics.accuracy DESC"], limit=50
    ),
    "filter with OR, order by start": SearchQuery(
        filter="metrics.rmse < 0.1 OR tags.team = 'team-1'", order_by=["start_time DESC"], limit=50
    ),
    "rare parameter, order by a metric": SearchQuery(
        filter="params.seed = '7'", order_by=["metrics.rmse ASC"], limit=50
    ),
}
DEEP = 40
LIMIT_MS = 50.0
HISTORY_LIMIT_MS = 100.0


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A line of the first table, in units a second; of several rounds each."""

    work: str
    returned: Sequence[float]
    acknowledged: Sequence[float]
    peer: Sequence[float]
    wanted: float


def run_script(python: str, module: str, counts: Sequence[int], environment: dict[str, str]) -> dict[str, list[float]]:
    """Run the script once, in a new process; return units a second, until the calls returned and until all is there."""
    done = subprocess.run(
        [python, "-c", SCRIPT.format(module=module), json.dumps(list(counts))],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return figures


def rates(folder: Path, peer: str | None, rounds: int) -> list[Rate]:
    """Measure logging, ours and the peer's in turn."""
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("TOOLKIT_", "PREFECT_", "MLFLOW_"))
    }
    plain.pop("PYTHONDONTWRITEBYTECODE", None)
    ours, theirs = [], []
    for number in range(rounds):
        home = {**plain, "TOOLKIT_HOME": str(folder / f"home{number}")}
        ours.append(run_script(sys.executable, "toolkit", (100_000, 300, 2_000), home))
        if peer:
            database = f"sqlite:///{folder}/mlflow{number}.db"
            home = {**plain, "MLFLOW_TRACKING_URI": database, "MLFLOW_DISABLE_TELEMETRY": "1"}
            theirs.append(run_script(peer, "mlflow", (400, 10, 60), home))
    works = (
        ("singles", "one metric a call, metrics/s", 50_000.0),
        ("batches", "batches of 1,000, metrics/s", 200_000.0),
        ("runs", "create + 23 values + end, runs/s", 1_000.0),
    )
    return [
        Rate(
            work=title,
            returned=[figures[name][0] for figures in ours],
            acknowledged=[figures[name][1] for figures in ours],
            peer=[figures[name][0] for figures in theirs],
            wanted=wanted,
        )
        for name, title, wanted in works
    ]


def imports(python: str | None, module: str) -> str:
    """Return the seconds that an import takes, without the interpreter's own start: the median, and the range."""
    if python is None:
        return "–"
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    bare = statistics.median(measure([python, "-c", "pass"], plain, runs=7))
    took = [max(0.0, each - bare) for each in measure([python, "-c", f"import {module}"], plain, runs=7)]
    return f"{statistics.median(took):.3f} ({min(took):.3f}–{max(took):.3f})"


def rate_cell(values: Sequence[float]) -> str:
    """Return the best of several rounds, and the range."""
    return f"{max(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})" if values else "–"


def milliseconds(call: Callable[[], object], times: int = 9) -> list[float]:
    """Return how long each of several calls took, after one that does not count."""
    call()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1e3)
    return took


def later_page(store: SqlRunStore, query: SearchQuery) -> SearchQuery:
    """Return the query for a page after many, or for the last one."""
    for _ in range(DEEP):
        token = store.search_runs(query).next_page_token
        if token is None:
            break
        query = replace(query, page_token=token)
    return query


def search_rows(database: Database, runs: int, points: int) -> Iterator[tuple[str, list[float], float]]:
    """Fill a database and give, for each kind of reading, its milliseconds and the limit."""
    ensure_schema(database)
    store = SqlRunStore(database, "file:///artifacts")
    population.fill(database, runs)
    population.add_history(database, 1, points)
    for name, query in SEARCHES.items():
        later = later_page(store, query)
        yield f"{name}: first page", milliseconds(partial(store.search_runs, query)), LIMIT_MS
        yield f"{name}: page {DEEP + 1}", milliseconds(partial(store.search_runs, later)), LIMIT_MS
        yield f"{name}: count", milliseconds(partial(store.count_runs, query)), LIMIT_MS
    with database.read() as connection:
        first = connection.exec_driver_sql("SELECT run_id FROM runs WHERE id = 1").scalar_one()
    sampled = milliseconds(partial(store.sample_history, first, population.LOSS, points=1_000))
    found = len(store.sample_history(first, population.LOSS, points=1_000))
    yield f"history of {points:,} points, sampled to {found:,} of at most 1,000", sampled, HISTORY_LIMIT_MS


@contextlib.contextmanager
def databases(folder: Path) -> Iterator[dict[str, Database]]:
    """Give an SQLite database, and one on a PostgreSQL server with default settings where there can be one."""
    opened = {f"SQLite {sqlite3.sqlite_version}": open_database(f"sqlite:///{folder}/search.db")}
    with contextlib.ExitStack() as stack:
        try:
            from postgres import running, why_not  # noqa: PLC0415 - among the tests' support
        except ImportError:
            reason: str | None = "tests/support/postgres.py is not here"
        else:
            reason = why_not()
        if reason:
            print(f"PostgreSQL is not measured: {reason}", file=sys.stderr)
        else:
            server = stack.enter_context(running("fsync=on", "full_page_writes=on", "shared_buffers=128MB"))
            ((number,),) = server.ask("SHOW server_version")
            opened[f"PostgreSQL {number.partition(' ')[0]}"] = open_database(server.url(server.new_database()))
        try:
            yield opened
        finally:
            for database in opened.values():
                database.close()


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--with-mlflow", action="store_true", help="make an environment with MLflow if there is none")
    parser.add_argument("--peer", help="Python of an environment with MLflow")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=100_000, help="runs of the store that is searched")
    parser.add_argument("--points", type=int, default=1_000_000, help="points of the history that is sampled")
    parser.add_argument("--skip-search", action="store_true")
    options = parser.parse_args()
    command = mlflow_command(None, make=options.with_mlflow) if not options.peer else None
    peer = options.peer or (str(Path(command).with_name("python")) if command else None)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}, SQLAlchemy {version('sqlalchemy')}, load {os.getloadavg()[0]:.1f}\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        print(
            "| work | MLflow 3.17.2 | ours, acknowledged | ours, returned (journaled) | wanted |\n|---|---|---|---|---|"
        )
        for rate in rates(folder, peer, options.rounds):
            cells = (rate_cell(rate.peer), rate_cell(rate.acknowledged), rate_cell(rate.returned))
            print(f"| {rate.work} | {' | '.join(cells)} | ≥ {rate.wanted:,.0f} |", flush=True)
        print(f"| import, seconds | {imports(peer, 'mlflow')} | {imports(sys.executable, 'toolkit')} | | ≤ 0.10 |")
        if options.skip_search:
            return 0
        print(f"\n{options.runs:,} runs × 20 metrics × 20 parameters; milliseconds, median (range)\n")
        with databases(folder) as opened:
            print(f"| reading | {' | '.join(opened)} | wanted |\n|---|{'---|' * (len(opened) + 1)}")
            tables = [list(search_rows(database, options.runs, options.points)) for database in opened.values()]
        for row in zip(*tables, strict=True):
            shown = [f"{statistics.median(took):.1f} ({min(took):.1f}–{max(took):.1f})" for _, took, _ in row]
            print(f"| {row[0][0]} | {' | '.join(shown)} | ≤ {row[0][2]:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
