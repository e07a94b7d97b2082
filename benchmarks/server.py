"""What requests to the tracking server cost: MLflow's, ours, and one that does nothing, driven in turn.

    python benchmarks/server.py [--with-mlflow | --peer PYTHON] [--seconds S] [--runs N] [--rounds N] [--skip-large]

Each server is a process of its own with an SQLite file of its own, all from compiled bytecode. *Plain* is one
connection that stays open and requests that were made before (`plain_client.py`); *stock* is MLflow's own client, in
MLflow's own Python. *Nothing* is a server that answers ``{}`` whatever it is asked: what the clients and the HTTP
parser leave at best. A figure is the best of a few rounds; memory is what all processes of a server hold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks.plain_client import Plain  # noqa: E402 - beside this file
from benchmarks.run_overhead import mlflow_command  # noqa: E402 - the same
from benchmarks.served import Running, Starter, emptied, nothing, ours, peer  # noqa: E402 - the same

API = "/api/2.0/mlflow/"
FILES = "/api/2.0/mlflow-artifacts/artifacts/"
BATCH = 1_000

STOCK = """
import json, sys, time
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
url, run, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
client = MlflowClient(url)
def rate(work):
    work()
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        work()
        count += 1
    return count / (time.perf_counter() - began)
batch = [Metric(f"stock_{n}", n * 0.5, 1, 1) for n in range(1000)]
print(json.dumps([
    rate(lambda: client.log_metric(run, "stock", 0.5, synchronous=True)),
    1000 * rate(lambda: client.log_batch(run, batch, synchronous=True)),
]))
"""


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        key: Of the figure.
        name: What is measured.
        unit: Of the figures.
        wanted: What ours must reach.
        more: Whether more is better.
    """

    key: str
    name: str
    unit: str
    wanted: float
    more: bool = True

    def shown(self, value: float | None) -> str:
        """Return a figure as it is printed."""
        if value is None:
            return "–"
        digits = 2 if value < 10 and self.unit != "/s" else 1 if value < 100 and self.unit != "/s" else 0
        return f"{value:,.{digits}f} {self.unit}"

    def limit(self) -> str:
        """Return what ours must reach, as it is printed."""
        return f"{'≥' if self.more else '≤'} {self.wanted:,g} {self.unit}"

    def met(self, value: float) -> bool:
        """Tell whether a figure is good enough."""
        return value >= self.wanted if self.more else value <= self.wanted


ROWS = (
    Row("start", "start, until `/health` answers", "s", 1.2, more=False),
    Row("idle", "memory when idle, all processes", "MB", 120, more=False),
    Row("single", "`log-metric`, plain", "/s", 1_800),
    Row("stock", "`log-metric`, stock client", "/s", 650),
    Row("eight", "`log-metric`, 8 plain clients", "/s", 1_800),
    Row("batch", "metrics in batches of 1,000, plain", "/s", 150_000),
    Row("stock_batch", "metrics in batches of 1,000, stock client", "/s", 40_000),
    Row("runs", "runs: create, 23 values, end, plain", "/s", 500),
    Row("search", "search 200 of 2,000 runs", "ms", 20, more=False),
    Row("filter", "search with filter and order, 50 of 2,000", "ms", 8, more=False),
    Row("history", "history of 20,000 points", "ms", 80, more=False),
    Row("up", "100 MB artifact up", "MB/s", 400),
    Row("down", "100 MB artifact down", "MB/s", 800),
    Row("growth", "growth of memory by 1 GB up and down", "MB", 64, more=False),
)
UNANSWERED = frozenset(("start", "idle", "search", "filter", "history", "up", "down", "growth", "runs"))
"""What a server that does nothing cannot be asked."""

Figures = dict[str, float]


class Driver:
    """Drives one server.

    Args:
        server: The server.
        options: Of the command line.
        python: MLflow's interpreter, for the stock client.
    """

    def __init__(self, server: Running, options: argparse.Namespace, python: str | None) -> None:
        self._server, self._options, self._python = server, options, python
        self._plain = Plain(server.port)
        self._does = server.name != "nothing"
        self._run = self._create()["info"]["run_id"] if self._does else "0" * 32

    def _create(self, experiment: str = "0") -> dict[str, dict[str, str]]:
        run: dict[str, dict[str, str]] = self._plain.post(API + "runs/create", {"experiment_id": experiment})["run"]
        return run

    def _metric(self, client: Plain) -> bytes:
        point = {"run_id": self._run, "key": "loss", "value": 0.5, "timestamp": 1, "step": 1}
        return client.request("POST", API + "runs/log-metric", json.dumps(point).encode())

    def _rate(self, work: Callable[[], object], seconds: float) -> float:
        work()
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            work()
            count += 1
        return count / (time.perf_counter() - began)

    def _best(self, work: Callable[[], object]) -> float:
        return max(self._rate(work, self._options.seconds) for _ in range(self._options.rounds))

    def single(self) -> float:
        """Return the calls of ``log-metric`` a second."""
        request = self._metric(self._plain)
        return self._best(lambda: _good(self._plain.send(request)))

    def eight(self) -> float:
        """Return the same of eight connections at once."""
        return max(self._eight() for _ in range(self._options.rounds))

    def _eight(self) -> float:
        counts, until = [0] * 8, time.perf_counter() + self._options.seconds

        def work(number: int) -> None:
            with contextlib.closing(Plain(self._server.port)) as client:
                request = self._metric(client)
                while time.perf_counter() < until:
                    _good(client.send(request))
                    counts[number] += 1

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.perf_counter() - began)

    def batch(self) -> float:
        """Return the metrics a second in batches."""
        metrics = [{"key": f"m{n}", "value": n * 0.5, "timestamp": 1, "step": 1} for n in range(BATCH)]
        body = json.dumps({"run_id": self._run, "metrics": metrics}).encode()
        request = self._plain.request("POST", API + "runs/log-batch", body)
        return BATCH * self._best(lambda: _good(self._plain.send(request)))

    def runs(self) -> float:
        """Return the whole runs a second."""
        data = {
            "metrics": [{"key": f"m{n}", "value": n * 0.5, "timestamp": 1, "step": 0} for n in range(20)],
            "params": [{"key": f"p{n}", "value": str(n)} for n in range(3)],
        }

        def work() -> None:
            run_id = self._create()["info"]["run_id"]
            self._plain.post(API + "runs/log-batch", {"run_id": run_id, **data})
            self._plain.post(API + "runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": 5})

        return self._best(work)

    def stock(self) -> tuple[float, float]:
        """Return what MLflow's own client reaches: calls of ``log-metric`` and metrics in batches, a second.

        Raises:
            LookupError: There is no MLflow.
        """
        if self._python is None:
            raise LookupError
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        argv = [self._python, "-c", STOCK, self._server.url, self._run, str(self._options.seconds)]
        best = (0.0, 0.0)
        for _ in range(self._options.rounds):
            done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"MLflow's client failed:\n{done.stderr}")
            single, batch = json.loads(done.stdout.splitlines()[-1])
            best = (max(best[0], single), max(best[1], batch))
        return best

    def populate(self, count: int) -> None:
        """Make the runs to search, and the history."""
        experiment = self._plain.post(API + "experiments/create", {"name": "searched"})["experiment_id"]
        for index in range(count):
            run_id = self._create(experiment)["info"]["run_id"]
            metrics = [
                {"key": f"m{n}", "value": (index * 7919 + n * 31) % 1_000 / 1_000, "timestamp": 1, "step": 0}
                for n in range(20)
            ]
            params = [{"key": f"p{n}", "value": str(index % (n + 2))} for n in range(3)]
            self._plain.post(API + "runs/log-batch", {"run_id": run_id, "metrics": metrics, "params": params})
        for first in range(0, 20_000, BATCH):
            points = [{"key": "h", "value": n / 7, "timestamp": n, "step": n} for n in range(first, first + BATCH)]
            self._plain.post(API + "runs/log-batch", {"run_id": self._run, "metrics": points})
        self._experiment = experiment

    def search(self) -> float:
        """Return the milliseconds of a page of 200 runs."""
        return self._search({"max_results": 200}, 200)

    def filter(self) -> float:
        """Return the milliseconds of a page of 50 runs, chosen and in order."""
        asked = {"filter": "metrics.m3 < 0.5 AND params.p1 = '1'", "order_by": ["metrics.m5 DESC"], "max_results": 50}
        return self._search(asked, 50)

    def _search(self, asked: dict[str, object], expected: int) -> float:
        path, message = API + "runs/search", {"experiment_ids": [self._experiment], **asked}
        if len(self._plain.post(path, message)["runs"]) != min(expected, self._options.runs):
            sys.exit("the search did not find what it should")
        request = self._plain.request("POST", path, json.dumps(message).encode())
        return self._milliseconds(lambda: _good(self._plain.send(request)))

    def history(self) -> float:
        """Return the milliseconds of a long history."""
        path = f"{API}metrics/get-history?run_id={self._run}&metric_key=h"
        if len(json.loads(self._plain.get(path)[1])["metrics"]) != 20_000:
            sys.exit("the history is not whole")
        return self._milliseconds(lambda: _good(self._plain.get(path)))

    def _milliseconds(self, work: Callable[[], object]) -> float:
        return 1000 / self._best(work)

    def transfers(self, folder: Path) -> tuple[float, float]:
        """Return the MB/s of 100 MB up and down."""
        size, up, down = 100_000_000, 0.0, 0.0
        with _file(folder / "large", size) as source:
            for round_ in range(3 + self._options.rounds):
                path = f"{FILES}0/{self._run}/artifacts/large-{round_ % 2}"
                up = max(up, self._up(path, source, size))
                down = max(down, self._down(path, size))
        return up, down

    def growth(self, folder: Path) -> float:
        """Return the MB that all processes grow by at most while 1 GB goes up and down."""
        size, before, most = 1_000_000_000, self._server.memory()[0], 0.0
        done = threading.Event()

        def watch() -> None:
            nonlocal most
            while not done.wait(0.02):
                most = max(most, self._server.memory()[0])

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with _file(folder / "huge", size) as source:
                path = f"{FILES}0/{self._run}/artifacts/huge"
                self._up(path, source, size)
                self._down(path, size)
        finally:
            done.set()
            watcher.join()
        return max(0.0, most - before)

    def _up(self, path: str, source: BinaryIO, size: int) -> float:
        began = time.perf_counter()
        if self._plain.upload(path, source, size) not in (200, 201):
            sys.exit("the upload failed")
        return size / (time.perf_counter() - began) / 1e6

    def _down(self, path: str, size: int) -> float:
        began = time.perf_counter()
        if self._plain.download(path) != (200, size):
            sys.exit("the download failed")
        return size / (time.perf_counter() - began) / 1e6


@contextlib.contextmanager
def _file(path: Path, size: int) -> Iterator[BinaryIO]:
    block = os.urandom(1_000_000)
    with path.open("wb") as target:
        for _ in range(size // len(block)):
            target.write(block)
    try:
        with path.open("rb") as source:
            yield source
    finally:
        path.unlink()


def _good(answer: tuple[int, bytes]) -> None:
    if answer[0] != 200:
        sys.exit(f"the server answered {answer[0]}: {answer[1][:300]!r}")


def measured(start: Starter, folder: Path, options: argparse.Namespace, python: str | None) -> Figures:
    """Return the figures of one server."""
    figures: Figures = {}
    wanted = options.only

    def note(key: str, work: Callable[[], float]) -> None:
        if not wanted or key in wanted:
            figures[key] = work()
            print(f"  {key}: {figures[key]:,.2f}", file=sys.stderr, flush=True)

    starts = []
    for round_ in range(0 if wanted and "start" not in wanted else options.rounds):
        with start(emptied(folder / f"start-{round_}")) as server:
            starts.append(server.start)
    with start(emptied(folder / "work")) as server:
        print(f"{server.name}:", file=sys.stderr, flush=True)
        figures["start"] = min([*starts, server.start])
        time.sleep(0 if wanted else 8 if server.name == "MLflow" else 2)  # what it starts later is memory too
        server.settle()
        driver = Driver(server, options, python)
        note("idle", lambda: server.memory()[0])
        note("single", driver.single)
        note("eight", driver.eight)
        note("batch", driver.batch)
        with contextlib.suppress(LookupError):
            if not wanted or "stock" in wanted:
                figures["stock"], figures["stock_batch"] = driver.stock()
        if server.name == "nothing":
            return {key: value for key, value in figures.items() if key not in UNANSWERED}
        note("runs", driver.runs)
        if not wanted or wanted & {"search", "filter", "history"}:
            driver.populate(options.runs)
        note("search", driver.search)
        note("filter", driver.filter)
        note("history", driver.history)
        if not wanted or wanted & {"up", "down"}:
            figures["up"], figures["down"] = driver.transfers(folder)
        if not options.skip_large:
            note("growth", lambda: driver.growth(folder))
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table; 1 if ours does not reach what it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--with-mlflow", action="store_true", help="install MLflow beside ours, if it is not there")
    parser.add_argument("--peer", help="a Python that has MLflow")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each round lasts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=2_000, help="how many are searched")
    parser.add_argument("--skip-large", action="store_true", help="leave out the artifact of 1 GB")
    parser.add_argument("--only", type=lambda text: set(text.split(",")), default=set(), help="keys, with commas")
    parser.add_argument("--alone", action="store_true", help="only our server")
    options = parser.parse_args(arguments)
    command = None if options.peer else mlflow_command(None, make=options.with_mlflow)
    python = options.peer or (str(Path(command).with_name("python")) if command else None)
    servers: dict[str, Starter] = {"nothing": nothing, "ours": ours}
    if options.alone:
        del servers["nothing"]
    elif python is not None:
        servers["MLflow"] = peer(python)
    with tempfile.TemporaryDirectory() as folder:
        found = {name: measured(start, Path(folder) / name, options, python) for name, start in servers.items()}
    return report(found)


def report(found: dict[str, Figures]) -> int:
    """Print the table."""
    print(f"\n{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| work | MLflow | nothing | ours | wanted | met |\n| --- | --- | --- | --- | --- | --- |")
    missed = 0
    for row in ROWS:
        value = found["ours"].get(row.key)
        if value is None:
            continue
        met = row.met(value)
        missed += not met
        others = [row.shown(found.get(name, {}).get(row.key)) for name in ("MLflow", "nothing")]
        print(f"| {row.name} | {' | '.join(others)} | {row.shown(value)} | {row.limit()} | {'yes' if met else 'no'} |")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
