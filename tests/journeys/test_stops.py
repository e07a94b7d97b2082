"""However a run is stopped, it and the flow get the right end, and no process of a step is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from machine import Machine, processes_of, servers_of, until, write_project

WAITING = """
name: waiting
entry_points:
  quick: {command: "true"}
  fail: {command: "echo 1 > failed; false"}
  wait:
    command: "trap 'echo cleaning up; exit 5' TERM; (sleep 1000) & echo $! > grandchild.pid; echo $$ > pid; wait"
  stubborn: {command: "trap '' TERM; echo $$ > pid; while true; do sleep 0.2; done"}
workflows:
  main:
    steps:
      quick: {}
      wait: {needs: [quick], retries: 3}
      after: {entry_point: quick, needs: [wait]}
  stubborn:
    steps: {stubborn: {}}
  retrying:
    steps: {fail: {retries: 5, retry_delay: 1000}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", WAITING)


def written(process: subprocess.Popen[str], file: Path) -> str:
    """Wait until a step has written a file; return what is in it."""

    def look() -> str | None:
        assert process.poll() is None, process.communicate()
        return file.read_text().strip() if file.exists() else None

    return until(look, what=f"written: {file.name}")


def started(process: subprocess.Popen[str], project: Path) -> list[psutil.Process]:
    """Wait until the waiting step runs; return its processes."""
    return [psutil.Process(int(written(process, project / name))) for name in ("pid", "grandchild.pid")]


def assert_gone(processes: list[psutil.Process]) -> None:
    _, left = psutil.wait_procs(processes, timeout=60)
    assert left == [], "processes of a step are left"


def assert_killed(machine: Machine, run: Any, reason: str) -> None:  # noqa: ANN401 - a JSON document
    assert (run["status"], run["reason"]) == ("KILLED", reason)
    children = {child["run_name"]: child["status"] for child in run["children"]}
    assert children == {"quick": "FINISHED", "wait": "KILLED"}
    assert machine.flow_state(run) == "CANCELLED"
    assert machine.task_states(run) == {"quick": "COMPLETED", "wait": "CANCELLED"}


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [(signal.SIGINT, 130, "interrupted with Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")],
)
def test_a_signal_ends_steps_run_and_flow(
    machine: Machine, project: Path, number: signal.Signals, code: int, reason: str
) -> None:
    process = machine.start("run", "--json", cwd=project)
    processes = started(process, project)
    process.send_signal(number)
    done = machine.end(process)
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert "wait | cleaning up" in done.err
    assert done.statuses() == {"quick": "FINISHED", "wait": "KILLED", "after": "SKIPPED"}
    assert_gone(processes)
    assert_killed(machine, machine.show(done.json["run_id"]), reason)


def test_ctrl_c_as_a_terminal_sends_it(machine: Machine, project: Path) -> None:
    """To the whole foreground group; the step is in a group of its own and is ended by us, in order."""
    process = machine.start("run", "--json", cwd=project)
    processes = started(process, project)
    os.killpg(process.pid, signal.SIGINT)
    done = machine.end(process)
    assert done.code == 130, done.err
    assert_gone(processes)
    assert machine.show(done.json["run_id"])["status"] == "KILLED"


def test_a_second_ctrl_c_does_not_wait_for_the_grace(machine: Machine, project: Path) -> None:
    process = machine.start("run", "-w", "stubborn", "--json", cwd=project, TOOLKIT_GRACE="1000")
    step = psutil.Process(int(written(process, project / "pid")))
    process.send_signal(signal.SIGINT)
    until(lambda: process.poll() is None and _noticed(process), what="noticed")
    process.send_signal(signal.SIGINT)
    done = machine.end(process)
    assert done.code == 130, done.err
    assert_gone([step])
    assert machine.show(done.json["run_id"])["status"] == "KILLED"


def _noticed(process: subprocess.Popen[str]) -> bool:
    """Tell whether a process has taken the signal that it was sent."""
    pending = [line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "Pnd:" in line]
    return all(int(line.split()[1], 16) & (1 << (signal.SIGINT - 1)) == 0 for line in pending)


def test_a_step_that_ignores_sigterm_is_killed_after_its_grace(machine: Machine, project: Path) -> None:
    process = machine.start("run", "-w", "stubborn", "--json", cwd=project, TOOLKIT_GRACE="0.5")
    step = psutil.Process(int(written(process, project / "pid")))
    process.send_signal(signal.SIGTERM)
    done = machine.end(process)
    assert done.code == 143, done.err
    assert_gone([step])
    assert machine.show(done.json["run_id"])["children"][0]["status"] == "KILLED"


def test_a_wait_between_two_tries_can_be_interrupted(machine: Machine, project: Path) -> None:
    process = machine.start("run", "-w", "retrying", "--json", cwd=project)
    written(process, project / "failed")
    process.send_signal(signal.SIGINT)
    done = machine.end(process)
    assert done.code == 130, done.err
    run = machine.show(done.json["run_id"])
    assert run["status"] == "KILLED"
    assert machine.flow_state(run) == "CANCELLED"


def test_a_cancellation_in_prefect_ends_steps_run_and_flow(machine: Machine, project: Path) -> None:
    process = machine.start("run", "--json", cwd=project)
    processes = started(process, project)
    run = machine.runs("-n", "1")[0]
    answer = machine.prefect(
        f"flow_runs/{run['tags']['prefect.flow_run_id']}/set_state", {"state": {"type": "CANCELLING"}}
    )
    assert answer["status"] == "ACCEPT"
    done = machine.end(process)
    assert done.code == 1, done.err
    assert_gone(processes)
    assert_killed(machine, machine.show(run["run_id"]), "cancelled in Prefect")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_decorated_flow_that_is_stopped_has_an_end(machine: Machine, tmp_path: Path, number: signal.Signals) -> None:
    script = f"""
import pathlib, time, toolkit
@toolkit.flow
def stopped_by_{number.name.lower()}():
    pathlib.Path("pid").write_text("1")
    time.sleep(1000)
stopped_by_{number.name.lower()}()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=machine.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    machine.started.append(process)
    written(process, tmp_path / "pid")
    process.send_signal(number)
    assert machine.end(process).code != 0
    run = machine.show(f"stopped_by_{number.name.lower()}")
    assert run["status"] == "KILLED"
    assert machine.flow_state(run) in ("CANCELLED", "CRASHED")


@pytest.mark.slow
def test_a_run_outlives_the_death_of_prefects_server(fresh: Machine, tmp_path: Path) -> None:
    """What was done is recorded, and the command comes to an end."""
    text = """
entry_points: {main: {command: "echo 1 > begun; until [ -e go ]; do sleep 0.05; done; echo ended"}}
"""
    project = write_project(tmp_path / "p", text)
    process = fresh.start("run", "--json", cwd=project)
    written(process, project / "begun")
    (server,) = servers_of(fresh.home)
    server.kill()
    psutil.wait_procs([server], timeout=60)
    (project / "go").touch()
    done = fresh.end(process)
    assert "Traceback" not in done.err
    assert "main | ended" in done.err
    (run,) = fresh.runs()
    assert run["status"] == "FINISHED", done.err
    assert [step["status"] for step in fresh.show(run["run_id"])["children"]] == ["FINISHED"]


def test_after_kill_9_the_next_command_cleans_up_and_says_so(machine: Machine, project: Path) -> None:
    process = machine.start("run", cwd=project)
    processes = started(process, project)
    run = machine.runs("-n", "1")[0]
    assert run["status"] == "RUNNING"
    process.kill()
    process.wait()
    assert all(step.is_running() for step in processes)
    done = machine.toolkit("runs", "list", "--json", cwd=project)
    assert f"({run['run_id']}) was lost: heartbeat_lost" in done.err
    assert_gone(processes)
    after = machine.show(run["run_id"])
    assert after["status"] == "FAILED"
    assert after["reason"].startswith("heartbeat_lost")
    assert {child["run_name"]: child["status"] for child in after["children"]} == {
        "quick": "FINISHED",
        "wait": "FAILED",
    }
    assert machine.flow_state(after) == "CRASHED"
    assert "lost" not in machine.toolkit("runs", "list", cwd=project).err


def test_two_first_runs_at_the_same_instant_share_one_server(fresh: Machine, tmp_path: Path) -> None:
    project = write_project(tmp_path / "p", "entry_points: {main: {command: 'echo ran'}}")
    both = [fresh.start("run", "--json", cwd=project) for _ in range(2)]
    ended = [fresh.end(process) for process in both]
    assert [done.code for done in ended] == [0, 0], [done.err for done in ended]
    assert len({done.json["run_id"] for done in ended}) == 2
    urls = {done.json["flow_run_url"].partition("/runs/")[0] for done in ended}
    assert len(urls) == 1
    servers = servers_of(fresh.home)
    assert len(servers) == 1
    services = json.loads((fresh.home / "services.json").read_text())["services"]
    assert [service["pid"] for service in services] == [servers[0].pid]
    assert len(fresh.runs()) == 2


def test_down_and_up_again_keep_what_was_recorded(fresh: Machine, tmp_path: Path) -> None:
    project = write_project(tmp_path / "p", "entry_points: {main: {command: 'echo ran'}}")
    first = fresh.toolkit("run", "--json", cwd=project)
    assert first.code == 0, first.err
    assert fresh.toolkit("down", cwd=project).code == 0
    assert processes_of(fresh.home) == []
    assert fresh.toolkit("status", "--json", cwd=project).json["services"][0]["state"] == "absent"
    second = fresh.toolkit("run", "--json", cwd=project)
    assert second.code == 0, second.err
    assert [fresh.flow_state(run) for run in fresh.runs()] == ["COMPLETED", "COMPLETED"]
