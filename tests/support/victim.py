"""A server that is killed, stopped, starved and started again: `toolkit server` as a process with a log of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from toolkit.settings import environment

PATIENCE = 60.0
"""Seconds after which something that must happen has not."""


@dataclass(kw_only=True)
class Victim:
    """A server, dead or alive.

    Attributes:
        home: Its home.
        options: Of the command.
        variables: Of its environment.
        prefix: What it is started with, such as a namespace.
        port: Where it listens, once it was started: the same after each start.
    """

    home: Path
    options: Sequence[str] = ()
    variables: dict[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _workers: list[psutil.Process] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.home.with_name(f"{self.home.name}.log")

    @property
    def said(self) -> str:
        """What it has written, over all its lives."""
        return self.log.read_text(errors="replace")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Start it, and wait until it serves."""
        before = self.log.stat().st_size if self.log.exists() else 0
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "toolkit", "server", "--port", str(self.port), *self.options],
                env=environment(TOOLKIT_HOME=str(self.home), **self.variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        limit = time.monotonic() + PATIENCE
        while not (found := re.search(r"serving http://127\.0\.0\.1:(\d+)", self.log.read_text()[before:])):
            assert self._process.poll() is None, self.said[before:]
            assert time.monotonic() < limit, self.said
            time.sleep(0.02)
        self.port = int(found[1])

    def workers(self) -> list[psutil.Process]:
        """Return the processes that serve; the first one itself where it is alone."""
        return psutil.Process(self.process.pid).children() or [psutil.Process(self.process.pid)]

    def kill(self) -> None:
        """``kill -9`` its first process; wait until it and what hangs on it are gone."""
        processes = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children()]
        self.process.kill()
        self.process.wait()
        _, alive = psutil.wait_procs(processes[1:], timeout=PATIENCE)
        assert not alive, f"outlived its first process: {alive}"

    def stop(self) -> int:
        """End it in order; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        """End whatever still runs."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@contextlib.contextmanager
def victim(home: Path, *options: str, prefix: Sequence[str] = (), **variables: str) -> Iterator[Victim]:
    """Start a server for a block."""
    made = Victim(home=home, options=options, prefix=prefix, variables=variables)
    try:
        made.start()
        yield made
    finally:
        made.end()
