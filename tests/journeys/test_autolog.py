"""Trainings that log themselves in processes of their own: a step of a project; Lightning and Keras."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from machine import Machine, write_project
from peer import NO_FLAVORS, flavors_python

TRAIN = """
import sys
import toolkit

toolkit.autolog()

from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

x, y = make_classification(60, 4, random_state=0)
LogisticRegression(C=float(sys.argv[1])).fit(x, y)
"""

pytestmark = pytest.mark.timeout(600)  # large libraries, on whatever machine


def test_a_training_in_a_step_logs_into_the_steps_run(machine: Machine, tmp_path: Path) -> None:
    text = "entry_points: {main: {parameters: {strength: float}, command: 'python train.py {strength}'}}"
    project = write_project(tmp_path / "p", text, train_py=TRAIN)
    arguments = ("-P", "strength=0.25", "--env-manager", "local", "--json")
    done = machine.toolkit("run", str(project), *arguments, cwd=tmp_path)
    assert done.code == 0, done.err
    (step,) = machine.show(done.json["run_id"])["children"]
    run = machine.show(step["run_id"])
    assert run["status"] == "FINISHED"
    assert run["params"]["C"] == "0.25"
    assert run["params"]["strength"] == "0.25"
    assert run["metrics"]["training_accuracy_score"] > 0.5
    paths = {entry["path"] for entry in run["artifacts"]}
    assert {"training_confusion_matrix.png", "estimator.html"} <= paths
    assert run.get("children", []) == []


LIGHTNING = """
import json, sys
import toolkit
toolkit.autolog(log_input_examples=True)
assert "torch" not in sys.modules
import torch, lightning as L
from torch.utils.data import DataLoader, TensorDataset

class Model(L.LightningModule):
    def __init__(self, hidden=4):
        super().__init__()
        self.save_hyperparameters()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 1))
    def forward(self, x):
        return self.layers(x)
    def loss(self, batch):
        return torch.nn.functional.mse_loss(self(batch[0]), batch[1])
    def training_step(self, batch, index):
        loss = self.loss(batch)
        self.log("loss", loss)
        return loss
    def validation_step(self, batch, index):
        self.log("val_loss", self.loss(batch) + (self.current_epoch if self.current_epoch > 1 else 0))
    def test_step(self, batch, index):
        self.log("test_loss", self.loss(batch))
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)

torch.manual_seed(0)
x = torch.rand(64, 4)
loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=16)
early = L.pytorch.callbacks.EarlyStopping("val_loss", patience=1)
quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
trainer = L.Trainer(max_epochs=9, default_root_dir="root", callbacks=[early], **quiet)
model = Model()
trainer.fit(model, loader, loader)
trainer.test(model, loader, verbose=False)
said = model(x[:2]).detach().numpy().ravel().tolist()
"""

KERAS = """
import json, sys
import toolkit
toolkit.autolog()
assert "keras" not in sys.modules
import numpy as np
import keras
keras.utils.set_random_seed(0)
x = np.random.rand(64, 4).astype("float32")
y = (x.sum(1) > 2).astype(int)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
model.compile(loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"])
history = model.fit(x, y, epochs=3, verbose=0, validation_data=(x[:32], y[:32]))
said = model.predict(x[:2], verbose=0).ravel().tolist()
"""

TELL = """
client = toolkit.MlflowClient()
toolkit.flush()
(run,) = client.search_runs(["0"])
run = client.get_run(run.info.run_id)
loaded = toolkit.load_model(f"runs:/{run.info.run_id}/model")
print(json.dumps({
    "status": run.info.status,
    "params": run.data.params,
    "metrics": {name: [[each.step, each.value] for each in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics},
    "tags": run.data.tags,
    "files": [each.path for each in client.list_artifacts(run.info.run_id)],
    "checkpoints": [each.path for each in client.list_artifacts(run.info.run_id, "checkpoints")],
    "inputs": sorted(tag.value for each in run.inputs.dataset_inputs for tag in each.tags if "context" in tag.key),
    "said": said,
    "loaded": np.asarray(loaded.predict(example)).ravel().tolist(),
    "signature": loaded.metadata.signature.to_dict(),
}))
"""


def trained(script: str, example: str, folder: Path) -> dict[str, Any]:
    """Run a training with the large libraries; return what it left."""
    python = flavors_python()
    if python is None:
        pytest.skip(NO_FLAVORS)
    machine = Machine(home=folder / "home")
    done = subprocess.run(
        [python, "-W", "ignore", "-c", f"{script}\nimport numpy as np\nexample = {example}\n{TELL}"],
        cwd=folder,
        env=machine.variables(OMP_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3"),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    if "No module named 'torch'" in done.stderr or "No module named 'lightning'" in done.stderr:
        pytest.skip(f"{NO_FLAVORS}: torch and lightning are not in it")
    assert done.returncode == 0, done.stderr
    assert "autolog of" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_lightning(tmp_path: Path) -> None:
    run = trained(LIGHTNING, "x[:2].numpy()", tmp_path)
    assert run["status"] == "FINISHED"
    expected = {"epochs": "9", "optimizer_name": "SGD", "lr": "0.01", "momentum": "0", "monitor": "val_loss"}
    expected |= {"mode": "min", "patience": "1", "min_delta": "-0.0", "stopped_epoch": "0"}
    assert expected.items() <= run["params"].items()
    assert [step for step, _ in run["metrics"]["loss"]] == [0, 1, 2]
    assert [value for _, value in run["metrics"]["stopped_epoch"]] == [2]
    assert [value for _, value in run["metrics"]["restored_epoch"]] == [1]
    assert run["metrics"]["best_score"][0][1] == pytest.approx(run["metrics"]["val_loss"][1][1])
    assert {"test_loss", "wait_count"} <= set(run["metrics"])
    assert run["tags"]["Mode"] == "testing"
    assert run["tags"]["mlflow.autologging"] == "pytorch"
    assert run["tags"]["mlflow.latest_checkpoint_artifact"] == "checkpoints/latest_checkpoint.pth"
    assert run["files"] == ["checkpoints", "model_summary.txt", "restored_model_checkpoint"]
    names = ["latest_checkpoint.pth", "latest_checkpoint_metrics.json"]
    assert run["checkpoints"] == [f"checkpoints/{each}" for each in names]
    assert run["inputs"] == ["train"]
    assert run["loaded"] == pytest.approx(run["said"], rel=1e-4)
    assert json.loads(run["signature"]["inputs"])[0]["tensor-spec"] == {"dtype": "float32", "shape": [-1, 4]}


@pytest.mark.slow
def test_keras(tmp_path: Path) -> None:
    run = trained(KERAS, "x[:2]", tmp_path)
    assert run["status"] == "FINISHED"
    expected = {"epochs": "3", "batch_size": "32", "shuffle": "True", "optimizer_name": "adam"}
    assert (expected | {"optimizer_beta_1": "0.9", "validation_split": "0.0"}).items() <= run["params"].items()
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert [step for step, _ in run["metrics"][name]] == [0, 1, 2]
    assert run["metrics"]["validation_loss"][-1][1] == run["metrics"]["val_loss"][-1][1]
    assert run["files"] == ["model_summary.txt"]
    assert run["inputs"] == ["eval", "train"]
    assert run["tags"]["mlflow.autologging"] == "keras"
    assert run["loaded"] == pytest.approx(run["said"], rel=1e-4)
    assert json.loads(run["signature"]["outputs"])[0]["tensor-spec"] == {"dtype": "float32", "shape": [-1, 2]}
