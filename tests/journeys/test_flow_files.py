"""`toolkit compile -o flow.py`, then `python flow.py`: the same results as `toolkit run`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from machine import Done, Machine, write_project

PROJECT = """
name: demo
entry_points:
  make:
    parameters: {count: {type: int, default: 3}}
    command: "seq {count} > data.txt && touch metrics.json && echo '{{\\"rows\\": '{count}'}}' > metrics.json"
    outputs: {data: data.txt}
    metrics: metrics.json
  fit:
    parameters: {data: path, slope: float, note: {type: string, default: "it's"}}
    command: >-
      python -c "import json, sys; rows = open(sys.argv[1]).read().split();
      error = abs(float(sys.argv[2]) - 2) + len(rows);
      json.dump({{'error': error}}, open('metrics.json', 'w')); open('model.txt', 'w').write(sys.argv[2])"
      {data} {slope} {note}
    outputs: {model: model.txt}
    metrics: metrics.json
  flaky:
    parameters: {marker: string}
    command: "test -e {marker} || {{ touch {marker}; exit 3; }}"
  slow: {command: "sleep 30"}
  say:
    parameters: {text: string}
    command: "echo {text}"
workflows:
  main:
    parameters:
      slopes: {type: list, default: [1.0, 2.5]}
      marker: {type: string}
      loud: {type: bool, default: true}
    steps:
      make: {}
      fit-all:
        entry_point: fit
        foreach: {slope: "${{ parameters.slopes }}"}
        parameters: {data: "${{ steps.make.outputs.data }}"}
        concurrency: 1
      flaky: {parameters: {marker: "${{ parameters.marker }}"}, retries: 1, needs: [make]}
      report:
        entry_point: say
        parameters: {text: "${{ best(steps['fit-all'], 'error', 'min').metrics.error * 2 }} ${{ parameters.loud }}"}
        when: "${{ parameters.loud and best(steps['fit-all'], 'error', 'min').metrics.error < 10 }}"
      quiet: {entry_point: say, parameters: {text: never}, when: "${{ not parameters.loud }}"}
      after-quiet: {entry_point: say, parameters: {text: never}, needs: [quiet]}
  broken:
    steps:
      slow: {timeout: 1}
      make: {}
      say: {parameters: {text: x}, needs: [slow]}
"""
NO_VALUE = ("system/cpu_seconds", "system/peak_memory_megabytes")


def results(machine: Machine, run_id: str) -> dict[str, Any]:
    """Return what a run and its parts have recorded, without what no two runs have in common."""
    run = machine.show(run_id)
    parts = sorted(run["children"], key=lambda child: (child["run_name"], child["tags"]["toolkit.attempt"]))
    return {
        "status": run["status"],
        "params": {name: value for name, value in run["params"].items() if name != "marker"},
        "metrics": run["metrics"],
        "entry point": run["tags"]["mlflow.project.entryPoint"],
        "parts": [
            {
                "name": part["run_name"],
                "status": part["status"],
                "params": {
                    name: value.partition("/")[0] + value.rpartition("/")[2]
                    for name, value in part["params"].items()
                    if name != "marker"
                },
                "metrics": {name: value for name, value in part["metrics"].items() if name not in NO_VALUE},
                "entry point": part["tags"]["mlflow.project.entryPoint"],
                "attempt": part["tags"]["toolkit.attempt"],
                "artifacts": sorted(entry["path"] for entry in machine.show(part["run_id"])["artifacts"]),
            }
            for part in parts
        ],
        "flow": machine.flow_state(run),
        "tasks": machine.task_states(run),
    }


def run_file(machine: Machine, file: Path, *options: str) -> Done:
    """Run a flow's file with Python, as its reader does."""
    done = subprocess.run(
        [sys.executable, str(file), *options],
        cwd=file.parent,
        env=machine.variables(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Done(code=done.returncode, out=done.stdout, err=done.stderr)


def test_a_flow_file_runs_to_the_same_results(machine: Machine, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", PROJECT)
    written = machine.toolkit("compile", "project", "-o", "flow.py", cwd=tmp_path)
    assert written.code == 0, written.err
    assert machine.toolkit("compile", "project", "-o", "flow.py", cwd=tmp_path).code == 2, "it was overwritten"
    assert machine.toolkit("compile", "project", "-o", "flow.py", "--force", cwd=tmp_path).code == 0

    slopes = "[0.5, 2.0, 2.5]"
    ran = machine.toolkit(
        *("run", str(project), "-P", f"slopes={slopes}", "-P", f"marker={tmp_path}/one", "--json"), cwd=tmp_path
    )
    assert ran.code == 0, ran.err
    options = ["--slopes", slopes, "--marker", f"{tmp_path}/two", "--run-name", "from a file"]
    alone = run_file(machine, tmp_path / "flow.py", *options)
    assert alone.code == 0, alone.err
    assert "skipped" not in alone.err.lower() or "SKIPPED" in alone.err
    theirs, ours = results(machine, ran.json["run_id"]), results(machine, "from a file")
    assert [part["name"] for part in ours["parts"]].count("flaky") == 2
    assert ours == theirs


def test_a_flow_file_fails_as_the_project_does(machine: Machine, tmp_path: Path) -> None:
    write_project(tmp_path, PROJECT)
    assert machine.toolkit("compile", ".", "-w", "broken", "-o", "broken.py", cwd=tmp_path).code == 0
    ran = machine.toolkit("run", ".", "-w", "broken", "--json", cwd=tmp_path)
    alone = run_file(machine, tmp_path / "broken.py", "--run-name", "broken file")
    assert (ran.code, alone.code) == (1, 1), alone.err
    assert "timeout of 1 s" in alone.err
    assert "– say  needs slow" in alone.err
    assert "Traceback" not in alone.err
    assert results(machine, "broken file") == results(machine, ran.json["run_id"])


def test_a_mistake_on_a_flow_files_command_line_is_said(machine: Machine, tmp_path: Path) -> None:
    write_project(tmp_path, PROJECT)
    assert machine.toolkit("compile", ".", "-o", "flow.py", cwd=tmp_path).code == 0
    missing = run_file(machine, tmp_path / "flow.py")
    assert missing.code == 2
    assert "--marker" in missing.err
    wrong = run_file(machine, tmp_path / "flow.py", "--marker", "x", "--loud", "perhaps")
    assert wrong.code == 2
    assert wrong.err.startswith("error: parameter 'loud' is 'perhaps'")


EDITED = """
from toolkit.workflow import Workflow, best

workflow = Workflow("edited")
double = workflow.step(
    "double", command="echo $(({n} * 2)) > out.txt", parameters={"n": "int"}, outputs={"out": "out.txt"}
)
show = workflow.step("show", command="cat {file}", parameters={"file": "path"})


@workflow.flow
def main(n: int = 2, broken: bool = False) -> None:
    first = double(n=n)
    if broken:
        raise ValueError("my own mistake")
    show.submit(file=first.outputs["out"])
    for k in range(2):
        double.submit(n=k)


if __name__ == "__main__":
    workflow.main(main)
"""


@pytest.mark.parametrize("broken", [False, True])
def test_a_flow_that_a_person_has_written_is_a_run(machine: Machine, tmp_path: Path, broken: bool) -> None:
    (tmp_path / "edited.py").write_text(EDITED)
    name = f"edited {broken}"
    done = run_file(machine, tmp_path / "edited.py", "--n", "4", "--broken", str(broken), "--run-name", name)
    run = machine.show(name)
    parts = sorted(part["run_name"] for part in run["children"])
    if broken:
        assert done.code == 1
        assert "edited.py:15" in done.err
        assert "my own mistake" in done.err
        assert "Traceback" not in done.err
        assert (run["status"], machine.flow_state(run), parts) == ("FAILED", "FAILED", ["double"])
    else:
        assert done.code == 0, done.err
        assert "show | 8" in done.err
        assert (run["status"], run["params"]) == ("FINISHED", {"n": "4", "broken": "False"})
        assert parts == ["double", "double #2", "double #3", "show"]


OUTER = """
import edited, prefect

@prefect.flow
def outer():
    edited.main(n=1)

if __name__ == "__main__":
    outer()
"""


def test_a_flow_file_is_a_part_of_another_flow_and_its_run_is_tracked(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "edited.py").write_text(EDITED.replace('"edited"', '"inner"'))
    (tmp_path / "outer.py").write_text(OUTER)
    done = subprocess.run(
        [sys.executable, "outer.py"],
        cwd=tmp_path,
        env=machine.variables(PREFECT_API_URL=machine.api_url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (run,) = [one for one in machine.runs() if one["tags"].get("toolkit.workflow") == "inner"]
    assert machine.flow_state(machine.show(run["run_id"])) == "COMPLETED"


@pytest.mark.parametrize("template", ["workflow", "python"])
def test_a_new_project_runs_at_once(machine: Machine, tmp_path: Path, template: str) -> None:
    assert machine.toolkit("init", "new", "--template", template, cwd=tmp_path).code == 0
    done = machine.toolkit("run", "new", "--json", "--env-manager", "local", cwd=tmp_path)
    assert done.code == 0, done.err
    assert set(done.statuses().values()) == {"FINISHED"}
    assert "on data that the model has not seen" in done.err
