"""Waiting for a local server that was started, and the port for it."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import ServiceError
from toolkit.flows.environments.prepared import Report
from toolkit.flows.service_process import ServiceProcess

HOST = "127.0.0.1"
_LOG_LINES = 12


class PortTaken(Exception):
    """The port was taken between choosing it and listening on it."""


def choose_port(*preferred: int) -> int:
    """Return a free port: the first of the preferred ones that is, else any."""
    for port in (*preferred, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise ServiceError(f"there is no free port on {HOST}")


def healthy(port: int, path: str, answer: bytes, *, timeout: float) -> bool:
    """Tell whether what listens on a port of this machine answers that it is well.

    Args:
        port: The port.
        path: What to ask for.
        answer: What it says then, at most 16 bytes.
        timeout: Seconds that it gets.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status == 200 and response.read(16) == answer
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class Starting:
    """A server that was started and does not answer yet.

    Attributes:
        title: What it is called in messages.
        process: Its process.
        port: Its port.
        log: Where its output goes.
        answers: Tells whether it is well.
        timeout: Seconds that it gets.
        progress_every: Seconds between two lines of progress.
    """

    title: str
    process: ServiceProcess
    port: int
    log: Path
    answers: Callable[[int], bool]
    timeout: float
    progress_every: float = 4.0

    def wait(self, report: Report, *, note: str = "") -> None:
        """Wait until it answers, saying so from time to time.

        Args:
            report: Takes lines of progress.
            note: What else to say of it.

        Raises:
            PortTaken: It ended because another program listens on its port.
            ServiceError: It ended, or did not answer in time and was ended; the message has its last lines.
        """
        report(f"starting {self.title}{note}")
        begun = said = time.monotonic()
        while True:
            if self.answers(self.port) and self.process.listens_on(self.port):
                return
            if not self.process.is_alive():
                if choose_port(self.port) != self.port:
                    raise PortTaken
                raise ServiceError(self._failure("ended while it started"))
            if time.monotonic() - begun > self.timeout:
                self.process.stop(grace=2.0)
                raise ServiceError(self._failure(f"did not answer within {self.timeout:.0f} s"))
            if time.monotonic() - said >= self.progress_every:
                said = time.monotonic()
                report(f"starting {self.title}{note} … {said - begun:.0f} s")
            time.sleep(0.03)

    def _failure(self, what: str) -> str:
        try:
            lines = [line.rstrip() for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()]
        except OSError:
            lines = []
        shown = "".join(f"\n    {line}" for line in [line for line in lines if line][-_LOG_LINES:])
        title = self.title[:1].upper() + self.title[1:]
        return f"{title} {what}; all that it said is in {self.log}, its last lines:{shown}"
