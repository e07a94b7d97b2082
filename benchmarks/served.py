"""The servers that `benchmarks/server.py` drives in turn: MLflow's, ours, and one that does nothing (the limit)."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.plain_client import Plain

NOTHING = """
import asyncio, sys, uvicorn
BODY = b"{}"
START = {"type": "http.response.start", "status": 200,
         "headers": [(b"content-type", b"application/json"), (b"content-length", b"2")]}
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send({"type": "http.response.body", "body": BODY})
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False, lifespan="off",
            timeout_keep_alive=600)
"""


@dataclass(frozen=True)
class Running:
    """A server that runs.

    Attributes:
        name: Of its column.
        port: On 127.0.0.1.
        process: Its first process.
        start: Seconds from its command to its first answer.
    """

    name: str
    port: int
    process: psutil.Popen
    start: float

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def processes(self) -> list[psutil.Process]:
        """Return all its processes."""
        return [self.process, *self.process.children(recursive=True)]

    def memory(self) -> tuple[float, float]:
        """Return what all its processes hold, in MB: resident, and with what they share counted once."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(process.memory_full_info())
        return sum(info.rss for info in found) / 1e6, sum(info.pss for info in found) / 1e6

    def settle(self, longest: float = 90.0) -> None:
        """Wait until it has done what it does after its start: 2 s with less than a tenth of a processor."""
        until = time.monotonic() + longest
        while time.monotonic() < until:
            before = self.cpu()
            time.sleep(2)
            if self.cpu() - before < 0.2:
                return

    def cpu(self) -> float:
        """Return the seconds of processor time that all its processes have taken."""
        total = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total


Starter = Callable[[Path], "contextlib.AbstractContextManager[Running]"]


def ours(folder: Path) -> contextlib.AbstractContextManager[Running]:
    """Start ``toolkit server`` with an SQLite file of its own."""
    command = [str(Path(sys.executable).with_name("toolkit")), "server", "--host", "127.0.0.1", "--port"]
    return _started("ours", command, {"TOOLKIT_HOME": str(folder / "home")}, folder)


def peer(python: str) -> Starter:
    """Return what starts ``mlflow server`` with an SQLite file of its own."""

    def start(folder: Path) -> contextlib.AbstractContextManager[Running]:
        command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
        command += ["--artifacts-destination", str(folder / "artifacts"), "--port"]
        return _started("MLflow", command, {}, folder)

    return start


def nothing(folder: Path) -> contextlib.AbstractContextManager[Running]:
    """Start a server that answers ``{}`` to everything: uvicorn with the parser and the loop that ours has."""
    return _started("nothing", [sys.executable, "-c", NOTHING], {}, folder)


@contextlib.contextmanager
def _started(name: str, command: list[str], more: dict[str, str], folder: Path) -> Iterator[Running]:
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TOOLKIT_", "MLFLOW_"))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    log = (folder / "server.log").open("ab")
    began = time.perf_counter()
    process = psutil.Popen(
        [*command, str(port)], env=environment | more, cwd=folder, stdout=log, stderr=log, start_new_session=True
    )
    try:
        _wait(port, process, folder / "server.log")
        yield Running(name, port, process, time.perf_counter() - began)
    finally:
        _stop(process)
        log.close()


def _wait(port: int, process: psutil.Popen, log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with contextlib.closing(Plain(port)) as client:
                if client.get("/health")[0] == 200:
                    return
        except OSError:
            time.sleep(0.005)
    sys.exit(f"the server did not start:\n{log.read_text(errors='replace')}")


def _stop(process: psutil.Popen) -> None:
    family = [process, *process.children(recursive=True)]
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.terminate()
    _, alive = psutil.wait_procs(family, timeout=10)
    for one in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(alive, timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def emptied(folder: Path) -> Path:
    """Return a folder with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
