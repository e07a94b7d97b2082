"""A run that is made again, from the command line to what it says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from machine import Machine, write_project
from process import server_process
from repositories import git

PROJECT = """
name: again
{environment}
entry_points:
  prepare:
    parameters: {{raw: path}}
    command: "sort {{raw}} > data.txt"
    outputs: {{data: data.txt}}
  train:
    parameters: {{data: path, alpha: float}}
    command: "python train.py {{data}} {{alpha}}"
    outputs: {{model: model.txt}}
    metrics: metrics.json
workflows:
  main:
    parameters: {{raw: path}}
    cache: true
    steps:
      prepare: {{parameters: {{raw: "${{{{ parameters.raw }}}}"}}}}
      train:
        foreach: {{alpha: [0.1, 0.5]}}
        parameters: {{data: "${{{{ steps.prepare.outputs.data }}}}"}}
"""
TRAIN = """
import json, os, sys
alpha = float(sys.argv[2])
open("model.txt", "w").write(open(sys.argv[1]).read() * 2 + str(os.getpid()))
json.dump({"rmse": alpha / 3, "pid": os.getpid()}, open("metrics.json", "w"))
"""


def test_a_workflow_is_made_again_after_its_code_has_changed(machine: Machine, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "again", PROJECT.format(environment=""), train_py=TRAIN)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    raw = tmp_path / "raw.csv"
    raw.write_text("3\n1\n2\n")
    first = machine.toolkit("run", "again", "-P", "raw=raw.csv", "--json", cwd=tmp_path)
    assert first.code == 0, first.err
    old = first.json["run_id"]
    (folder / "train.py").write_text("raise SystemExit('this is not what ran')\n")
    git(folder, "commit", "-qam", "another")

    differs = machine.toolkit("reproduce", old[:12], "--json", cwd=folder)
    assert differs.code == 1, differs.err
    told = differs.json
    assert (told["same"], told["status"], told["notes"]) == (False, "FINISHED", [])
    rows = {(row["step"], row["metric"]): row for row in told["metrics"]}
    assert {key: row["within"] for key, row in rows.items()} == {
        ("train alpha=0.1", "pid"): False,
        ("train alpha=0.1", "rmse"): True,
        ("train alpha=0.5", "pid"): False,
        ("train alpha=0.5", "rmse"): True,
    }
    pid = rows["train alpha=0.1", "pid"]
    assert pid["new"] - pid["old"] == pid["difference"]
    outputs = {(row["step"], row["path"]): row["same"] for row in told["outputs"]}
    assert outputs == {
        ("prepare", "data.txt"): True,
        ("train alpha=0.1", "model.txt"): False,
        ("train alpha=0.5", "model.txt"): False,
    }
    assert "not reproduced: 2 of 4 metrics beyond the tolerance; 2 of 3 files differ (not counted" in differs.err
    new = machine.show(told["new_run_id"])
    assert new["tags"]["toolkit.reproduced_from"] == old
    assert new["tags"]["toolkit.reproduction"] == "different"
    assert new["tags"]["mlflow.source.git.commit"] == machine.show(old)["tags"]["mlflow.source.git.commit"]
    origins = {step["label"]: step["run_id"] for step in first.json["steps"]}
    links = {child["run_name"]: child["tags"]["toolkit.reproduced_from"] for child in new["children"]}
    assert links == origins
    assert (
        f"repeats     run {old}, and came to different results"
        in machine.toolkit("runs", "show", new["run_id"], cwd=tmp_path).out
    )
    kept = machine.toolkit("artifacts", "get", new["run_id"], "reproduction/report.json", cwd=tmp_path)
    assert kept.code == 0, kept.err
    assert json.loads((tmp_path / "reproduction" / "report.json").read_text())["same"] is False

    alone = origins["train alpha=0.5"]
    same = machine.toolkit("reproduce", alone, "--tolerance", "pid=1e9", "-q", "--keep", cwd=tmp_path)
    assert same.code == 0, same.err
    assert "train alpha=0.5\trmse\t0.166667\t0.166667\t0\t0\t\n" in same.out
    assert [line.split("\t")[0] for line in same.out.splitlines() if "alpha=0.1" in line] == []
    assert "reproduced: metrics agree" in same.err

    before = len(machine.runs("--all"))
    raw.write_text("another\n")
    refused = machine.toolkit("reproduce", old, "--json", cwd=tmp_path)
    assert (refused.code, refused.json["reproducible"]) == (2, False)
    assert [one["kind"] for one in refused.json["problems"]] == ["inputs"]
    assert f"error: run {old} cannot be reproduced: 'raw' of step 'prepare' is not as it was: {raw}" in refused.err
    assert len(machine.runs("--all")) == before
    raw.unlink()
    (tmp_path / "moved.csv").write_text("3\n1\n2\n")
    found = machine.toolkit("reproduce", old, "--check", "--input", "raw=moved.csv", cwd=tmp_path)
    assert (found.code, found.out) == (0, ""), found.err
    assert "can be reproduced" in found.err


def test_a_project_without_git_is_made_again_over_http_when_all_of_it_is_gone(machine: Machine, tmp_path: Path) -> None:
    """The code is in the snapshot, the environment in the lock, both with the server."""
    folder = write_project(
        tmp_path / "again",
        PROJECT.format(environment="python_env: env.yaml"),
        train_py=TRAIN,
        env_yaml="python: '3.11'",
    )
    raw = tmp_path / "raw.csv"
    raw.write_text("3\n1\n2\n")
    with server_process(tmp_path / "server") as server:
        address = {"TOOLKIT_TRACKING_URI": server.url}
        first = machine.toolkit("run", "again", "-P", "raw=raw.csv", "--json", cwd=tmp_path, **address)
        assert first.code == 0, first.err
        shutil.rmtree(folder)
        shutil.rmtree(machine.home / "envs")
        again = machine.toolkit(
            "reproduce", first.json["run_id"], "--tolerance", "pid=1e9", "--json", cwd=tmp_path, **address
        )
        assert again.code == 0, again.err
        assert again.json["same"] is True
        assert "building environment" in again.err
        server.stop()
