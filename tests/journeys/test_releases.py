"""Releases on this machine, for real: built, started, checked, asked, undone; and a workflow that ends in one."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from machine import Done, Machine, until

pytestmark = [pytest.mark.timeout(1200), pytest.mark.slow]  # Bentos are built and served, on a busy machine

SCRIPT = Path(__file__).parent / "scripts" / "register_wines.py"

PROJECT = """
name: wines
entry_points:
  smoke:
    parameters: {deployment: path}
    command: "cp {deployment} seen.json"
    outputs: {seen: seen.json}
workflows:
  main:
    parameters: {version: {type: string, default: "1"}}
    steps:
      serve:
        deploy:
          name: from-a-flow
          model: "models:/wines/${{ parameters.version }}"
          config: {timeout: 30}
          reason: "run ${{ run.name }}"
      smoke:
        parameters: {deployment: "${{ steps.serve.outputs.deployment }}"}
"""


class Asking:
    """Asks a deployment again and again, and keeps what it answers."""

    def __init__(self, address: str, body: bytes) -> None:
        self.answers: list[Any] = []
        self._ended = threading.Event()
        self._request = urllib.request.Request(
            f"{address}/invocations", data=body, headers={"Content-Type": "text/csv"}
        )
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        while not self._ended.is_set():
            try:
                with urllib.request.urlopen(self._request, timeout=300) as answer:
                    self.answers.append(json.load(answer)["predictions"])
            except OSError as error:
                self.answers.append(f"{type(error).__name__}: {error}")
            self._ended.wait(0.02)

    def end(self) -> list[Any]:
        """Ask no more; return what was answered."""
        self._ended.set()
        self._thread.join(600)
        return self.answers


@pytest.fixture
def wines(machine: Machine, tmp_path: Path) -> Machine:
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        cwd=tmp_path,
        env=machine.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return machine


def test_from_versions_to_what_serves_and_back(wines: Machine, tmp_path: Path) -> None:
    def deployments(*words: str, code: int = 0) -> Done:
        done = wines.toolkit("deployments", *words, cwd=tmp_path)
        assert done.code == code, (words, done.out, done.err)
        return done

    made = deployments("create", "-n", "wine", "-m", "models:/wines/1", "-t", "local", "--json").json
    assert (made["state"], made["release"]) == ("serving", 1)
    assert "there is a deployment wine already" in deployments("create", "-n", "wine", "-m", "wines/2", code=2).err
    first = deployments("predict", "-n", "wine", "-i", "rows.csv").out
    asking = Asking(made["address"], (tmp_path / "rows.csv").read_bytes())
    try:
        wrong = deployments("update", "-n", "wine", "-m", "wines/3", code=1).err
        assert "otherwise than the model: predictions[0] is 1, not 0; release 1 (wines/1) still serves" in wrong
        assert "Traceback" not in wrong
        assert deployments("update", "-n", "wine", "-m", "wines/2", "--reason", "milder", "--json").json["release"] == 3
        second = deployments("predict", "-n", "wine", "-i", "rows.csv").out
        back = deployments("rollback", "-n", "wine", "--json").json
        assert (back["release"], back["address"]) == (4, made["address"])
    finally:
        answers = asking.end()
    allowed = [json.loads(each)["predictions"] for each in (first, second)]
    assert [each for each in answers if each not in allowed] == []  # the bad one never had traffic, and none was lost
    assert deployments("predict", "-n", "wine", "-i", "rows.csv").out == first
    shown = deployments("show", "wine", "--json").json
    states = [(each["version"], each["state"]) for each in reversed(shown["releases"])]
    assert states == [(1, "replaced"), (3, "refused"), (2, "replaced"), (1, "serving")]
    assert shown["message"] == ""
    refused = deployments("predict", "-n", "wine", "-i", str(SCRIPT), "-f", "json", code=2).err
    assert "no JSON" in refused
    deployments("delete", "-n", "wine")
    assert "there is no deployment" in deployments("predict", "-n", "wine", "-i", "rows.csv", code=2).err
    followed(wines, tmp_path)


def followed(wines: Machine, tmp_path: Path) -> None:
    """Let a deployment follow an alias, move it, and see the supervisor follow."""
    assert wines.toolkit("registry", "alias", "wines/1", "champion", cwd=tmp_path).code == 0
    create = ("deployments", "create", "-n", "live", "-m", "wines@champion", "--follow-alias", "champion", "--json")
    made = wines.toolkit(*create, cwd=tmp_path)
    assert made.code == 0, made.err
    assert made.json["follow_alias"] == "wines@champion"
    assert wines.toolkit("registry", "alias", "wines/2", "champion", cwd=tmp_path).code == 0

    def moved() -> Any:  # noqa: ANN401 - a JSON document
        (there,) = wines.toolkit("deployments", "list", "--json", cwd=tmp_path).json["deployments"]
        return there if there["release"] == 2 else None

    there = until(moved, what="at version 2", seconds=600)
    assert (there["current"]["version"], there["address"]) == (2, made.json["address"])
    assert wines.toolkit("deployments", "delete", "-n", "live", cwd=tmp_path).code == 0


def test_a_workflow_ends_in_a_live_endpoint(wines: Machine, tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text(PROJECT)
    ran = wines.toolkit("run", ".", "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert ran.statuses() == {"serve": "FINISHED", "smoke": "FINISHED"}
    shown = wines.toolkit("deployments", "show", "from-a-flow", "--json", cwd=tmp_path).json
    assert (shown["state"], shown["config"]["timeout"]) == ("serving", 30)
    assert shown["releases"][0]["why"].startswith("run ")
    again = wines.toolkit("run", ".", "--json", cwd=tmp_path)
    assert again.code == 0, again.err
    refused = wines.toolkit("run", ".", "-P", "version=3", "--json", cwd=tmp_path)
    assert refused.code == 1
    assert refused.statuses() == {"serve": "FAILED", "smoke": "SKIPPED"}
    shown = wines.toolkit("deployments", "show", "from-a-flow", "--json", cwd=tmp_path).json
    states = [(each["version"], each["state"]) for each in shown["releases"]]
    assert states == [(3, "refused"), (1, "serving")]  # what served just so was left alone
    with urllib.request.urlopen(f"{shown['address']}/health", timeout=300) as answer:
        assert answer.status == 200
    assert wines.toolkit("deployments", "delete", "-n", "from-a-flow", cwd=tmp_path).code == 0
