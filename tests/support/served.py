"""Models that are served for real: trained, registered, built, and run by ``bentoml serve`` in processes of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from toolkit.settings import environment

_START = 300.0  # seconds: a machine may be busy
_ANSWER = 300.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a service answered.

    Attributes:
        status: HTTP's.
        headers: By their names in small letters.
        body: The body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - a JSON document
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Where models are trained and Bentos are built.

    Attributes:
        folder: Toolkit's home and BentoML's are below it.
    """

    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        return {
            "TOOLKIT_HOME": str(self.folder / "home"),
            "BENTOML_HOME": str(self.folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
        }

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a program of Python's here; return what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment(**self.variables),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == code, f"{arguments}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def toolkit(self, *arguments: str, code: int = 0) -> str:
        return self.run("-m", "toolkit", *arguments, code=code)


@dataclass(frozen=True, kw_only=True)
class Served:
    """A service that runs.

    Attributes:
        process: Its first process.
        port: Where it answers, on 127.0.0.1.
        log: What it has said.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ANSWER)
        try:
            connection.request(method, path, body, dict(headers or {}))
            got = connection.getresponse()
            named = {name.lower(): value for name, value in got.getheaders()}
            return Answer(status=got.status, headers=named, body=got.read())
        finally:
            connection.close()

    def score(self, body: object, kind: str | None = "application/json", path: str = "/invocations") -> Answer:
        """Send rows: bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.call("POST", path, data, {} if kind is None else {"Content-Type": kind})

    def ready(self) -> bool:
        try:
            return self.call("GET", "/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def workers(self) -> list[psutil.Process]:
        """The processes that hold the model: those below the first that listen or serve."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return [each for each in below if "_bentoml_impl.worker.service" in " ".join(_command(each))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


@contextlib.contextmanager
def serving(workshop: Workshop, tag: str, *arguments: str, **variables: str) -> Iterator[Served]:
    """Run ``bentoml serve`` for a block.

    Args:
        workshop: Where the Bento is.
        tag: The Bento's.
        arguments: Further ones.
        variables: Of its environment.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = workshop.folder / f"serve-{port}"
    folder.mkdir()
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("bentoml")), "serve", tag, "--port", str(port), *arguments],
            cwd=folder,
            env=environment(**{**workshop.variables, **variables}),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    served = Served(process=process, port=port, log=log)
    try:
        wait_for(served.ready, f"{tag} did not begin to answer", log, process)
        yield served
    finally:
        end(process)


def wait_for(condition: Any, what: str, log: Path | None = None, process: Any = None) -> None:  # noqa: ANN401 - a callable, a process
    """Wait until something is so."""
    until = time.monotonic() + _START
    while not condition():
        said = "" if log is None else log.read_text(errors="replace")[-3_000:]
        assert process is None or process.poll() is None, f"{what}: it ended\n{said}"
        assert time.monotonic() < until, f"{what} in {_START:.0f} s\n{said}"
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process in order if it can, and all of its group by force."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
