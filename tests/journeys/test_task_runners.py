"""Steps on processes: the same results, and no server but the one that is there."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
from machine import Machine, write_project

PROJECT = """
name: spread
entry_points:
  one: {parameters: {n: {type: int, default: 0}}, command: "echo {n}"}
workflows:
  main:
    steps:
      first: {entry_point: one}
      rest: {entry_point: one, needs: [first], foreach: {n: [1, 2]}}
"""


def servers_below(process: psutil.Process, ended: threading.Event, found: set[str]) -> None:
    """Note the servers of Prefect's that a process starts."""
    while not ended.wait(0.2):
        try:
            for child in process.children(recursive=True):
                command = " ".join(child.cmdline())
                if "prefect.server" in command:
                    found.add(command)
        except psutil.Error:
            continue


def test_steps_on_processes_use_the_server_that_is_there(machine: Machine, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", PROJECT)
    assert machine.toolkit("up", cwd=project).code == 0
    running = machine.start("run", ".", "--task-runner", "processes", "--json", cwd=project)
    ended, found = threading.Event(), set[str]()
    watcher = threading.Thread(target=servers_below, args=(psutil.Process(running.pid), ended, found))
    watcher.start()
    done = machine.end(running)
    ended.set()
    watcher.join()
    assert done.code == 0, done
    assert found == set()
    assert set(done.statuses().values()) == {"FINISHED"}
    assert set(machine.task_states(machine.show(done.json["run_id"])).values()) == {"COMPLETED"}
