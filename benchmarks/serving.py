"""What a served model costs: ours beside ``mlflow models serve``, and beside the model itself.

    python benchmarks/serving.py [--with-mlflow | --peer PYTHON] [--seconds S] [--rounds N] [--folder FOLDER]

Two models of scikit-learn with eleven columns, a logistic regression and a forest of 100 trees, are registered, and
built with ``toolkit deployments build``. The same files are served by ``bentoml serve`` and by ``mlflow models serve``,
each with one worker, in turn, and asked by bare connections that stay open (`plain_client.py`). A rate is the best of a
few rounds; the model itself is `load_model().predict` of a table that is there already. With ``--folder`` what was
built is kept there, and taken from there the next time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks.plain_client import Plain  # noqa: E402 - beside this file
from benchmarks.run_overhead import mlflow_command  # noqa: E402 - the same
from benchmarks.server import Row  # noqa: E402 - the same

COLUMNS = (
    "fixed acidity,volatile acidity,citric acid,residual sugar,chlorides,free sulfur dioxide,total sulfur dioxide,"
    "density,pH,sulphates,alcohol"
).split(",")
MODELS = ("logistic", "forest")

REGISTER = """
import sys
import numpy as np, pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
import toolkit as mlflow
from toolkit.models import infer_signature
columns = sys.argv[1].split(",")
table = pd.DataFrame(np.random.default_rng(0).random((2_000, len(columns))) * 10, columns=columns)
total = table.sum(axis=1)
models = {"logistic": LogisticRegression().fit(table, total > total.mean()),
          "forest": RandomForestRegressor(100, random_state=0).fit(table, total)}
with mlflow.start_run():
    for name, model in models.items():
        mlflow.sklearn.log_model(model, name=name, registered_model_name=name, input_example=table.head(2),
                                 signature=infer_signature(table, model.predict(table)))
"""

ITSELF = """
import json, statistics, sys, time
from pathlib import Path
import pandas as pd
from toolkit.models.loading import load_model
from toolkit.models.trust import Trust
model = load_model(Path(sys.argv[1]), trust=Trust.all())
table = pd.DataFrame(json.loads(sys.argv[2])["data"], columns=json.loads(sys.argv[2])["columns"])
times, until = [], time.perf_counter() + float(sys.argv[3])
while len(times) < 10 or time.perf_counter() < until:
    began = time.perf_counter()
    model.predict(table)
    times.append(time.perf_counter() - began)
print(statistics.median(times[1:]) * 1000)
"""

ROWS = (
    Row("start", "start, from the command to the first prediction", "s", 5, more=False),
    Row("worker", "memory of the one worker", "MB", 300, more=False),
    Row("all", "memory of all processes, what they share counted once", "MB", 0, more=False),
    Row("logistic_8", "logistic regression, one row, 8 clients", "/s", 950),
    Row("logistic_8_p50", "its median", "ms", 0, more=False),
    Row("logistic_8_p99", "its 99th percentile", "ms", 0, more=False),
    Row("logistic_1_p50", "the same, 1 client, median", "ms", 0, more=False),
    Row("logistic_1000", "logistic regression, 1,000 rows, median", "ms", 0, more=False),
    Row("forest_8", "forest, one row, 8 clients", "/s", 0),
    Row("forest_8_p99", "its 99th percentile", "ms", 0, more=False),
    Row("forest_1000", "forest, 1,000 rows, median", "ms", 0, more=False),
)
Figures = dict[str, float]


@dataclass
class Served:
    """A model that is served.

    Attributes:
        port: On 127.0.0.1.
        process: The first process.
        start: Seconds from its command to its first prediction.
    """

    port: int
    process: psutil.Popen
    start: float = 0.0

    def memory(self) -> tuple[float, float]:
        """Return the MB of the process that holds the model, and of all, what they share counted once."""
        found = [each.memory_full_info() for each in [self.process, *self.process.children(recursive=True)]]
        return max(each.rss for each in found) / 1e6, sum(each.pss for each in found) / 1e6


def body(rows: int) -> bytes:
    """Return a request of so many rows."""
    drawn = random.Random(rows)
    data = [[round(drawn.random() * 10, 3) for _ in COLUMNS] for _ in range(rows)]
    return json.dumps({"dataframe_split": {"columns": COLUMNS, "data": data}}).encode()


@contextlib.contextmanager
def served(command: list[str], environment: dict[str, str], log: Path) -> Iterator[Served]:
    """Start a service, and wait for its first prediction."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with log.open("wb") as output:
        began = time.perf_counter()
        process = psutil.Popen(
            [*command, "--port", str(port)], env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            running = Served(port, process)
            until = time.monotonic() + 120
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > until:
                    sys.exit(f"the service did not start:\n{log.read_text(errors='replace')}")
                time.sleep(0.01)
            running.start = time.perf_counter() - began
            yield running
        finally:
            family: list[psutil.Process] = [process]
            with contextlib.suppress(psutil.NoSuchProcess):
                family += process.children(recursive=True)
            for one in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.terminate()
            for one in psutil.wait_procs(family, timeout=10)[1]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()


def _answers(port: int) -> bool:
    try:
        with contextlib.closing(Plain(port)) as client:
            return client.send(client.request("POST", "/invocations", body(1)))[0] == 200
    except OSError:
        return False


def asked(port: int, request: bytes, clients: int, seconds: float) -> tuple[float, list[float]]:
    """Ask again and again; return the answers a second, and how many ms each took, in order."""
    times: list[list[float]] = [[] for _ in range(clients)]
    until = time.perf_counter() + seconds

    def work(number: int) -> None:
        with contextlib.closing(Plain(port)) as client:
            whole = client.request("POST", "/invocations", request)
            while (began := time.perf_counter()) < until:
                status, answer = client.send(whole)
                times[number].append((time.perf_counter() - began) * 1000)
                if status != 200:
                    sys.exit(f"the service answered {status}: {answer[:300]!r}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - began
    every = sorted(each for one in times for each in one)
    return len(every) / elapsed, every


def measured(name: str, running: Served, options: argparse.Namespace) -> Figures:
    """Return the figures of one served model."""
    found: Figures = {}
    seconds, rounds = options.seconds, range(options.rounds)
    asked(running.port, body(1), 8, 0.5)
    rate, every = max(asked(running.port, body(1), 8, seconds) for _ in rounds)
    found[f"{name}_8"] = rate
    found[f"{name}_8_p50"], found[f"{name}_8_p99"] = statistics.median(every), every[int(len(every) * 0.99)]
    found[f"{name}_1_p50"] = min(statistics.median(asked(running.port, body(1), 1, seconds)[1]) for _ in rounds)
    found[f"{name}_1000"] = min(statistics.median(asked(running.port, body(1_000), 1, seconds)[1]) for _ in rounds)
    found["worker"], found["all"] = running.memory()
    return found


def prepared(folder: Path, environment: dict[str, str]) -> dict[str, Path]:
    """Register and build the models; return their folders in BentoML's store."""
    toolkit = str(Path(sys.executable).with_name("toolkit"))
    if not (folder / "built").exists():
        register = [sys.executable, "-W", "ignore", "-c", REGISTER, ",".join(COLUMNS)]
        subprocess.run(register, env=environment, check=True, capture_output=True)
        for name in MODELS:
            build = [toolkit, "deployments", "build", f"models:/{name}/1"]
            subprocess.run(build, env=environment, check=True, capture_output=True)
        (folder / "built").touch()
    return {name: folder / "bentoml" / "models" / name / "1" for name in MODELS}


def itself(folder: Path, environment: dict[str, str], seconds: float) -> float:
    """Return the median ms of a model's own prediction of 1,000 rows."""
    table = json.dumps(json.loads(body(1_000))["dataframe_split"])
    argv = [sys.executable, "-W", "ignore", "-c", ITSELF, str(folder), table, str(seconds)]
    return float(subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stdout)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table; 1 if ours does not reach what it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--with-mlflow", action="store_true", help="install MLflow beside ours, if it is not there")
    parser.add_argument("--peer", help="a Python that has MLflow, scikit-learn and skops")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each round lasts")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where what was built is kept")
    parser.add_argument("--prepare", action="store_true", help="only build")
    options = parser.parse_args(arguments)
    command = None if options.peer else mlflow_command(None, make=options.with_mlflow)
    python = options.peer or (str(Path(command).with_name("python")) if command else None)
    with contextlib.ExitStack() as stack:
        folder = (options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))).resolve()
        folder.mkdir(exist_ok=True)
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TOOLKIT_", "MLFLOW_", "BENTOML_", "PROMETHEUS_", "PYTHON"))
        } | {"TOOLKIT_HOME": str(folder / "home"), "BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "1"}
        models = prepared(folder, environment)
        if options.prepare:
            return 0
        found: dict[str, Figures] = {}
        bentoml = [str(Path(sys.executable).with_name("bentoml")), "serve", "--host", "127.0.0.1"]
        sides = {"ours": {name: [*bentoml, f"{name}:1"] for name in MODELS}}
        if python is not None:
            theirs = [python, "-m", "mlflow", "models", "serve", "--env-manager", "local", "--workers", "1", "-m"]
            environment["PATH"] = os.pathsep.join((str(Path(python).parent), os.environ["PATH"]))  # it calls uvicorn
            sides["MLflow"] = {name: [*theirs, str(models[name])] for name in MODELS}
        for side, commands in sides.items():
            found[side] = {}
            for name in reversed(MODELS):  # the figures of memory and start are those of the last
                with served(commands[name], environment, folder / f"{side}.log") as running:
                    found[side] |= {**measured(name, running, options), "start": running.start}
            print(side, {key: round(value, 2) for key, value in found[side].items()}, file=sys.stderr, flush=True)
        own = {name: itself(models[name], environment, options.seconds) for name in MODELS}
    return report(found, own)


def report(found: dict[str, Figures], own: dict[str, float]) -> int:
    """Print the table."""
    print(f"\n{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| work | MLflow | ours | wanted | met |\n| --- | --- | --- | --- | --- |")
    missed = 0
    for row in ROWS:
        ours, theirs = found["ours"][row.key], found.get("MLflow", {}).get(row.key)
        limit, met = row.limit() if row.wanted else "–", row.met(ours)
        name = row.name
        if row.key.endswith("_1000"):
            model = own[row.key.removesuffix("_1000")]
            name = f"{name}; the model itself {row.shown(model)}"
            limit, met = f"≤ {row.shown(1.2 * model)}", ours <= 1.2 * model
        elif row.key == "logistic_8_p99" and theirs is not None:
            limit, met = "< MLflow's", ours < theirs
        judged = limit != "–"
        missed += judged and not met
        print(
            f"| {name} | {row.shown(theirs)} | {row.shown(ours)} | {limit} | "
            f"{('yes' if met else 'no') if judged else '–'} |"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
