"""The same trainings watched by ours and by MLflow: the same names, and the same values."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from peer import NO_MLFLOW, mlflow_python

from toolkit.settings import environment

SCRIPT = Path(__file__).with_name("scripts") / "autolog_everything.py"
TRAININGS = (
    *("classifier", "classifier_of_three", "classifier_without_probabilities", "regressor", "search"),
    *("xgboost_train", "xgboost_estimator", "lightgbm_train", "lightgbm_estimator", "statsmodels_fit"),
)
pytestmark = pytest.mark.timeout(600)  # two processes that load all these libraries, on whatever machine
TIMES = {f"{kind}_{what}_time" for kind in ("mean", "std") for what in ("fit", "score")}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the runs of ours have, and those of MLflow."""
    theirs = mlflow_python()
    if theirs is None:
        pytest.skip(NO_MLFLOW)
    folder = tmp_path_factory.mktemp("both")
    variables = environment(TOOLKIT_HOME=str(folder / "home"), OMP_NUM_THREADS="1")
    processes = [
        subprocess.Popen(
            [python, str(SCRIPT), name, f"sqlite:///{folder}/{name}.db"],
            cwd=folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for python, name in ((sys.executable, "toolkit"), (theirs, "mlflow"))
    ]
    found = []
    for process in processes:
        out, err = process.communicate(timeout=500)
        assert process.returncode == 0, err
        found.append(json.loads(out.splitlines()[-1]))
    return found[0], found[1]


@pytest.mark.parametrize("training", TRAININGS)
def test_names_and_values_are_mlflows(training: str, both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    ours, theirs = (each[training] for each in both)
    if training == "statsmodels_fit":
        assert theirs["params"].pop("kwargs") == "<class 'inspect._empty'>"  # there were none
        assert (ours["inputs"], theirs["inputs"]) == ([["train"]], [])
        del ours["inputs"], theirs["inputs"]
    for run, other in zip([ours, *ours.pop("children")], [theirs, *theirs.pop("children")], strict=True):
        assert same(run.pop("metrics"), other.pop("metrics"))
        assert run == other


def same(metrics: dict[str, Any], others: dict[str, Any]) -> bool:
    """Tell whether metrics have the same points, but for how long something took."""
    assert set(metrics) == set(others)
    for name in set(metrics) - TIMES:
        assert [step for step, _ in metrics[name]] == [step for step, _ in others[name]], name
        assert [value for _, value in metrics[name]] == pytest.approx([value for _, value in others[name]]), name
    return True
