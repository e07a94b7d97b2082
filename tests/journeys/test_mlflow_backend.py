"""Stock MLflow with our plugins in its own environment, where nothing of ours is installed but this package itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from machine import Done, Machine, write_project
from peer import NO_MLFLOW, mlflow_python
from process import server_process

ROOT = Path(__file__).resolve().parents[2]
PROJECT = """
name: tried
entry_points:
  make:
    parameters: {count: {type: int, default: 3}}
    command: "seq {count} > data.txt; echo '{{\\"rows\\": '{count}'}}' > metrics.json"
    outputs: {data: data.txt}
    metrics: metrics.json
  main:
    parameters: {text: {type: string, default: hello}}
    command: "echo {text}"
  fail: {command: "exit 3"}
  slow: {command: "sleep 60"}
workflows:
  chain:
    parameters: {count: {type: int, default: 2}}
    steps:
      make: {parameters: {count: "${{ parameters.count }}"}}
      main: {parameters: {text: "${{ steps.make.metrics.rows }}"}}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our package as `pip install --no-deps` would leave it, beside MLflow's own."""
    if mlflow_python() is None:
        pytest.skip(NO_MLFLOW)
    folder = tmp_path_factory.mktemp("site")
    (folder / "toolkit").symlink_to(ROOT / "toolkit")
    info = folder / "toolkit-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toolkit\nVersion: 0.1.0\n")
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for group, entries in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


def mlflow(machine: Machine, installed: Path, code: list[str], cwd: Path, **variables: str) -> Done:
    """Run MLflow's Python, with our program on the PATH of another environment."""
    python = mlflow_python()
    assert python is not None
    done = subprocess.run(
        [python, *code],
        cwd=cwd,
        env=machine.variables(PYTHONPATH=str(installed), **variables),
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    return Done(code=done.returncode, out=done.stdout, err=done.stderr)


def run_project(machine: Machine, installed: Path, cwd: Path, *options: str, **variables: str) -> Done:
    return mlflow(machine, installed, ["-m", "mlflow", "run", ".", "-b", "toolkit", *options], cwd, **variables)


@pytest.mark.slow
def test_mlflow_runs_a_project_as_our_flow_recorded_by_our_server(
    machine: Machine, installed: Path, tmp_path: Path
) -> None:
    write_project(tmp_path, PROJECT)
    (tmp_path / "backend.json").write_text(json.dumps({"workflow": "chain", "env_manager": "local"}))
    with server_process(machine.home) as server:
        options = ["-c", "backend.json", "-P", "count=4", "--experiment-name", "tries", "--run-name", "first try"]
        done = run_project(machine, installed, tmp_path, *options, MLFLOW_TRACKING_URI=server.url)
        assert done.code == 0, done.err
        failed = run_project(machine, installed, tmp_path, "-e", "fail", MLFLOW_TRACKING_URI=server.url)
    assert "is no toolkit server" not in done.err
    found = re.search(r"^run .* \((\w{32})\)$", done.err, flags=re.MULTILINE)
    assert found, done.err
    run = machine.show(found[1])
    assert (run["run_name"], run["status"], run["params"]) == ("first try", "FINISHED", {"count": "4"})
    assert run["metrics"] == {"make.rows": 4.0}
    assert run["tags"]["mlflow.project.backend"] == "toolkit"
    assert [child["run_name"] for child in run["children"]] == ["make", "main"]
    assert machine.flow_state(run) == "COMPLETED"
    assert failed.code == 1
    assert "exited with 3" in failed.err


ALONE = """
import json, mlflow, os
from mlflow.entities import RunStatus
from mlflow.tracking.context.registry import resolve_tags

def run(entry_point="main", synchronous=True, **config):
    return mlflow.projects.run(
        ".", entry_point=entry_point, backend="toolkit", backend_config=config, synchronous=synchronous, run_name="mine"
    )

whole = mlflow.get_run(run(workflow="chain").run_id)
told = [[whole.info.status, whole.data.params, whole.data.metrics, whole.data.tags]]

slow = run("slow", synchronous=False)
before = RunStatus.to_string(slow.get_status())
slow.cancel()
after = mlflow.get_run(slow.run_id)
told.append([before, RunStatus.to_string(slow.get_status()), slow.wait(), after.info.status, after.data.tags])

mistakes = []
for variables, arguments in [
    ({}, {"workflw": "x"}), ({}, {"entry_point": "fial"}), ({"TOOLKIT_PROGRAM": "/nowhere/toolkit"}, {}),
    ({"TOOLKIT_PROGRAM": "", "PATH": "/nowhere"}, {}),
]:
    os.environ |= variables
    try:
        run(**arguments)
    except mlflow.exceptions.ExecutionException as error:
        mistakes.append(str(error))
told.append(mistakes)
os.environ |= {"TOOLKIT_RUN_ID": "abc", "PREFECT__FLOW_RUN_ID": "def"}
told.append(resolve_tags())
print(json.dumps(told))
"""


@pytest.mark.slow
def test_a_store_of_mlflows_own_gets_the_whole_and_is_said_to(
    machine: Machine, installed: Path, tmp_path: Path
) -> None:
    """One process of MLflow's for all that its Python API does: it takes long to begin."""
    write_project(tmp_path, PROJECT)
    uri = f"sqlite:///{tmp_path}/theirs.db"
    done = mlflow(machine, installed, ["-c", ALONE], tmp_path, MLFLOW_TRACKING_URI=uri)
    assert done.code == 0, done.err
    whole, slow, mistakes, context = json.loads(done.out.splitlines()[-1])
    status, params, metrics, tags = whole
    assert (status, params, metrics) == ("FINISHED", {"count": "2"}, {"make.rows": 2.0})
    assert machine.show(tags["toolkit.run_id"])["status"] == "FINISHED"
    assert (tags["mlflow.project.backend"], tags["mlflow.runName"]) == ("toolkit", "mine")
    assert "is no toolkit server, so the steps are recorded in toolkit's own store" in done.err

    assert slow[:4] == ["RUNNING", "KILLED", False, "KILLED"]
    assert machine.show(slow[4]["toolkit.run_id"])["status"] == "KILLED"

    unknown, entry, missing, absent = mistakes
    assert "'workflw'" in unknown
    assert "there is no entry point 'fial'" in entry
    assert "/nowhere/toolkit" in missing
    assert "TOOLKIT_PROGRAM" in absent

    assert (context["mlflow.parentRunId"], context["prefect.flow_run_id"]) == ("abc", "def")
    assert "unexpected error" not in done.err


INSIDE = """
import json, prefect
from toolkit.mlflow_context import StepContext

@prefect.task(name="fit")
def fit():
    return StepContext().tags()

@prefect.flow(name="plain")
def flow():
    return StepContext().tags(), fit()

if __name__ == "__main__":
    print(json.dumps(flow()))
"""


def test_runs_made_inside_of_any_flow_of_prefects_know_it(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "inside.py").write_text(INSIDE)
    done = subprocess.run(
        [sys.executable, "inside.py"],
        cwd=tmp_path,
        env=machine.variables(PREFECT_API_URL=machine.api_url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    flow, task = json.loads(done.stdout.splitlines()[-1])
    assert set(flow) == {"prefect.flow_run_id", "prefect.flow_run_name", "prefect.flow_name"}
    assert task == {
        **flow,
        **{name: task[name] for name in ("prefect.task_run_id", "prefect.task_run_name")},
        "prefect.task_name": "fit",
    }
    assert machine.prefect(f"flow_runs/{task['prefect.flow_run_id']}")["name"] == flow["prefect.flow_run_name"]
