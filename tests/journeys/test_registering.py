"""A workflow that trains, chooses and registers: from the command, and from the Python that it was written to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from machine import Machine, write_project

PROJECT = """
name: registers
entry_points:
  train:
    parameters: {alpha: {type: float, default: 0.5}}
    command: "mkdir model && echo 'flavors: {{}}' > model/MLmodel && echo '{{\\"rmse\\": {alpha}}}' > m.json"
    outputs: {model: model}
    metrics: m.json
workflows:
  main:
    parameters: {limit: {type: float, default: 0.8}}
    steps:
      train:
        foreach: {alpha: [0.1, 0.5]}
      promote:
        register:
          model: journey
          from: "${{ best(steps.train, 'rmse', 'min').outputs.model }}"
          alias: champion
          description: "rmse ${{ best(steps.train, 'rmse', 'min').metrics.rmse }}"
        when: "${{ best(steps.train, 'rmse', 'min').metrics.rmse < parameters.limit }}"
      first:
        entry_point: train
        register: {model: journey-first, from: model}
"""


def test_the_best_model_is_registered(machine: Machine, tmp_path: Path) -> None:
    write_project(tmp_path, PROJECT)
    done = machine.toolkit("run", ".", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "promote: registered journey/1 (@champion)" in done.err
    run = machine.show(done.json["run_id"])
    steps = {child["run_name"]: child for child in run["children"]}
    promote = machine.show(steps["promote"]["run_id"])
    assert promote["tags"]["toolkit.registered_version"] == "journey/1"
    best = steps["train alpha=0.1"]["run_id"]
    assert promote["params"]["from"] == f"runs:/{best}/model"
    shown = machine.toolkit("registry", "show", "journey@champion", "--json", cwd=tmp_path).json
    assert (shown["version"], shown["run_id"], shown["description"]) == (1, best, "rmse 0.1")
    own = machine.toolkit("registry", "show", "journey-first/1", "--json", cwd=tmp_path).json
    assert own["source"] == f"runs:/{steps['first']['run_id']}/model"
    again = machine.toolkit("reproduce", done.json["run_id"], cwd=tmp_path)
    assert again.code == 0, again.err
    assert "not registered again" in again.err
    skipped = machine.toolkit("run", ".", "-P", "limit=0.05", "--json", cwd=tmp_path)
    assert skipped.statuses()["promote"] == "SKIPPED"
    assert len(machine.toolkit("registry", "list", "journey", "--json", cwd=tmp_path).json["versions"]) == 1


def test_the_same_as_python(machine: Machine, tmp_path: Path) -> None:
    write_project(tmp_path, PROJECT.partition("      first:")[0].replace("model: journey", "model: journey-python"))
    assert machine.toolkit("compile", ".", "-o", "flow.py", cwd=tmp_path).code == 0
    done = subprocess.run(
        [sys.executable, "flow.py"],
        cwd=tmp_path,
        env=machine.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = machine.toolkit("registry", "show", "journey-python@champion", "--json", cwd=tmp_path).json
    assert (shown["version"], shown["description"]) == (1, "rmse 0.1")


def test_what_goes_on_after_a_failure_registers_nothing_again(machine: Machine, tmp_path: Path) -> None:
    """And later steps are told the version that there is."""
    project = PROJECT.partition("workflows:")[0].replace("entry_points:", "entry_points:\n" + LATER)
    write_project(tmp_path, project + STEPS)
    failed = machine.toolkit("run", ".", "--json", cwd=tmp_path)
    assert failed.statuses() == {"train": "FINISHED", "promote": "FINISHED", "use": "FAILED"}
    (tmp_path / "ready").touch()
    done = machine.toolkit("run", ".", "--resume", failed.json["run_id"], "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "use | models:/journey-resumed/1" in done.err
    steps = {child["run_name"]: child for child in machine.show(done.json["run_id"])["children"]}
    tags = machine.show(steps["promote"]["run_id"])["tags"]
    assert tags["toolkit.registered_version"] == "journey-resumed/1"
    versions = machine.toolkit("registry", "list", "journey-resumed", "--json", cwd=tmp_path).json["versions"]
    assert len(versions) == 1


LATER = """  use:
    parameters: {uri: string}
    command: "echo {uri} && test -e ready"
"""
STEPS = """workflows:
  main:
    steps:
      train: {}
      promote: {register: {model: journey-resumed, from: "${{ steps.train.outputs.model }}"}}
      use: {parameters: {uri: "${{ steps.promote.parameters.uri }}"}}
"""
