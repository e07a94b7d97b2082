"""What a run costs beside the user's own work, next to MLflow's: import, help, a no-op step, many, an environment.

    python benchmarks/run_overhead.py [--with-mlflow] [--mlflow PATH] [--runs N]

Whole processes are timed from outside, after one run that does not count; the table gives the median and the range.
Both sides run from compiled bytecode. ``--with-mlflow`` makes ``.venv-mlflow`` with stock MLflow 3.17.2 if it is not
there; ``--mlflow`` names the ``mlflow`` command of an environment that is.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MLFLOW = "mlflow==3.17.2"
NO_OP = "name: no-op\nentry_points:\n  main:\n    command: 'true'\n"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: seconds of each counted run, ours and the peer's, and the limit."""

    work: str
    ours: Sequence[float]
    peer: Sequence[float] = ()
    limit: float


def measure(
    argv: Sequence[str],
    environment: dict[str, str],
    *,
    runs: int,
    directory: Path = ROOT,
    before: Callable[[], None] = lambda: None,
) -> list[float]:
    """Return the seconds that a command takes, several times after one that does not count; ``before`` runs untimed."""
    seconds = []
    for _ in range(runs + 1):
        before()
        began = time.perf_counter()
        done = subprocess.run(argv, env=environment, cwd=directory, capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - began)
        if done.returncode:
            sys.exit(f"{' '.join(argv)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds[1:]


def project(folder: Path, name: str, text: str) -> str:
    """Write a project; return its directory."""
    directory = folder / name
    directory.mkdir()
    (directory / "MLproject").write_text(text, encoding="utf-8")
    return str(directory)


def fan_out(count: int) -> str:
    """Return a project whose workflow has one step of that many no-op runs."""
    return f"{NO_OP}workflows:\n  main:\n    steps:\n      main: {{foreach: {{n: {list(range(count))}}}}}\n".replace(
        "    command: 'true'", "    parameters: {n: int}\n    command: 'true'"
    )


def cached_chain(count: int) -> str:
    """Return a project whose workflow has that many steps, each of what the one before it left, all cached."""
    lines = ["name: chain", "entry_points:", "  work:", "    parameters: {n: int, data: string}"]
    lines += ["    command: 'echo {n} {data} > out.txt'", "    outputs: {out: out.txt}"]
    lines += ["workflows:", "  main:", "    cache: true", "    steps:"]
    for n in range(count):
        data = f'"${{{{ steps.s{n - 1}.outputs.out }}}}"' if n else "start"
        lines.append(f"      s{n}: {{entry_point: work, parameters: {{n: {n}, data: {data}}}}}")
    return "\n".join(lines) + "\n"


def scikit_learn(folder: Path) -> str:
    """Write a project whose environment has scikit-learn, and whose command does next to nothing; return its place."""
    command = "python -c 'import sys; print(sys.prefix)'"
    text = f'name: scikit-learn\npython_env: python_env.yaml\nentry_points:\n  main:\n    command: "{command}"\n'
    place = project(folder, "scikit-learn", text)
    wanted = f'python: "{platform.python_version()}"\nbuild_dependencies: []\ndependencies: [scikit-learn]\n'
    Path(place, "python_env.yaml").write_text(wanted, encoding="utf-8")
    return place


def mlflow_command(wanted: str | None, *, make: bool) -> str | None:
    """Return the ``mlflow`` to compare with, making its environment if that was asked for."""
    if wanted:
        return wanted
    venv = ROOT / ".venv-mlflow"
    if make and not (venv / "bin" / "mlflow").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True)
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(venv / "bin/python"), MLFLOW]
        subprocess.run(install, check=True)
    if (venv / "bin" / "mlflow").exists():
        return str(venv / "bin" / "mlflow")
    return shutil.which("mlflow")


def first_run(toolkit: str, single: str, environment: dict[str, str], folder: Path) -> list[float]:
    """Return the seconds of a first run ever: an empty home, so Prefect's server starts and makes its database."""
    home = {**environment, "TOOLKIT_HOME": str(folder / "first")}
    began = time.perf_counter()
    subprocess.run([toolkit, "run", single], env=home, capture_output=True, check=True)
    seconds = time.perf_counter() - began
    subprocess.run([toolkit, "down"], env=home, capture_output=True, check=True)
    return [seconds]


def rows(folder: Path, mlflow: str | None, runs: int) -> list[Row]:
    """Measure everything."""
    toolkit = str(Path(sys.executable).with_name("toolkit"))
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith(("TOOLKIT_", "PREFECT_", "MLFLOW_"))
    }
    ours.pop("PYTHONDONTWRITEBYTECODE", None)
    ours["TOOLKIT_HOME"] = str(folder / "home")
    theirs = {**ours, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    theirs["MLFLOW_ENV_ROOT"] = str(folder / "mlflow-envs")
    theirs["PATH"] = f"{Path(mlflow).parent if mlflow else ''}:{ours['PATH']}"
    single = project(folder, "single", NO_OP)
    learning = scikit_learn(folder)
    one, twenty, hundred = (project(folder, f"fan-{count}", fan_out(count)) for count in (1, 20, 100))
    chain = project(folder, "chain", cached_chain(10))

    def forget() -> None:
        """Remove all environments: the packages stay in uv's cache."""
        for root in (folder / "home" / "envs", folder / "mlflow-envs"):
            shutil.rmtree(root, ignore_errors=True)

    def peer(*argv: str, command: str | None = mlflow, before: Callable[[], None] = lambda: None) -> list[float]:
        return measure([command, *argv], theirs, runs=runs, directory=folder, before=before) if command else []

    python = str(Path(mlflow).with_name("python")) if mlflow else None
    first = first_run(toolkit, single, ours, folder)
    subprocess.run([toolkit, "up"], env=ours, capture_output=True, check=True)
    try:
        run_one = measure([toolkit, "run", one], ours, runs=runs)
        run_twenty = measure([toolkit, "run", twenty], ours, runs=runs)
        imported = measure([sys.executable, "-c", "import toolkit"], ours, runs=runs)
        bare = statistics.median(measure([sys.executable, "-c", "pass"], ours, runs=runs))
        return [
            Row(
                work="import of the package (the interpreter's own start taken off)",
                ours=[max(0.0, seconds - bare) for seconds in imported],
                peer=[seconds - bare for seconds in peer("-c", "import mlflow", command=python)],
                limit=0.10,
            ),
            Row(work="--help", ours=measure([toolkit, "--help"], ours, runs=runs), peer=peer("--help"), limit=0.25),
            Row(
                work="one no-op step, local environment, services up",
                ours=measure([toolkit, "run", single], ours, runs=runs),
                peer=peer("run", single, "--env-manager", "local"),
                limit=1.7,
            ),
            Row(
                work="one step in a new uv environment with scikit-learn, packages in uv's cache",
                ours=measure([toolkit, "run", learning], ours, runs=runs, before=forget),
                peer=peer("run", learning, "--env-manager", "uv", before=forget),
                limit=4.0,
            ),
            Row(
                work="the same again",
                ours=measure([toolkit, "run", learning], ours, runs=runs),
                peer=peer("run", learning, "--env-manager", "uv"),
                limit=1.9,
            ),
            Row(work="first run ever, empty home", ours=first, limit=15.0),
            Row(
                work="twenty parallel no-op steps, more than one",
                ours=[many - single_run for many, single_run in zip(run_twenty, run_one, strict=True)],
                limit=3.0,
            ),
            Row(work="100 no-op steps", ours=measure([toolkit, "run", hundred], ours, runs=runs), limit=10.0),
            Row(
                work="fully cached workflow of 10 steps",
                ours=measure([toolkit, "run", chain], ours, runs=runs),  # the one that does not count fills the cache
                limit=2.5,
            ),
        ]
    finally:
        subprocess.run([toolkit, "down"], env=ours, capture_output=True, check=False)


def cell(seconds: Sequence[float]) -> str:
    """Return median and range."""
    if not seconds:
        return "–"
    middle = f"{statistics.median(seconds):.2f} s"
    return middle if len(seconds) == 1 else f"{middle} ({min(seconds):.2f}–{max(seconds):.2f})"


def main() -> int:
    """Print the table; exit with 1 if a limit is not met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--with-mlflow", action="store_true", help="make an environment with MLflow if there is none")
    parser.add_argument("--mlflow", help="the mlflow command to compare with")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each command")
    options = parser.parse_args()
    mlflow = mlflow_command(options.mlflow, make=options.with_mlflow)
    with tempfile.TemporaryDirectory(prefix="toolkit-benchmark-") as folder:
        table = rows(Path(folder), mlflow, options.runs)
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"Prefect {version('prefect')}; median of {options.runs} runs (range)\n"
    )
    print("| work | MLflow 3.17.2 | ours | wanted | met |\n| --- | --- | --- | --- | --- |")
    for row in table:
        met = "yes" if statistics.median(row.ours) <= row.limit else "NO"
        print(f"| {row.work} | {cell(row.peer)} | {cell(row.ours)} | ≤ {row.limit:g} s | {met} |")
    return int(any(statistics.median(row.ours) > row.limit for row in table))


if __name__ == "__main__":
    sys.exit(main())
