"""A process that goes on when we end: started detached, recognised later, ended in order."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_START_TOLERANCE = 0.015
"""Seconds by which two readings of one process's start may differ: a little more than a tick of the kernel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceProcess:
    """A detached process.

    Ids are used again, so that a process is named by its id together with its start. That is kept twice: where one
    of the two is computed from the clock, it is off as soon as the clock is set.

    Attributes:
        pid: Its process id, which is its process group's as well.
        started: When it started, seconds since 1970-01-01 UTC.
        since_boot: When it started, seconds since the machine did.
    """

    pid: int
    started: float
    since_boot: float

    def is_alive(self) -> bool:
        """Tell whether this very process is still running."""
        return self._find() is not None

    def listens_on(self, port: int) -> bool:
        """Tell whether it is this process, or a child of it, that answers on a TCP port of this machine."""
        process = self._find()
        if process is None:
            return False
        try:
            for member in (process, *process.children(recursive=True)):
                for connection in member.net_connections(kind="tcp"):
                    if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                        return True
        except psutil.AccessDenied:  # not ours to look into (macOS): it lives, which must do
            return True
        except psutil.NoSuchProcess:
            return False
        return False

    def stop(self, grace: float) -> bool:
        """End its whole process group: SIGTERM, then SIGKILL after a grace.

        Args:
            grace: Seconds between the two.

        Returns:
            Whether there was something to end.
        """
        process = self._find()
        if process is None:
            return False
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with contextlib.suppress(psutil.TimeoutExpired, psutil.NoSuchProcess):
                process.wait(timeout=patience)
            if not self.is_alive():
                break
        return True

    def _find(self) -> psutil.Process | None:
        try:
            process = psutil.Process(self.pid)
            started, since_boot = _start(process)
            gone = process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        differs = min(abs(started - self.started), abs(since_boot - self.since_boot)) > _START_TOLERANCE
        return None if gone or differs else process


def _start(process: psutil.Process) -> tuple[float, float]:
    """Return when a process started, since 1970 and since the machine's start, in seconds."""
    started = process.create_time()
    return started, started - psutil.boot_time()


def start(command: Sequence[str], *, environment: Mapping[str, str], directory: Path, log: Path) -> ServiceProcess:
    """Start a detached process: in a session of its own, without input, its output in a file.

    Args:
        command: Program and arguments.
        environment: All of its environment variables.
        directory: Its working directory.
        log: Where its output goes; the file that was there before is kept as ``<name>.1``.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_name(log.name + ".1"))
    with log.open("wb") as output:
        log.chmod(0o600)
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started, since_boot = _start(psutil.Process(process.pid))
    process.returncode = 0  # it is nobody's child any more: keeps Popen from complaining that it still runs
    return ServiceProcess(pid=process.pid, started=started, since_boot=since_boot)
