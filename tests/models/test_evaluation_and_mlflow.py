"""The same model on the same data is as good here as MLflow's evaluation says, with the real package."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import peer
import pytest

from toolkit.models.evaluation.evaluation import Options, evaluated
from toolkit.models.evaluation.examples import read_examples
from toolkit.models.evaluation.subject import Subject
from toolkit.models.loading import load_model
from toolkit.models.trust import Trust

pytestmark = pytest.mark.skipif(peer.mlflow_python() is None, reason=peer.NO_MLFLOW)

Theirs = tuple[Path, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Theirs:
    """Models and data that MLflow saved, and how good it says that they are."""
    folder = tmp_path_factory.mktemp("theirs")
    python = peer.mlflow_python()
    assert python is not None
    script = Path(__file__).parent / "scripts" / "mlflow_evaluates.py"
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    command = [python, str(script), str(folder)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("binary", {}),
        ("binary-other", {"pos_label": 0}),
        ("weighted", {}),
        ("classes", {}),
        ("classes-macro", {"average": "macro"}),
        ("numbers", {}),
        ("numbers-weighted", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_metrics_have_mlflows_names_and_values(name: str, options: dict[str, Any], theirs: Theirs) -> None:
    folder, told = theirs
    table = pd.read_csv(folder / f"{name}.csv")
    weights = "weight" if "weighted" in name else None
    data = table if weights else table.drop(columns="weight")
    model = load_model(folder / name, trust=Trust.all())

    found = evaluated(Subject(model), read_examples(data, "answer", weights=weights), Options(**options))

    assert dict(found.metrics) == pytest.approx(told[name]["metrics"])
    pictures = {
        artifact for artifact in told[name]["artifacts"] if artifact in ("eval_results_table", "per_class_metrics")
    }
    assert pictures <= set(found.tables)
    drawn = {artifact for artifact in told[name]["artifacts"] if artifact.endswith(("_plot", "_matrix"))}
    assert drawn <= set(found.figures)
