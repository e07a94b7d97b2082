"""Results that are taken over, from the command line to Prefect's pages."""

from __future__ import annotations

from pathlib import Path

from machine import Machine, write_project

PROJECT = """
name: {name}
entry_points:
  prepare:
    parameters: {{size: {{type: int, default: 3}}}}
    command: "seq {{size}} > data.txt"
    outputs: {{data: data.txt}}
  train:
    parameters: {{data: path, alpha: float}}
    command: |
      test {{alpha}} != 0.5 || test -e mended
      cp {{data}} model.txt
      echo '{{{{"error": 1}}}}' > metrics.json
    strict: true
    outputs: {{model: model.txt}}
    metrics: metrics.json
workflows:
  main:
    parameters: {{alphas: {{type: list, default: [0.1, 0.5]}}}}
    cache: true
    steps:
      prepare: {{}}
      train:
        foreach: {{alpha: "${{{{ parameters.alphas }}}}"}}
        parameters: {{data: "${{{{ steps.prepare.outputs.data }}}}"}}
"""


def test_a_workflow_stops_goes_on_and_is_taken_over_as_a_whole(machine: Machine, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "cached", PROJECT.format(name="cached"))
    first = machine.toolkit("run", str(folder), "--json", cwd=tmp_path)
    assert first.code == 1, first.err
    assert first.statuses() == {"prepare": "FINISHED", "train alpha=0.1": "FINISHED", "train alpha=0.5": "FAILED"}

    (folder / "mended").touch()
    resumed = machine.toolkit("run", "--resume", first.json["run_id"], "--json", cwd=tmp_path)
    assert resumed.code == 0, resumed.err
    assert "the code has changed since run" in resumed.err
    taken = {step["label"]: step["cached_from"] for step in resumed.json["steps"]}
    runs = {step["label"]: step["run_id"] for step in first.json["steps"]}
    assert taken == {**runs, "train alpha=0.5": None}
    run = machine.show(resumed.json["run_id"])
    assert run["tags"]["toolkit.resumed_from"] == first.json["run_id"]
    assert machine.flow_state(run) == "COMPLETED"
    shown = machine.toolkit("runs", "show", resumed.json["run_id"], cwd=tmp_path).out
    assert f"goes on     where run {first.json['run_id']} stopped" in shown
    assert "train alpha=0.1  FINISHED" in shown
    assert "(cached)  error=1" in shown

    second = machine.toolkit("run", str(folder), "--refresh", "prepare", "--json", cwd=tmp_path)
    third = machine.toolkit("run", str(folder), "--json", cwd=tmp_path)
    assert second.code == third.code == 0, second.err + third.err
    assert all(step["cached_from"] for step in third.json["steps"])
    assert "taken over from run" in third.err
    assert "FINISHED (cached)" in third.err
    run = machine.show(third.json["run_id"])
    assert set(machine.task_states(run).values()) == {"COMPLETED"}
    wanted = {"flow_runs": {"id": {"any_": [run["tags"]["prefect.flow_run_id"]]}}}
    assert {task["state"]["name"] for task in machine.prefect("task_runs/filter", wanted)} == {"Cached"}
    told = machine.toolkit("runs", "why-cached", third.json["run_id"], cwd=tmp_path)
    assert told.out.count("its results were taken over from run") == 3
    (explained,) = machine.toolkit("runs", "why-cached", third.json["steps"][0]["run_id"], "--json", cwd=tmp_path).json[
        "runs"
    ]
    assert (explained["state"], explained["taken_from"]) == ("hit", third.json["steps"][0]["cached_from"])
