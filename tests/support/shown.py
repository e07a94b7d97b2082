"""What pages show in tests: runs that were logged as users log them, some with names that are script."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from server import Server

from toolkit.tracking.records import SearchQuery

HOSTILE = "<img src=x onerror=alert(1)>\"'`{{7*7}}</script><script>alert(2)</script>"

_SCRIPT = """
import math, sys
import toolkit

hostile = sys.argv[1]
toolkit.set_experiment("wine")
for i in range(4):
    with toolkit.start_run(run_name=f"gbm-{i}"):
        toolkit.log_params({"alpha": i / 10, "model": "gbm" if i % 2 else "rf", "same": "x", "train/lr": 0.1})
        for step in range(30):
            toolkit.log_metric("val/rmse", math.exp(-step / (5 + i)), step=step)
        toolkit.log_metric("rmse", 0.8 + i / 1000)
        toolkit.log_text("line one\\nline two\\n", "notes/hello.txt")
with toolkit.start_run(run_name="pipeline"):
    for name in ("prepare", "train"):
        with toolkit.start_run(run_name=name, nested=True):
            toolkit.log_metric("rmse", 0.5)
try:
    with toolkit.start_run(run_name="broken"):
        raise ValueError("no such column: alcohol")
except ValueError:
    pass
toolkit.set_experiment("hostile " + hostile.replace("/", "|"))
with toolkit.start_run(run_name=hostile):
    toolkit.log_param("p", hostile)
    toolkit.log_metric("m", math.nan)
    toolkit.set_tag("t", hostile)
    toolkit.set_tag("mlflow.note.content", hostile + " [x](javascript:alert(3))")
    toolkit.log_text(hostile, "page.html")
    toolkit.log_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(4)'/>", "picture.svg")
"""


@dataclass(frozen=True)
class Shown:
    """What there is.

    Attributes:
        experiment: The id of the experiment with ordinary runs.
        run: One of these runs.
        parent: A run with two steps.
        broken: A run that failed.
        hostile: The experiment whose names are script.
        hostile_run: Its run.
    """

    experiment: str
    run: str
    parent: str
    broken: str
    hostile: str
    hostile_run: str


def fill(server: Server) -> Shown:
    """Log to a server's store in another process, as a user's script does."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TOOLKIT_", "MLFLOW_"))}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "train.py"
        script.write_text(_SCRIPT)
        subprocess.run(
            [sys.executable, str(script), HOSTILE],
            env={**environment, "TOOLKIT_HOME": str(server.home)},
            cwd=folder,
            check=True,
            timeout=300,
        )
    runs = server.stores.runs
    found = {run.info.run_name: run.info for run in runs.search_runs(SearchQuery()).items}
    one, bad = found["gbm-1"], found[HOSTILE]
    assert math.isnan(runs.get_run(bad.run_id).data.metrics["m"])
    return Shown(
        experiment=one.experiment_id,
        run=one.run_id,
        parent=found["pipeline"].run_id,
        broken=found["broken"].run_id,
        hostile=bad.experiment_id,
        hostile_run=bad.run_id,
    )
