"""MLflow's own command line, against the server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
from click.testing import CliRunner
from journey_checks import check, client, equal, experiment, named
from mlflow.cli import cli


def mlflow_says(*arguments):
    """Call ``mlflow`` with arguments in this process; return what it prints."""
    done = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
    equal((arguments, done.exit_code), (arguments, 0))
    return done.output


def process_says(*arguments):
    """Call ``mlflow`` with arguments in a process of its own; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", *arguments], capture_output=True, text=True, check=False, env=os.environ
    )
    equal((done.returncode, done.stderr if done.returncode else ""), (0, ""))
    return done.stdout


@check
def mlflow_runs():
    made = experiment("commands runs")
    with mlflow.start_run(run_name="by hand") as run:
        mlflow.log_param("p", "1")
    said = process_says("runs", "list", "--experiment-id", made)
    equal((run.info.run_id in said, "by hand" in said), (True, True))
    told = json.loads(mlflow_says("runs", "describe", "--run-id", run.info.run_id))
    equal((told["info"]["run_id"], told["data"]["params"]), (run.info.run_id, {"p": "1"}))
    mlflow_says("runs", "delete", "--run-id", run.info.run_id)
    equal(mlflow.get_run(run.info.run_id).info.lifecycle_stage, "deleted")
    assert run.info.run_id in mlflow_says("runs", "list", "--experiment-id", made, "--view", "deleted_only")
    mlflow_says("runs", "restore", "--run-id", run.info.run_id)
    equal(mlflow.get_run(run.info.run_id).info.lifecycle_stage, "active")


@check
def mlflow_experiments():
    name, other = named("commands made"), named("commands renamed")
    mlflow_says("experiments", "create", "--experiment-name", name)
    made = mlflow.get_experiment_by_name(name).experiment_id
    assert name in mlflow_says("experiments", "search", "--view", "all")
    mlflow_says("experiments", "rename", "--experiment-id", made, "--new-name", other)
    mlflow_says("experiments", "delete", "--experiment-id", made)
    assert other in mlflow_says("experiments", "search", "--view", "deleted_only")
    mlflow_says("experiments", "restore", "--experiment-id", made)
    equal(mlflow.get_experiment(made).lifecycle_stage, "active")
    with mlflow.start_run(experiment_id=made, run_name="in the table"):
        mlflow.log_metric("m", 0.5)
    said = mlflow_says("experiments", "csv", "--experiment-id", made)
    equal(("metrics.m" in said or "in the table" in said, "0.5" in said), (True, True))


@check
def mlflow_artifacts():
    made = experiment("commands artifacts")
    run = client().create_run(made).info.run_id
    folder = Path("commands")
    (folder / "deep").mkdir(parents=True)
    (folder / "a b.txt").write_text("a")
    (folder / "deep" / "b.txt").write_text("b")
    mlflow_says("artifacts", "log-artifact", "--local-file", str(folder / "a b.txt"), "--run-id", run)
    mlflow_says("artifacts", "log-artifacts", "--local-dir", str(folder), "--run-id", run, "--artifact-path", "all")
    told = json.loads(mlflow_says("artifacts", "list", "--run-id", run))
    equal([(one["path"], one["is_dir"]) for one in told], [("a b.txt", False), ("all", True)])
    said = mlflow_says(
        "artifacts", "download", "--run-id", run, "--artifact-path", "all/deep", "--dst-path", "commands-got"
    )
    got = Path(said.strip().splitlines()[-1])
    equal((got / "b.txt").read_text(), "b")
    said = mlflow_says("artifacts", "download", "--artifact-uri", f"runs:/{run}/a b.txt", "--dst-path", "commands-got")
    equal(Path(said.strip().splitlines()[-1]).read_text(), "a")
