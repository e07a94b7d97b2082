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
from urllib.parse import quote

import pytest
from peer import NO_TORCH, torch_python
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
        done = subprocess.run([uv, *arguments], capture_output=True, text=True, timeout=380, check=False)
        if done.returncode:
            pytest.skip(f"the libraries cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    return python


@pytest.fixture
def with_torch() -> Path:
    """An interpreter that has torch and what is built on it."""
    python = torch_python()
    if python is None:
        pytest.skip(NO_TORCH)
    return Path(python)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server whose requests are counted."""
    with server_process(tmp_path / "home") as found:
        yield found


def run(python: Path, server: ServerProcess, folder: Path, script: str, **more: str) -> int:
    """Run a script against a server, with more variables; return how many requests it took."""
    head = "import warnings; warnings.simplefilter('ignore')\nimport mlflow, numpy as np\nnp.random.seed(7)\n"
    variables = {
        "MLFLOW_TRACKING_URI": server.url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HOME": os.environ["HOME"],
    } | more
    before = counted(server)
    done = subprocess.run(
        [python, "-c", head + script],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=380,
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


def runs(server: ServerProcess, experiment: str = "0") -> list[Any]:
    asked = {"experiment_ids": [experiment], "order_by": ["attributes.start_time ASC"]}
    found = server.api("runs/search", asked)["runs"]
    return [
        {
            "status": one["info"]["status"],
            "id": one["info"]["run_id"],
            **{kind: {each["key"]: each["value"] for each in one["data"].get(kind, [])} for kind in ("params", "tags")},
            "metrics": {each["key"]: each["value"] for each in one["data"].get("metrics", [])},
        }
        for one in found
    ]


def files(server: ServerProcess, run_id: str, folder: str = "") -> set[str]:
    path = f"&path={quote(folder)}" if folder else ""
    status, text = server.call("GET", f"/api/2.0/mlflow/artifacts/list?run_id={run_id}{path}")
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


def test_lightning(with_torch: Path, server: ServerProcess, tmp_path: Path) -> None:
    """A logger that makes its experiment, and stores checkpoints under names with odd characters."""
    requests = run(
        with_torch,
        server,
        tmp_path,
        """
import tempfile, lightning, torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger

class Line(lightning.LightningModule):
    def __init__(self, rate=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(2, 1)

    def loss(self, batch):
        return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])

    def training_step(self, batch, _):
        loss = self.loss(batch)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, _):
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.rate)

lightning.seed_everything(7, verbose=False)
data = torch.utils.data.TensorDataset(torch.rand(8, 2), torch.rand(8, 1))
batches = torch.utils.data.DataLoader(data, batch_size=4)
with tempfile.TemporaryDirectory() as folder:
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", log_every_n_steps=1, default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False,
        logger=MLFlowLogger("tiny", run_name="line", log_model=True),
        callbacks=[ModelCheckpoint(folder, "{epoch:02d}-{val_loss:.3f}", monitor="val_loss")],
    )
    trainer.fit(Line(), batches, batches)
    assert trainer.logger.experiment.get_run(trainer.logger.run_id).info.status == "FINISHED"
""",
    )
    (one,) = runs(server, "1")
    assert (one["status"], one["params"], one["tags"]["mlflow.runName"]) == ("FINISHED", {"rate": "0.1"}, "line")
    assert {"epoch", "train/loss", "val_loss"} <= set(one["metrics"])
    history = server.call("GET", f"/api/2.0/mlflow/metrics/get-history?run_id={one['id']}&metric_key=train%2Floss")[1]
    assert [point.get("step", 0) for point in json.loads(history)["metrics"]] == [0, 1, 2, 3]
    (checkpoint,) = files(server, one["id"])
    assert re.fullmatch(r"epoch=01-val_loss=[0-9.]+", checkpoint)
    assert {path.rpartition("/")[2] for path in files(server, one["id"], checkpoint)} == {
        "aliases.txt",
        "metadata.yaml",
        f"{checkpoint}.ckpt",
    }
    assert requests <= 30


def test_transformers(with_torch: Path, server: ServerProcess, tmp_path: Path) -> None:
    """A callback that sends some hundred parameters in parallel batches, and whole checkpoints as models."""
    requests = run(
        with_torch,
        server,
        tmp_path,
        """
import tempfile, torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

sizes = {"vocab_size": 30, "hidden_size": 8, "intermediate_size": 8, "max_position_embeddings": 8}
torch.manual_seed(7)
model = BertForSequenceClassification(BertConfig(num_hidden_layers=1, num_attention_heads=2, **sizes))
rows = [{"input_ids": torch.randint(0, 30, (6,)), "labels": torch.tensor(index % 2)} for index in range(8)]
with tempfile.TemporaryDirectory() as folder:
    options = TrainingArguments(
        folder, report_to="mlflow", run_name="tiny", num_train_epochs=1, per_device_train_batch_size=2,
        logging_steps=1, eval_strategy="epoch", save_strategy="epoch", use_cpu=True, disable_tqdm=True,
    )
    Trainer(model, options, train_dataset=rows, eval_dataset=rows).train()
""",
        HF_HUB_OFFLINE="1",
        HF_MLFLOW_LOG_ARTIFACTS="1",
        MLFLOW_EXPERIMENT_NAME="transformers",
        MLFLOW_TAGS='{"team": "text"}',
    )
    (one,) = runs(server, "1")
    assert (one["status"], one["tags"]["mlflow.runName"], one["tags"]["team"]) == ("FINISHED", "tiny", "text")
    assert len(one["params"]) > 100
    assert (one["params"]["hidden_size"], one["params"]["_name_or_path"]) == ("8", "")
    assert {"eval_loss", "train_loss", "learning_rate"} <= set(one["metrics"])
    history = server.call("GET", f"/api/2.0/mlflow/metrics/get-history?run_id={one['id']}&metric_key=loss")[1]
    assert [point["step"] for point in json.loads(history)["metrics"]] == [1, 2, 3, 4]
    (model,) = server.api("logged-models/search", {"experiment_ids": ["1"]})["models"]
    assert (model["info"]["source_run_id"], model["info"]["status"]) == (one["id"], "LOGGED_MODEL_READY")
    assert model["info"]["name"] == "checkpoint-4"
    listed = f"/api/2.0/mlflow/logged-models/{model['info']['model_id']}/artifacts/directories"
    inside = json.loads(server.call("GET", f"{listed}?artifact_directory_path=artifacts/checkpoint-4")[1])["files"]
    assert "artifacts/checkpoint-4/model.safetensors" in {each["path"] for each in inside}
    assert requests <= 60
