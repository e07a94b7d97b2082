"""Ordinary training scripts for MLflow run with ``import toolkit as mlflow``, and see what they would see there.

Where there is an interpreter that has MLflow (tests/support/peer.py), what the scripts see is compared with what they
see there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from peer import NO_MLFLOW, mlflow_python

from toolkit import settings
from toolkit.tracking.records import RunQuery
from toolkit.wiring.opened import open_stores

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
PEER = mlflow_python()


def with_toolkit(script: Path) -> str:
    """Return a script of MLflow's with nothing changed but what it imports."""
    text = re.sub(r"(?m)^import mlflow$", "import toolkit as mlflow", script.read_text(encoding="utf-8"))
    return re.sub(r"(?m)^from mlflow\b", "from toolkit", text)


def seen(python: str, text: str, folder: Path, **variables: str) -> dict[str, Any]:
    """Run a script; return what it prints at its end."""
    done = subprocess.run(
        [python, "-W", "error::UserWarning", "-c", text] if python == sys.executable else [python, "-c", text],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def results(name: str, folder: Path) -> dict[str, Any]:
    (script,) = [each for each in SCRIPTS if each.stem == name]
    return seen(sys.executable, with_toolkit(script), folder)


def test_quickstart(workdir: Path) -> None:
    found = results("quickstart", workdir)
    assert (found["runs"], found["best"], found["name"], found["status"]) == (3, "0.1", "ridge 0.1", "FINISHED")
    assert found["dataset"][:1] + found["dataset"][2:] == ["diabetes", "local", '{"uri": "diabetes.csv"}']
    assert found["context"] == [["mlflow.data.context", "training"]]
    assert (found["note"], found["done"], found["stage"]) == ("by hand", "True", "active")


def test_nested_search(workdir: Path) -> None:
    found = results("nested_search", workdir)
    states = ["FINISHED", "FAILED", "FINISHED", "FINISHED", "KILLED"]
    assert [state for _, state in found["children"]] == states
    assert (found["left"], found["back"]) == (5, 6)
    assert (found["parent"], found["orphan"], found["last"], found["ended"]) == ("parent", None, "parent", "FINISHED")
    assert found["parent_metrics"] == {"best": 0.25}


def test_artifacts(workdir: Path) -> None:
    found = results("artifacts", workdir)
    assert found["table"] == {"q": ["a", "b", "c"], "score": [0.5, 1.5, 2.5]}
    assert found["small"] == [256, 128]
    assert len(found["images"]) == 2
    assert (found["pixel"], found["text"], found["size"]) == (255, "grüße", 2000)
    assert found["mask"] == [[255 * (row == column) for column in range(4)] for row in range(4)]
    assert found["copied"] == ["b.txt", "deep/a.txt"]
    assert found["told"] is True


def test_client(workdir: Path) -> None:
    found = results("client", workdir)
    assert found["pages"] == [["run 0", "better"], ["run 2", "run 3"]]
    assert (found["deleted"], found["history"], found["with_data"]) == (["run 4"], 1500, 3)
    assert found["refused"] == [True] * 6
    assert found["experiment"] == ["renamed", {"team": "red", "stage": "2"}, "active"]


def test_threads(workdir: Path) -> None:
    found = results("threads", workdir)
    assert found["numbers"] == ["0", "1", "2", "3"]
    assert found["points"] == [20] * 4
    assert found["late"] == [49.0, "1", "x"]


@pytest.mark.skipif(PEER is None, reason=NO_MLFLOW)
@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_the_scripts_see_what_they_see_with_mlflow(script: Path, workdir: Path) -> None:
    assert PEER is not None
    there = seen(PEER, script.read_text(), workdir, MLFLOW_TRACKING_URI=f"sqlite:///{workdir}/peer.db")
    here = seen(sys.executable, with_toolkit(script), workdir)
    if "profile" in here:  # ours says more: how the columns are spread
        assert here["profile"].pop("columns")
    assert here == there


def test_a_script_leaves_no_run_open(workdir: Path) -> None:
    results("threads", workdir)
    stores = open_stores(settings.load())
    assert {run.info.status for run in stores.runs.list_runs(RunQuery()).items} == {"FINISHED"}
    stores.close()
