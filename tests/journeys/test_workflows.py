"""Whole projects, from the command to what is kept: the examples, failures, retries, conditions, parallel steps."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from machine import Machine, has_ended, until, write_project

ROOT = Path(__file__).resolve().parents[2]


# -- the examples ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_wine_example_trains_in_an_environment_of_its_own_and_keeps_everything(machine: Machine) -> None:
    done = machine.toolkit("run", "examples/wine-quality", "--experiment-name", "wine", "--json", cwd=ROOT)
    assert done.code == 0, done.err
    assert done.statuses() == {
        "prepare": "FINISHED",
        "train regularization=0.01": "FINISHED",
        "train regularization=0.1": "FINISHED",
        "train regularization=1.0": "FINISHED",
        "evaluate": "FINISHED",
    }
    run = machine.show(done.json["run_id"])
    assert run["status"] == "FINISHED"
    assert run["params"]["test_size"] == "0.25"
    assert 0.9 < run["metrics"]["evaluate.accuracy"] <= 1
    assert machine.flow_state(run) == "COMPLETED"
    assert set(machine.task_states(run).values()) == {"COMPLETED"}
    steps = {child["run_name"]: child for child in run["children"]}
    assert set(steps) == set(done.statuses())
    train = steps["train regularization=0.1"]
    assert train["params"]["regularization"] == "0.1"
    assert {"validation_accuracy", "validation_log_loss"} <= set(train["metrics"])
    assert train["tags"]["toolkit.exit_code"] == "0"
    assert train["tags"]["mlflow.project.env"] == "uv"
    artifacts = {entry["path"] for entry in machine.show(train["run_id"])["artifacts"]}
    assert artifacts == {"environment/requirements.lock", "logs/output.log", "model.json"}


def test_the_single_step_example_logs_into_its_own_run(machine: Machine, tmp_path: Path) -> None:
    done = machine.toolkit("run", "examples/single-step", "-P", "steps=5", "--run-name", "descent", "--json", cwd=ROOT)
    assert done.code == 0, done.err
    assert "main | x = " in done.err
    run = machine.show("descent")
    assert (run["run_id"], run["status"], run["params"]) == (
        done.json["run_id"],
        "FINISHED",
        {"rate": "0.1", "steps": "5"},
    )
    assert run["metrics"]["loss"] < 5
    (step,) = run["children"]
    fetched = machine.toolkit("artifacts", "get", step["run_id"], "-d", str(tmp_path), cwd=tmp_path)
    assert fetched.code == 0, fetched.err
    assert (tmp_path / "logs" / "output.log").read_text().startswith("x = ")
    assert (tmp_path / "result.txt").read_text().startswith("the minimum is near")
    assert "prefect==" in (tmp_path / "environment" / "requirements.lock").read_text()


def test_the_example_with_decorators_is_tracked_as_a_tree(machine: Machine) -> None:
    done = subprocess.run(
        [sys.executable, "examples/decorators/pipeline.py"],
        cwd=ROOT,
        env=machine.variables(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("accuracy 0.9")
    run = machine.show("pipeline")
    assert run["status"] == "FINISHED"
    assert run["metrics"]["accuracy"] > 0.9
    assert machine.flow_state(run) == "COMPLETED"
    assert sorted(child["run_name"] for child in run["children"]) == ["evaluate", "prepare", "train", "train", "train"]
    assert all(child["status"] == "FINISHED" for child in run["children"])
    train = next(child for child in run["children"] if child["run_name"] == "train")
    assert train["metrics"]["validation_accuracy"] > 0.9


DECORATED = """
import toolkit

@toolkit.task(retries=1, name="a-task-of-prefect")
def flaky(tries: list[int]) -> float:
    tries.append(1)
    toolkit.log_metric("inside", len(tries))
    if len(tries) < 2:
        raise ValueError("not yet")
    return 0.5

@toolkit.task
def trained() -> object:
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])

@toolkit.task
def broken() -> None:
    raise RuntimeError("broke")

@toolkit.flow(name="decorated", version="7")
def whole(alpha: float = 0.1) -> float:
    result = flaky([])
    print("predicts", round(trained().predict([[2.0]])[0]))
    broken()
    return result

try:
    whole()
except RuntimeError as error:
    print("raised", error)
for kind in (toolkit.flow, toolkit.task):
    try:
        @kind
        async def later() -> None: ...
    except ValueError as error:
        print("refused", error)
"""


def test_what_fails_in_a_decorated_flow_fails_its_runs(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(DECORATED)
    done = subprocess.run(
        [sys.executable, "flow.py"], cwd=tmp_path, env=machine.variables(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    predicts, raised, *refused = done.stdout.splitlines()
    assert predicts == "predicts 5"
    assert raised == "raised broke"
    assert [line.startswith("refused later is asynchronous") for line in refused] == [True, True]
    run = machine.show("whole")
    assert (run["status"], run["reason"], run["params"]) == ("FAILED", "RuntimeError: broke", {"alpha": "0.1"})
    assert machine.flow_state(run) == "FAILED"
    assert machine.prefect(f"flow_runs/{run['tags']['prefect.flow_run_id']}")["flow_version"] == "7"
    children = [(child["run_name"], child["status"], child["metrics"]) for child in run["children"]]
    assert children == [
        ("flaky", "FAILED", {"inside": 1.0}),
        ("flaky", "FINISHED", {"inside": 2.0, "flaky": 0.5}),
        ("trained", "FINISHED", {}),
        ("broken", "FAILED", {}),
    ]
    models = machine.toolkit("models", "list", "--json", cwd=tmp_path).json["models"]
    assert [model["status"] for model in models if model["name"] == "trained"] == ["READY"]


@pytest.mark.slow
@pytest.mark.parametrize("target", [[], ["-w", "again"], ["-e", "main"]], ids=["main", "again", "entry-point"])
def test_mlproject_example_runs_as_it_stands(machine: Machine, tmp_path: Path, target: list[str]) -> None:
    shutil.copy(ROOT / "MLproject.example", tmp_path / "MLproject")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    done = machine.toolkit("run", ".", "--json", *target, cwd=tmp_path)
    assert done.code == 0, done.err
    assert set(done.statuses().values()) == {"FINISHED"}
    if not target:
        assert done.json["steps"][-1]["label"] == "report"
        assert "The best slope" not in done.err
        assert "Run " in done.err


# -- failures ----------------------------------------------------------------------------------------

FAILING = """
name: failing
entry_points:
  good: {command: "echo good"}
  bad: {command: "echo about to fail; exit 3"}
workflows:
  main:
    steps:
      good: {}
      bad: {}
      after: {entry_point: good, needs: [bad]}
      beside: {entry_point: good, needs: [good]}
"""


def test_a_failing_step_fails_the_run_and_prefect_says_the_same(machine: Machine, tmp_path: Path) -> None:
    done = machine.toolkit("run", "--json", cwd=write_project(tmp_path, FAILING))
    assert done.code == 1
    assert done.statuses() == {"good": "FINISHED", "bad": "FAILED", "after": "SKIPPED", "beside": "FINISHED"}
    assert "Traceback" not in done.err
    run = machine.show(done.json["run_id"])
    assert run["status"] == "FAILED"
    assert "'bad' exited with 3" in run["reason"]
    assert "MLproject:5" in run["reason"]
    assert machine.flow_state(run) == "FAILED"
    assert machine.task_states(run) == {"good": "COMPLETED", "bad": "FAILED", "beside": "COMPLETED"}
    children = {child["run_name"]: child for child in run["children"]}
    assert {name: child["status"] for name, child in children.items()} == {
        "good": "FINISHED",
        "bad": "FAILED",
        "beside": "FINISHED",
    }
    assert children["bad"]["tags"]["toolkit.exit_code"] == "3"
    log = machine.toolkit("artifacts", "get", children["bad"]["run_id"], "logs/output.log", cwd=tmp_path)
    assert log.code == 0
    assert (tmp_path / "logs" / "output.log").read_text() == "about to fail\n"


def test_a_step_that_does_not_leave_what_it_declares_has_failed(machine: Machine, tmp_path: Path) -> None:
    text = """
entry_points:
  no-output: {command: "true", outputs: {model: model.txt}}
  no-metrics: {command: "true", metrics: metrics.json}
  list: {command: "echo '[1]' > metrics.json", metrics: metrics.json}
  words: {command: "echo '{{\\"a\\": \\"x\\"}}' > m.json", metrics: m.json}
  broken: {command: "echo '{{' > m.json", metrics: m.json}
  killed: {command: "kill -9 $$"}
workflows:
  main: {steps: {no-output: {}, no-metrics: {}, list: {}, words: {}, broken: {}, killed: {}}}
"""
    done = machine.toolkit("run", "--json", cwd=write_project(tmp_path, text))
    assert done.code == 1
    assert "Traceback" not in done.err
    reasons = {step["label"]: step["reason"] for step in done.json["steps"]}
    for label, words in {
        "no-output": ["MLproject:3", "did not leave its output 'model'", "model.txt"],
        "no-metrics": ["MLproject:4", "metrics.json", "left none"],
        "list": ["metrics.json", "list"],
        "words": ["m.json", "'a' is 'x'"],
        "broken": ["m.json", "MLproject:7"],
        "killed": ["signal 9"],
    }.items():
        for word in words:
            assert word in reasons[label]
    assert set(done.statuses().values()) == {"FAILED"}


def test_a_timeout_ends_the_step_and_its_children(machine: Machine, tmp_path: Path) -> None:
    text = """
entry_points: {wait: {command: "sleep 1000 & echo $! > pid; wait"}}
workflows: {main: {steps: {wait: {timeout: 1}}}}
"""
    done = machine.toolkit("run", "--json", cwd=write_project(tmp_path, text))
    assert done.code == 1
    assert "longer than its timeout of 1 s" in done.json["steps"][0]["reason"]
    child = int((tmp_path / "pid").read_text())
    until(lambda: has_ended(child), what="the end of the child")
    run = machine.show(done.json["run_id"])
    assert (run["status"], run["children"][0]["status"]) == ("FAILED", "FAILED")
    assert machine.flow_state(run) == "FAILED"


def test_a_step_is_tried_again_and_each_try_is_kept(machine: Machine, tmp_path: Path) -> None:
    text = """
entry_points: {flaky: {command: "echo try >> tries; test $(wc -l < tries) -ge 3"}}
workflows: {main: {steps: {flaky: {retries: 4}}}}
"""
    done = machine.toolkit("run", "--json", cwd=write_project(tmp_path, text))
    assert done.code == 0, done.err
    assert (done.json["steps"][0]["tries"], (tmp_path / "tries").read_text().count("try")) == (3, 3)
    children = machine.show(done.json["run_id"])["children"]
    assert [(child["tags"]["toolkit.attempt"], child["status"]) for child in children] == [
        ("1", "FAILED"),
        ("2", "FAILED"),
        ("3", "FINISHED"),
    ]


def test_conditions_choose_what_runs(machine: Machine, tmp_path: Path) -> None:
    text = """
entry_points:
  score: {command: "echo '{{\\"error\\": 0.2}}' > metrics.json", metrics: metrics.json}
  say: {parameters: {text: string}, command: "echo said {text}"}
workflows:
  main:
    steps:
      score: {}
      good: {entry_point: say, when: "${{ steps.score.metrics.error < 0.5 }}", parameters: {text: good}}
      poor: {entry_point: say, when: "${{ steps.score.metrics.error >= 0.5 }}", parameters: {text: poor}}
      after: {entry_point: say, needs: [poor], parameters: {text: after}}
"""
    done = machine.toolkit("run", "--json", cwd=write_project(tmp_path, text))
    assert done.code == 0, done.err
    assert done.statuses() == {"score": "FINISHED", "good": "FINISHED", "poor": "SKIPPED", "after": "SKIPPED"}
    assert "good | said good" in done.err
    run = machine.show(done.json["run_id"])
    assert (run["status"], run["metrics"]) == ("FINISHED", {"score.error": 0.2})
    assert len(run["children"]) == 2


# -- at the same time --------------------------------------------------------------------------------


def test_steps_that_do_not_need_each_other_run_at_the_same_time(machine: Machine, tmp_path: Path) -> None:
    """Each waits for the other's file."""
    text = """
entry_points:
  meet:
    parameters: {me: string, other: string}
    command: "touch {me}; until [ -e {other} ]; do sleep 0.02; done"
workflows:
  main:
    steps:
      a: {entry_point: meet, timeout: 30, parameters: {me: a, other: b}}
      b: {entry_point: meet, timeout: 30, parameters: {me: b, other: a}}
"""
    done = machine.toolkit("run", "--json", cwd=write_project(tmp_path, text))
    assert done.statuses() == {"a": "FINISHED", "b": "FINISHED"}, done.err


def test_twenty_runs_of_a_step_are_twenty_runs(machine: Machine, tmp_path: Path) -> None:
    text = f"""
entry_points: {{one: {{parameters: {{n: int}}, command: "echo {{n}} > out.txt", outputs: {{out: out.txt}}}}}}
workflows: {{main: {{steps: {{one: {{foreach: {{n: {list(range(20))}}}}}}}}}}}
"""
    done = machine.toolkit("run", "--json", "-q", cwd=write_project(tmp_path, text))
    assert done.code == 0, done.err
    assert done.err == ""
    run = machine.show(done.json["run_id"])
    assert len(run["children"]) == 20
    assert {child["status"] for child in run["children"]} == {"FINISHED"}
    assert list(machine.task_states(run).values()) == ["COMPLETED"] * 20
    last = next(child for child in run["children"] if child["params"]["n"] == "19")
    (entry,) = [entry for entry in machine.show(last["run_id"])["artifacts"] if entry["path"] == "out.txt"]
    assert entry["size"] == 3


# -- what a step sees --------------------------------------------------------------------------------


def test_a_command_knows_its_run_and_where_to_log(machine: Machine, tmp_path: Path) -> None:
    text = """
entry_points:
  main: {command: "python -c \\"import json, os; json.dump(dict(os.environ), open('env.json', 'w'))\\""}
"""
    done = machine.toolkit("run", "--json", "--experiment-name", "variables", cwd=write_project(tmp_path, text))
    assert done.code == 0, done.err
    seen = json.loads((tmp_path / "env.json").read_text())
    run = machine.show(done.json["run_id"])
    assert seen["TOOLKIT_RUN_ID"] == run["children"][0]["run_id"]
    assert seen["TOOLKIT_PARENT_RUN_ID"] == run["run_id"]
    assert seen["TOOLKIT_EXPERIMENT_ID"] == run["experiment_id"]
    assert seen["TOOLKIT_TRACKING_URI"] == f"sqlite:///{machine.home}/toolkit.db"
    assert seen["TOOLKIT_HOME"] == str(machine.home)
    assert seen["PWD"] == str(tmp_path)


def test_an_artifact_of_an_earlier_run_can_be_read(machine: Machine, tmp_path: Path) -> None:
    text = """
entry_points:
  make: {command: "echo content > data.txt", outputs: {data: data.txt}}
  read: {parameters: {data: path}, command: "cat {data}"}
"""
    project = write_project(tmp_path, text)
    made = machine.toolkit("run", "-e", "make", "--json", cwd=project)
    assert made.code == 0, made.err
    uri = f"runs:/{made.json['steps'][0]['run_id']}/data.txt"
    done = machine.toolkit("run", "-e", "read", "-P", f"data={uri}", "--json", cwd=project)
    assert done.code == 0, done.err
    assert "read | content" in done.err
    assert machine.show(done.json["run_id"])["params"] == {"data": uri}
    wrong = machine.toolkit("run", "-e", "read", "-P", f"data={uri}x", cwd=project)
    assert wrong.code in (1, 2)
    assert "data.txtx" in wrong.err
    assert "Traceback" not in wrong.err


def test_a_project_that_runs_a_project_is_a_tree(machine: Machine, tmp_path: Path) -> None:
    write_project(tmp_path / "inner", "name: inner\nentry_points: {main: {command: 'echo innermost'}}")
    text = "name: outer\nentry_points: {main: {command: 'toolkit run inner --run-name nested'}}"
    done = machine.toolkit("run", "--json", cwd=write_project(tmp_path, text))
    assert done.code == 0, done.err
    assert "innermost" in done.err
    (step,) = machine.show(done.json["run_id"])["children"]
    (nested,) = step["children"]
    assert (nested["run_name"], nested["status"], nested["parent_run_id"]) == ("nested", "FINISHED", step["run_id"])
    assert [child["status"] for child in nested["children"]] == ["FINISHED"]


def test_a_plain_directory_is_kept_as_a_snapshot(machine: Machine, tmp_path: Path) -> None:
    project = write_project(
        tmp_path / "p", "entry_points: {main: {command: 'python code.py'}}", code_py="print('ran')\n"
    )
    done = machine.toolkit("run", "--json", cwd=project)
    assert done.code == 0, done.err
    listed = machine.toolkit("artifacts", "list", done.json["run_id"], "--json", cwd=tmp_path).json["artifacts"]
    assert [entry["path"] for entry in listed] == ["source/snapshot.zip"]
    machine.toolkit("artifacts", "get", done.json["run_id"], cwd=tmp_path)
    with zipfile.ZipFile(tmp_path / "source" / "snapshot.zip") as archive:
        assert {"MLproject", "code.py"} <= set(archive.namelist())
        assert archive.read("code.py") == b"print('ran')\n"


def test_output_goes_to_the_terminal_the_artifact_and_prefects_log(machine: Machine, tmp_path: Path) -> None:
    text = "entry_points: {main: {command: 'echo to stdout; echo to stderr >&2; printf \"50%%\\r100%%\\n\"'}}"
    done = machine.toolkit("run", "--json", cwd=write_project(tmp_path, text))
    assert done.code == 0, done.err
    lines = ["to stdout", "to stderr", "50%", "100%"]
    assert [line.partition("main | ")[2] for line in done.err.splitlines() if line.startswith("main | ")] == lines
    step = done.json["steps"][0]["run_id"]
    machine.toolkit("artifacts", "get", step, "logs/output.log", cwd=tmp_path)
    assert (tmp_path / "logs" / "output.log").read_text().splitlines() == lines
    wanted = {"logs": {"flow_run_id": {"any_": [done.json["flow_run_id"]]}}}
    messages = "\n".join(record["message"] for record in machine.prefect("logs/filter", wanted))
    assert [line for line in messages.splitlines() if line in lines] == lines


def test_an_environment_that_cannot_be_built_leaves_no_run(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "python_env.yaml").write_text("dependencies: [no-such-package-anywhere-at-all==9.9]\n")
    before = len(machine.runs("--all"))
    done = machine.toolkit(
        "run", cwd=write_project(tmp_path, "python_env: python_env.yaml\nentry_points: {main: {command: 'touch ran'}}")
    )
    assert done.code == 2
    assert "Traceback" not in done.err
    assert "no-such-package-anywhere-at-all" in done.err
    assert not (tmp_path / "ran").exists()
    assert len(machine.runs("--all")) == before
