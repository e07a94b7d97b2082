"""What a journey needs: a home with a real Prefect server, `toolkit` as a process, and what Prefect says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

from toolkit.settings import environment

T = TypeVar("T")
PROGRAMS = Path(sys.executable).parent


def until(look: Callable[[], T | None], *, what: str, seconds: float = 180) -> T:
    """Look again and again until there is something to see."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"after {seconds} s: still not {what}")


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command said: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - a JSON document
        return json.loads(self.out)

    def statuses(self) -> dict[str, str]:
        """Return the status of each step of ``toolkit run --json``, by label."""
        return {step["label"]: step["status"] for step in self.json["steps"]}


@dataclass(kw_only=True)
class Machine:
    """A home and what goes on in it.

    Attributes:
        home: ``TOOLKIT_HOME``.
        started: The processes that a test has started in the background.
    """

    home: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def variables(self, **more: str) -> dict[str, str]:
        return environment(
            TOOLKIT_HOME=str(self.home), PATH=f"{PROGRAMS}:{os.environ['PATH']}", TOOLKIT_GRACE="3"
        ) | dict(more)

    def start(self, *arguments: str, cwd: Path, **variables: str) -> subprocess.Popen[str]:
        """Start ``toolkit`` in the background, in a process group of its own as a shell does."""
        process = subprocess.Popen(
            [sys.executable, "-m", "toolkit", *arguments],
            cwd=cwd,
            env=self.variables(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self.started.append(process)
        return process

    def end(self, process: subprocess.Popen[str]) -> Done:
        """Wait for the end of a process."""
        out, err = process.communicate(timeout=400)
        return Done(code=process.returncode, out=out, err=err)

    def toolkit(self, *arguments: str, cwd: Path, **variables: str) -> Done:
        """Call ``toolkit`` and wait for its end."""
        return self.end(self.start(*arguments, cwd=cwd, **variables))

    def show(self, run: str) -> Any:  # noqa: ANN401 - a JSON document
        """Return what ``toolkit runs show --json`` says of a run."""
        done = self.toolkit("runs", "show", run, "--json", cwd=self.home)
        assert done.code == 0, done.err
        return done.json

    def runs(self, *options: str) -> list[Any]:
        """Return what ``toolkit runs list --json`` says."""
        found: list[Any] = self.toolkit("runs", "list", "--json", *options, cwd=self.home).json["runs"]
        return found

    @property
    def api_url(self) -> str:
        services = json.loads((self.home / "services.json").read_text())["services"]
        (url,) = [service["url"] for service in services if service["name"] == "prefect"]
        return f"{url}/api"

    def prefect(self, path: str, body: object | None = None) -> Any:  # noqa: ANN401 - a JSON document
        """Ask Prefect's server over HTTP; with ``body``: a POST, with the token that its server wants."""
        headers = {"Content-Type": "application/json"}
        if body is not None:
            with urllib.request.urlopen(f"{self.api_url}/csrf-token?client=tests", timeout=20) as answer:
                headers |= {"Prefect-Csrf-Token": json.load(answer)["token"], "Prefect-Csrf-Client": "tests"}
        request = urllib.request.Request(
            f"{self.api_url}/{path}", headers=headers, data=None if body is None else json.dumps(body).encode()
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def flow_state(self, run: Any) -> str:  # noqa: ANN401 - a JSON document
        """Return the type of Prefect's state for a run's flow run."""
        identity = run["tags"]["prefect.flow_run_id"]
        return str(self.prefect(f"flow_runs/{identity}")["state"]["type"])

    def task_states(self, run: Any) -> dict[str, str]:  # noqa: ANN401 - a JSON document
        """Return the types of Prefect's states for the steps of a run, by label."""
        wanted = {"flow_runs": {"id": {"any_": [run["tags"]["prefect.flow_run_id"]]}}}
        return {task["name"]: task["state"]["type"] for task in self.prefect("task_runs/filter", wanted)}

    def clean_up(self) -> None:
        """End what a test that failed has left."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        self.started.clear()


def processes_of(home: Path) -> list[psutil.Process]:
    """Return the processes that live in a home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TOOLKIT_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def servers_of(home: Path) -> list[psutil.Process]:
    """Return the processes of a home that are Prefect's server; others come and go while one looks."""
    found = []
    for process in processes_of(home):
        with suppress(psutil.Error, OSError):
            if "server" in process.cmdline() and "toolkit" not in process.cmdline():
                found.append(process)
    return found


def has_ended(pid: int) -> bool:
    """Tell whether a process is gone; one that only waits to be reaped is."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def write_project(folder: Path, text: str, **files: str) -> Path:
    """Write a project and its files (``name_py`` is ``name.py``)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MLproject").write_text(text)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder
