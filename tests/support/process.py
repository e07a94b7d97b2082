"""`toolkit server` as a process."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from toolkit.settings import environment


@dataclass(kw_only=True)
class ServerProcess:
    """A server that runs.

    Attributes:
        process: Its first process.
        url: What it says that it serves.
        said: The lines that it has written on stderr, once it has ended.
    """

    process: subprocess.Popen[str]
    url: str
    said: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    @property
    def workers(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def call(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def api(self, name: str, body: object) -> Any:  # noqa: ANN401 - a JSON document
        status, text = self.call("POST", f"/api/2.0/mlflow/{name}", body)
        assert status == 200, text
        return json.loads(text)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=120)
        self.said += rest.splitlines()
        return self.process.returncode


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "toolkit", "server", *options]


def refused(home: Path, *options: str) -> tuple[int, str]:
    """Call it; return the exit code and what it says where it does not serve."""
    done = subprocess.run(
        command(*options),
        env=environment(TOOLKIT_HOME=str(home)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@contextlib.contextmanager
def server_process(home: Path, *options: str, **variables: str) -> Iterator[ServerProcess]:
    """Run a server on a free port for a block."""
    process = subprocess.Popen(
        command("--port", "0", *options),
        env=environment(TOOLKIT_HOME=str(home), **variables),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        said = []
        while not (found := re.match(r"serving (\S+) from", line := process.stderr.readline())):
            said.append(line.rstrip())
            assert line, f"the server ended: {said}"
        yield ServerProcess(process=process, url=found[1], said=said)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
