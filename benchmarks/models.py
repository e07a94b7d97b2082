"""What it costs to log a small model and to load it again, next to MLflow: the code of both is the same script.

    python benchmarks/models.py [--with-mlflow | --peer PYTHON] [--times N] [--peer-times N]

The same script runs with ``toolkit`` and with ``mlflow``, both from compiled bytecode, each on an SQLite file of its
own: a logistic regression with a signature is logged to a run and loaded by the URI that comes back. The first time in
a process counts apart, for it loads libraries. A second figure of the same is with the requirements given, so that
MLflow need not look for them by running the model in a process of its own. A figure is the median, and the range.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from benchmarks.run_overhead import mlflow_command  # noqa: E402 - beside this file

FACTOR = 5.0
"""How many times as long MLflow is wanted to take, at least."""

SCRIPT = """
import json, sys, time
import {module} as mlflow
import {module}.sklearn
from {module}.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

frame, target = load_iris(return_X_y=True, as_frame=True)
model = LogisticRegression(max_iter=1000).fit(frame, target)
signature = infer_signature(frame, model.predict(frame))
times = int(sys.argv[1])

def once(**arguments):
    began = time.perf_counter()
    info = mlflow.sklearn.log_model(model, name="model", signature=signature, **arguments)
    logged = time.perf_counter()
    loaded = mlflow.sklearn.load_model(info.model_uri)
    done = time.perf_counter()
    assert list(loaded.predict(frame)) == list(model.predict(frame))
    return [logged - began, done - logged]

mlflow.set_experiment("benchmark")
figures = {{}}
with mlflow.start_run():
    figures["first"] = [once()]
    figures["again"] = [once() for _ in range(times)]
    figures["given"] = [once(pip_requirements=["scikit-learn"]) for _ in range(times)]
print(json.dumps(figures))
"""

WORKS = (
    ("first", "log and load, the first time in a process"),
    ("again", "log and load, again"),
    ("given", "the same with pip_requirements given"),
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A line of the table: seconds to log and to load, of several times each."""

    work: str
    ours: Sequence[Sequence[float]]
    peer: Sequence[Sequence[float]]

    @property
    def factor(self) -> float | None:
        """How many times as long the peer takes."""
        return _median(self.peer) / _median(self.ours) if self.peer else None


def _median(times: Sequence[Sequence[float]]) -> float:
    return statistics.median(sum(each) for each in times)


def run_script(python: str, module: str, times: int, environment: Mapping[str, str]) -> dict[str, list[list[float]]]:
    """Run the script once, in a new process; return seconds to log and to load."""
    done = subprocess.run(
        [python, "-W", "ignore", "-c", SCRIPT.format(module=module), str(times)],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"the script failed with {module}:\n{done.stderr}")
    figures: dict[str, list[list[float]]] = json.loads(done.stdout.splitlines()[-1])
    return figures


def costs(folder: Path, peer: str | None, times: int, peer_times: int) -> list[Cost]:
    """Measure ours, and the peer's."""
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("TOOLKIT_", "PREFECT_", "MLFLOW_"))
    }
    plain.pop("PYTHONDONTWRITEBYTECODE", None)
    ours = run_script(sys.executable, "toolkit", times, {**plain, "TOOLKIT_HOME": str(folder / "home")})
    theirs: dict[str, list[list[float]]] = {}
    if peer:
        database = f"sqlite:///{folder}/mlflow.db"
        home = {**plain, "MLFLOW_TRACKING_URI": database, "MLFLOW_DISABLE_TELEMETRY": "1"}
        theirs = run_script(peer, "mlflow", peer_times, home)
    return [Cost(work=title, ours=ours[name], peer=theirs.get(name, [])) for name, title in WORKS]


def cell(times: Sequence[Sequence[float]]) -> str:
    """Return the median in milliseconds, the range, and how much of it is loading."""
    if not times:
        return "–"
    whole = [sum(each) * 1e3 for each in times]
    loading = statistics.median(each[1] for each in times) * 1e3
    return f"{_median(times) * 1e3:,.0f} ms ({min(whole):,.0f}–{max(whole):,.0f}), of which to load {loading:,.0f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--with-mlflow", action="store_true", help="make an environment with MLflow if there is none")
    parser.add_argument("--peer", metavar="PYTHON", help="an interpreter that has MLflow and scikit-learn")
    parser.add_argument("--times", type=int, default=10, help="how often ours is measured")
    parser.add_argument("--peer-times", type=int, default=3, help="how often MLflow is, which takes seconds each time")
    options = parser.parse_args()
    command = mlflow_command(None, make=options.with_mlflow) if not options.peer else None
    peer = options.peer or (str(Path(command).with_name("python")) if command else None)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}, scikit-learn {version('scikit-learn')}, load {os.getloadavg()[0]:.1f}\n"
    )
    with tempfile.TemporaryDirectory(prefix="toolkit-benchmark-") as folder:
        measured = costs(Path(folder), peer, options.times, options.peer_times)
    print("| work | MLflow | ours | times | wanted |")
    print("| --- | --- | --- | --- | --- |")
    for cost in measured:
        factor = f"{cost.factor:.0f}" if cost.factor else "–"
        wanted = f"≥ {FACTOR:.0f}" if cost.work == WORKS[1][1] else ""
        print(f"| {cost.work} | {cell(cost.peer)} | {cell(cost.ours)} | {factor} | {wanted} |")


if __name__ == "__main__":
    main()
