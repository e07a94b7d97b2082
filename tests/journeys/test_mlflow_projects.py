"""Projects whose code does ``import mlflow``: the real client, in its own environment, logs into the step's run."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from machine import Done, Machine, write_project
from peer import NO_MLFLOW, NO_TORCH, mlflow_python, torch_python

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "mlflow-unmodified"
CORPUS = ROOT.parent / "shared" / "mlprojects"
"""MLflow's own MLproject files, where they are at hand."""


def run(machine: Machine, project: Path, *options: str) -> Done:
    """Run a project; skip where its environment cannot be had."""
    variables = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "UV_COMPILE_BYTECODE": "0",  # most of what MLflow brings is never imported
        "PYTHONDONTWRITEBYTECODE": "",
    }
    done = machine.toolkit("run", str(project), "--json", *options, cwd=project, **variables)
    if done.code == 2 and "environment" in done.err and "mlflow" in done.err:
        pytest.skip(f"MLflow's client cannot be installed here: {done.err.strip().splitlines()[-1]}")
    return done


def step_of(machine: Machine, done: Done) -> Any:  # noqa: ANN401 - a JSON document
    (child,) = machine.show(done.json["run_id"])["children"]
    return machine.show(child["run_id"])


@pytest.mark.slow
def test_the_example_logs_into_the_run_of_its_step(machine: Machine) -> None:
    done = run(machine, EXAMPLE, "-P", "alpha=0.1", "--experiment-name", "unmodified")
    assert done.code == 0, done.err
    step = step_of(machine, done)
    assert step["status"] == "FINISHED"
    assert step["params"].items() >= {"alpha": "0.1", "l1_ratio": "0.5", "model": "ElasticNet"}.items()
    assert {"rmse", "mae", "r2", "system/cpu_seconds"} <= set(step["metrics"])
    assert step["tags"]["data"] == "diabetes"
    assert step["tags"]["toolkit.exit_code"] == "0"
    artifacts = {entry["path"] for entry in step["artifacts"]}
    assert artifacts == {"environment/requirements.lock", "logs/output.log", "model/weights.json"}
    assert machine.show(done.json["run_id"])["metrics"]["rmse"] == step["metrics"]["rmse"]
    assert f"/#/experiments/{step['experiment_id']}/runs/{step['run_id']}" in done.err
    assert len(machine.runs("--experiment", "unmodified")) == 1, "a run was made beside the step's"


@pytest.mark.slow
def test_nested_runs_of_the_example_are_below_the_run_of_its_step(machine: Machine, tmp_path: Path) -> None:
    done = run(machine, EXAMPLE, "-e", "search", "-P", "alphas=0.01,1.0")
    assert done.code == 0, done.err
    step = step_of(machine, done)
    assert step["metrics"]["best_alpha"] == 0.01
    assert {child["run_name"]: child["status"] for child in step["children"]} == {
        "alpha=0.01": "FINISHED",
        "alpha=1.0": "FINISHED",
    }
    nested = machine.show(step["children"][0]["run_id"])
    assert nested["tags"]["mlflow.parentRunId"] == step["run_id"]
    (server,) = [one for one in services(machine) if one["name"] == "tracking"]
    asked = f"{server['url']}/api/2.0/mlflow/metrics/get-history?run_id={nested['run_id']}&metric_key=weight"
    with urllib.request.urlopen(asked, timeout=20) as answer:
        assert len(json.load(answer)["metrics"]) == 10


@pytest.mark.slow
def test_a_library_that_ends_the_run_early_does_not_end_the_step(machine: Machine, tmp_path: Path) -> None:
    """Neither where the step then fails, nor where it goes on and logs."""
    project = write_project(
        tmp_path / "p",
        """
        python_env: python_env.yaml
        entry_points:
          fail: {command: "python fit.py 3"}
          succeed: {command: "python fit.py 0"}
        """,
        fit_py="""
import sys, time, mlflow
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 1.0)
assert mlflow.get_run(run.info.run_id).info.status == "FINISHED"
time.sleep(0.3)
with mlflow.start_run(run_id=run.info.run_id):
    mlflow.log_metric("loss", 0.5, step=1)
mlflow.MlflowClient().log_metric(run.info.run_id, "after", 2.0)
with mlflow.start_run(run_name="beside"):
    pass
sys.exit(int(sys.argv[1]))
""",
    )
    shutil.copy(EXAMPLE / "python_env.yaml", project)  # the same environment as the other tests'
    done = run(machine, project, "-e", "fail")
    assert done.code == 1, done.err
    step = step_of(machine, done)
    assert (step["status"], step["metrics"]["after"], step["metrics"]["loss"]) == ("FAILED", 2.0, 0.5)
    assert "exited with 3" in step["reason"]
    (beside,) = step["children"]  # a run that the code makes of its own accord is a part of the step's
    assert (beside["run_name"], beside["status"]) == ("beside", "FINISHED")
    tags = machine.show(beside["run_id"])["tags"]
    assert tags["toolkit.step"] == "fail"
    assert tags["prefect.flow_run_id"] == machine.show(done.json["run_id"])["tags"]["prefect.flow_run_id"]
    done = run(machine, project, "-e", "succeed")
    assert done.code == 0, done.err
    step = step_of(machine, done)
    parent = machine.show(done.json["run_id"])
    assert (step["status"], parent["status"]) == ("FINISHED", "FINISHED")
    assert step["tags"]["toolkit.exit_code"] == "0"


@pytest.fixture
def whole_mlflow() -> str:
    """What a python_env says that has all of MLflow; only where it has been installed before: it is large."""
    if mlflow_python() is None:
        pytest.skip(NO_MLFLOW)
    return "dependencies: [mlflow==3.17.2]  # what make mlflow has brought into the cache\n"


def copied(example: str, like: str, folder: Path, environment: str) -> Path:
    """Copy an example; with MLflow's own MLproject file of this name where it is at hand."""
    project = Path(shutil.copytree(ROOT / "examples" / example, folder / example))
    (project / "python_env.yaml").write_text(environment)
    if (CORPUS / like / "MLproject").exists():
        shutil.copy(CORPUS / like / "MLproject", project)
    return project


@pytest.mark.slow
def test_the_example_runs_with_the_whole_of_mlflow(machine: Machine, tmp_path: Path, whole_mlflow: str) -> None:
    project = Path(shutil.copytree(EXAMPLE, tmp_path / "example"))
    (project / "python_env.yaml").write_text(whole_mlflow)
    done = run(machine, project, "-P", "alpha=0.1")
    assert done.code == 0, done.err
    step = step_of(machine, done)
    assert (step["status"], step["children"], step["params"]["model"]) == ("FINISHED", [], "ElasticNet")
    assert {"rmse", "mae", "r2"} <= set(step["metrics"])


@pytest.mark.slow
@pytest.mark.timeout(400)  # seven processes that import MLflow
def test_steps_that_mlflow_runs_are_below_the_step_that_runs_them(
    machine: Machine, tmp_path: Path, whole_mlflow: str
) -> None:
    """MLflow's multistep example: its nested runs, what they hand on by the proxy, and its own cache."""
    project = copied("mlflow-multistep", "multistep_workflow", tmp_path, whole_mlflow)
    given = ("-P", "als_max_iter=2", "-P", "max_row_limit=500", "--experiment-name", "multistep")
    done = run(machine, project, *given)
    assert done.code == 0, done.err
    step = step_of(machine, done)
    assert step["status"] == "FINISHED"
    children = [machine.show(child["run_id"]) for child in step["children"]]
    found = {child["tags"]["mlflow.project.entryPoint"]: child for child in children}
    assert set(found) == {"load_raw_data", "etl_data", "als", "train_keras"}
    assert {child["status"] for child in children} == {"FINISHED"}
    assert {child["tags"]["toolkit.step"] for child in children} == {"main"}
    assert found["etl_data"]["params"]["max_row_limit"] == "500"
    assert found["etl_data"]["metrics"] == {"rows": 500.0}
    assert found["als"]["params"].items() >= {"max_iter": "2", "rank": "12", "reg_param": "0.1"}.items()
    assert set(found["train_keras"]["metrics"]) == {"train_mse", "test_mse"}
    again = run(machine, project, *given)
    assert again.code == 0, again.err
    for name in ("load_raw_data", "etl_data", "als"):
        assert f"taking over {name} from run {found[name]['run_id']}" in again.err
    (trained,) = step_of(machine, again)["children"]
    assert machine.show(trained["run_id"])["tags"]["mlflow.project.entryPoint"] == "train_keras"
    assert len(machine.runs("--experiment", "multistep")) == 2, "a run was made beside those of toolkit run"


@pytest.mark.slow
@pytest.mark.timeout(400)  # seven processes that import MLflow
def test_a_search_in_threads_finds_all_that_it_has_tried(machine: Machine, tmp_path: Path, whole_mlflow: str) -> None:
    """MLflow's hyperparameter example: its ``mlflow run`` takes the step's environment, without pyenv."""
    project = copied("mlflow-hyperparameters", "hyperparam", tmp_path, whole_mlflow)
    data = project / "points.csv"
    given = ("-P", "max_runs=2", "-P", "max_p=2", "-P", "epochs=3", "-P", f"training_data={data}")
    done = run(machine, project, "-e", "random", *given)
    assert done.code == 0, done.err
    step = step_of(machine, done)
    tried = [machine.show(child["run_id"]) for child in step["children"]]
    assert [child["status"] for child in tried] == ["FINISHED"] * 3
    assert {child["params"]["lr"] for child in tried} > {"0.0"}
    assert "best of 3" in done.err
    best = min(tried, key=lambda child: child["metrics"]["val_rmse"])
    assert step["tags"]["best_run"] == best["run_id"]
    assert machine.show(done.json["run_id"])["metrics"]["val_rmse"] == best["metrics"]["val_rmse"]


@pytest.mark.slow
def test_runs_of_a_client_without_an_active_run_are_below_the_step(
    machine: Machine, tmp_path: Path, whole_mlflow: str
) -> None:
    """As in a main that calls `mlflow.run` at once, and in libraries that have a client of their own."""
    project = write_project(
        tmp_path / "p",
        """
        python_env: python_env.yaml
        entry_points:
          main: {command: "python main.py"}
          part: {parameters: {x: float}, command: "python part.py {x}"}
        """,
        part_py="import sys, mlflow; mlflow.log_metric('twice', 2 * float(sys.argv[1]))",
        main_py="""
import mlflow
client = mlflow.MlflowClient()
mlflow.run(".", "part", parameters={"x": 1.5}, env_manager="local", run_name="part")
own = client.create_run("0", run_name="own")
client.create_run("0", run_name="below", tags={"mlflow.parentRunId": own.info.run_id})
client.create_run("0", run_name="far", tags={"mlflow.project.backend": "kubernetes"})
other = client.create_run("0", run_name="other")
client.set_terminated(other.info.run_id, "FAILED")
""",
    )
    (project / "python_env.yaml").write_text(whole_mlflow)
    done = run(machine, project)
    assert done.code == 0, done.err
    step = step_of(machine, done)
    found = {child["run_name"]: machine.show(child["run_id"]) for child in step["children"]}
    statuses = {name: child["status"] for name, child in found.items()}
    # What the code has left open ends with it, but for what may go on elsewhere.
    assert statuses == {"part": "FINISHED", "own": "FINISHED", "far": "RUNNING", "other": "FAILED"}
    assert found["part"]["metrics"] == {"twice": 3.0}
    assert found["own"]["tags"]["toolkit.step"] == "main"
    (below,) = found["own"]["children"]
    assert (below["run_name"], below["status"], below["reason"]) == (
        "below",
        "FINISHED",
        "left open by the step's code",
    )


LIBRARIES = """
import sys, tempfile, lightning, mlflow, torch
from lightning.pytorch.loggers import MLFlowLogger
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

sizes = {"vocab_size": 30, "hidden_size": 8, "intermediate_size": 8, "max_position_embeddings": 8}
model = BertForSequenceClassification(BertConfig(num_hidden_layers=1, num_attention_heads=2, **sizes))
rows = [{"input_ids": torch.randint(0, 30, (6,)), "labels": torch.tensor(index % 2)} for index in range(4)]
with tempfile.TemporaryDirectory() as folder:
    options = TrainingArguments(
        folder, report_to="mlflow", num_train_epochs=1, logging_steps=1, save_strategy="no", use_cpu=True,
        disable_tqdm=True,
    )
    Trainer(model, options, train_dataset=rows).train()
logger = MLFlowLogger("lightning", run_name="line")
logger.log_metrics({"loss": 0.5}, step=1)
logger.finalize("success")
sys.exit(3)
"""


@pytest.mark.slow
def test_transformers_and_lightning_in_a_step(machine: Machine, tmp_path: Path) -> None:
    """One resumes the step's run and ends it before the step fails; the other makes a run of its own, below it."""
    python = torch_python()
    if python is None:
        pytest.skip(NO_TORCH)
    project = write_project(tmp_path / "p", f"entry_points: {{main: {{command: '{python} fit.py'}}}}", fit_py=LIBRARIES)
    done = run(machine, project)
    assert done.code == 1, done.err
    step = step_of(machine, done)
    assert (step["status"], step["params"]["hidden_size"]) == ("FAILED", "8")
    assert "train_loss" in step["metrics"]
    (line,) = step["children"]
    assert (line["run_name"], line["status"], line["metrics"]) == ("line", "FINISHED", {"loss": 0.5})


@pytest.mark.parametrize("login", ["", "me"], ids=["nobody", "somebody"])
def test_who_logs_in_is_not_replaced_by_the_step(machine: Machine, tmp_path: Path, login: str) -> None:
    said = "name [$MLFLOW_EXPERIMENT_NAME] token [$MLFLOW_TRACKING_TOKEN"
    project = write_project(tmp_path / "p", f"entry_points: {{main: {{command: 'echo \"{said}]\"'}}}}")
    variables = {"MLFLOW_TRACKING_USERNAME": login, "MLFLOW_EXPERIMENT_NAME": "Default"}
    done = machine.toolkit("run", str(project), "--json", cwd=project, **variables)
    assert done.code == 0, done.err
    assert f"main | name [] token [{']' if login else 'toolkit-step.'}" in done.err


@pytest.mark.slow
def test_a_first_run_starts_the_tracking_server_beside_the_rest(fresh: Machine) -> None:
    """Only because the environment has a client of MLflow's; ``down`` ends it with the others."""
    done = run(fresh, EXAMPLE)
    assert done.code == 0, done.err
    assert {service["name"]: service["state"] for service in services(fresh)} == {
        "prefect": "running",
        "tracking": "running",
    }
    assert "rmse" in step_of(fresh, done)["metrics"]


def test_a_step_without_mlflow_needs_no_tracking_server(fresh: Machine, tmp_path: Path) -> None:
    project = write_project(tmp_path / "p", "entry_points: {main: {command: 'echo at [$MLFLOW_TRACKING_URI]'}}")
    done = fresh.toolkit("run", str(project), "--json", cwd=project)
    assert done.code == 0, done.err
    assert "main | at []" in done.err
    assert {service["name"]: service["state"] for service in services(fresh)}["tracking"] == "absent"
    up = fresh.toolkit("up", cwd=project)
    assert up.code == 0, up.err
    assert "tracking  http://127.0.0.1:" in up.err
    again = fresh.toolkit("run", str(project), "--json", cwd=project)
    assert "main | at [http://127.0.0.1:" in again.err


def services(machine: Machine) -> Any:  # noqa: ANN401 - a JSON document
    return machine.toolkit("status", "--json", cwd=machine.home).json["services"]
