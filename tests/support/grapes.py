"""A project whose workflow fails in several ways, run for real, and a server whose pages show it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from machine import Machine, write_project
from server import Server, serving

PROJECT = """
name: grapes
entry_points:
  prepare:
    command: "python steps.py prepare"
    outputs: {data: data.txt}
  train:
    parameters: {data: path, alpha: float}
    command: "python steps.py train {data} {alpha}"
    outputs: {model: model.txt}
    metrics: metrics.json
  flaky: {command: "python steps.py flaky"}
  check: {parameters: {data: path}, command: "python steps.py check {data}"}
  ship: {parameters: {model: path}, command: "python steps.py ship {model}"}
  report: {command: "python steps.py report"}
workflows:
  main:
    parameters: {report: {type: bool, default: false}}
    steps:
      prepare: {}
      train:
        foreach: {alpha: [0.1, 0.5, 0.9]}
        parameters: {data: "${{ steps.prepare.outputs.data }}"}
      flaky: {retries: 1}
      check: {parameters: {data: "${{ steps.prepare.outputs.data }}"}, needs: [flaky]}
      ship: {parameters: {model: "${{ best(steps.train, 'error', 'min').outputs.model }}"}, needs: [check]}
      report: {needs: [prepare], when: "${{ parameters.report }}"}
"""
STEPS = """
import json, os, sys, time
from pathlib import Path

what, *given = sys.argv[1:]
home = Path(os.environ["TOOLKIT_HOME"])
print(f"{what} begins")
if what == "prepare":
    Path("data.txt").write_text("1 2 3")
elif what == "train":
    Path("model.txt").write_text(given[1])
    Path("metrics.json").write_text(json.dumps({"error": abs(float(given[1]) - 0.4)}))
elif what == "flaky":
    mark = home / os.environ["TOOLKIT_PARENT_RUN_ID"]
    if not mark.exists():
        mark.touch()
        sys.exit("ConnectionError: not yet")
elif what == "check":
    if not (home / "mended").exists():
        sys.exit("KeyError: 'no column <script>alert(1)</script> in the data'")
    end = time.monotonic() + 300
    while not (home / "go").exists() and time.monotonic() < end:
        time.sleep(0.05)
"""


@dataclass(frozen=True)
class Ran:
    """A server whose store has the runs, and what ran them.

    Attributes:
        server: The server.
        machine: The home.
        folder: Where the project is.
        failed: The run that failed.
    """

    server: Server
    machine: Machine
    folder: Path
    failed: str


@contextlib.contextmanager
def grapes(folder: Path) -> Iterator[Ran]:
    """Run the project, and serve what comes of it."""
    write_project(folder / "project", PROJECT, steps_py=STEPS)
    machine = Machine(home=folder / "home")
    try:
        done = machine.toolkit("run", "project", "--json", cwd=folder)
        assert done.code == 1, done.err
        with serving(machine.home) as server:
            yield Ran(server=server, machine=machine, folder=folder, failed=done.json["run_id"])
    finally:
        machine.clean_up()
        machine.toolkit("down", cwd=folder)
