"""Libraries that log with MLflow's own client, the real ones on tiny models: what they leave, in how many requests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from process import ServerProcess, server_process

from toolkit.settings import environment

pytestmark = pytest.mark.slow

WANTED = (
    "mlflow-skinny==3.17.2",
    "scikit-learn",
    "pandas",
    "matplotlib",
    "optuna",
    "optuna-integration",
    "xgboost-cpu" if sys.platform == "linux" else "xgboost",
    "lightgbm",
)


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has them."""
    folder = tmp_path_factory.mktemp("libraries")
    uv = Path(sys.executable).with_name("uv")
    python = folder / "bin" / "python"
    for arguments in (
        ("venv", "-q", "--python", sys.executable, str(folder), "--allow-existing"),
        ("pip", "install", "-q", "--python", str(python), *WANTED),
    ):
        done = subprocess.run([uv, *arguments], capture_output=True, text=True, timeout=170, check=False)
        if done.returncode:
            pytest.skip(f"the libraries cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    return python


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server whose requests are counted."""
    with server_process(tmp_path / "home") as found:
        yield found


def run(python: Path, server: ServerProcess, folder: Path, script: str) -> int:
    """Run a script against a server; return how many requests it took."""
    head = "import warnings; warnings.simplefilter('ignore')\nimport mlflow, numpy as np\nnp.random.seed(7)\n"
    variables = {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_DISABLE_TELEMETRY": "true", "HOME": os.environ["HOME"]}
    before = counted(server)
    done = subprocess.run(
        [python, "-c", head + script],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [path.name for path in folder.iterdir()] == ["home"], "something was left beside the server"
    return counted(server) - before


def counted(server: ServerProcess) -> int:
    _, text = server.call("GET", "/metrics")
    found = re.findall(r'toolkit_http_requests_total\{method="\w+",route="([^"]+)",status="(\d+)"\} (\d+)', text)
    assert [line for line in found if line[1].startswith("5")] == []
    return sum(int(count) for route, _, count in found if route != "/metrics")


def runs(server: ServerProcess) -> list[Any]:
    found = server.api("runs/search", {"experiment_ids": ["0"], "order_by": ["attributes.start_time ASC"]})["runs"]
    return [
        {
            "status": one["info"]["status"],
            "id": one["info"]["run_id"],
            **{kind: {each["key"]: each["value"] for each in one["data"].get(kind, [])} for kind in ("params", "tags")},
            "metrics": {each["key"]: each["value"] for each in one["data"].get("metrics", [])},
        }
        for one in found
    ]


def files(server: ServerProcess, run_id: str) -> set[str]:
    status, text = server.call("GET", f"/api/2.0/mlflow/artifacts/list?run_id={run_id}")
    assert status == 200, text
    return {each["path"] for each in json.loads(text).get("files", [])}


def test_optuna(libraries: Path, server: ServerProcess, tmp_path: Path) -> None:
    requests = run(
        libraries,
        server,
        tmp_path,
        """
import optuna
from optuna_integration import MLflowCallback
note = MLflowCallback(metric_name="loss", mlflow_kwargs={"nested": True}, create_experiment=False)
study = optuna.create_study(study_name="tiny")
study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=3, callbacks=[note])
""",
    )
    found = runs(server)
    assert [one["status"] for one in found] == ["FINISHED"] * 3
    assert all(float(one["params"]["x"]) ** 2 == pytest.approx(one["metrics"]["loss"]) for one in found)
    assert {"x_distribution", "direction", "state"} <= set(found[0]["tags"])
    assert requests <= 25


def test_xgboost(libraries: Path, server: ServerProcess, tmp_path: Path) -> None:
    requests = run(
        libraries,
        server,
        tmp_path,
        """
import xgboost
mlflow.xgboost.autolog()
data = xgboost.DMatrix(np.random.rand(50, 3), label=np.random.rand(50))
xgboost.train({"max_depth": 2}, data, num_boost_round=4, evals=[(data, "train")])
""",
    )
    (one,) = runs(server)
    assert (one["status"], one["params"]["max_depth"]) == ("FINISHED", "2")
    history = server.call("GET", f"/api/2.0/mlflow/metrics/get-history?run_id={one['id']}&metric_key=train-rmse")[1]
    assert [point.get("step", 0) for point in json.loads(history)["metrics"]] == [0, 1, 2, 3]
    assert "feature_importance_weight.json" in files(server, one["id"])
    assert requests <= 40


def test_lightgbm(libraries: Path, server: ServerProcess, tmp_path: Path) -> None:
    requests = run(
        libraries,
        server,
        tmp_path,
        """
import lightgbm
mlflow.lightgbm.autolog()
data = lightgbm.Dataset(np.random.rand(50, 3), label=np.random.rand(50))
options = {"verbose": -1, "objective": "regression", "min_data_in_leaf": 2}
lightgbm.train(options, data, num_boost_round=4, valid_sets=[data])
""",
    )
    (one,) = runs(server)
    assert (one["status"], one["params"]["objective"]) == ("FINISHED", "regression")
    assert "feature_importance_gain.json" in files(server, one["id"])
    assert requests <= 40


def test_scikit_learn(libraries: Path, server: ServerProcess, tmp_path: Path) -> None:
    """A search makes nested runs, and a model that is loaded again."""
    requests = run(
        libraries,
        server,
        tmp_path,
        """
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
mlflow.sklearn.autolog()
features, target = np.random.rand(30, 2), np.random.rand(30)
search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2).fit(features, target)
(model,) = mlflow.search_logged_models(output_format="list")[:1] or [None]
again = mlflow.sklearn.load_model(model.model_uri)
assert np.allclose(again.predict(features), search.predict(features))
""",
    )
    parents = [one for one in runs(server) if "mlflow.parentRunId" not in one["tags"]]
    children = [one for one in runs(server) if "mlflow.parentRunId" in one["tags"]]
    assert len(parents) == 1
    assert {one["tags"]["mlflow.parentRunId"] for one in children} == {parents[0]["id"]}
    assert {one["params"]["alpha"] for one in children} == {"0.1", "1.0"}
    assert {one["status"] for one in (*parents, *children)} == {"FINISHED"}
    assert "cv_results.csv" in files(server, parents[0]["id"])
    assert requests <= 80
