"""The process that keeps this machine's deployments running, as a service: how it is started and asked."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from toolkit.flows import server_start, service_process
from toolkit.flows.environments.prepared import Report
from toolkit.flows.server_start import Starting
from toolkit.flows.service_process import ServiceProcess

START_TIMEOUT = 60.0
"""Seconds that it gets to answer."""

_HEALTH_TIMEOUT = 30.0
"""Seconds after which it counts as silent, and is started again with all that it keeps: nobody is to hurry."""
_PROGRAM = "toolkit.deployments.supervisor"  # above us: it is run, not imported


def answers(port: int) -> bool:
    """Tell whether a supervisor answers on a port of this machine."""
    return server_start.healthy(port, "/ping", b"OK", timeout=_HEALTH_TIMEOUT)


def choose_port(preferred: int) -> int:
    """Return a free port: the preferred one, else any."""
    return server_start.choose_port(preferred)


def launch(home: Path, port: int, environ: Mapping[str, str]) -> ServiceProcess:
    """Start a supervisor, detached; it does not answer yet.

    Args:
        home: Toolkit's home.
        port: The port that commands come to.
        environ: The environment variables to start from.
    """
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return service_process.start(
        [sys.executable, "-P", "-m", _PROGRAM, str(home.absolute()), "--port", str(port)],
        environment=kept,
        directory=home,
        log=log_file(home),
    )


def log_file(home: Path) -> Path:
    """Return where its output goes; that of the deployments is in files of their own."""
    return home / "logs" / "deployments.log"


def wait_until_ready(
    process: ServiceProcess, port: int, home: Path, report: Report, *, timeout: float | None = None
) -> None:
    """Wait until a supervisor answers.

    Args:
        process: The supervisor.
        port: Its port.
        home: Toolkit's home.
        report: Takes lines of progress.
        timeout: Seconds to wait; default `START_TIMEOUT`.

    Raises:
        PortTaken: It ended because another program listens on its port.
        ServiceError: It ended, or did not answer in time and was ended; the message has its last lines.
    """
    Starting(
        title="the supervisor of deployments",
        process=process,
        port=port,
        log=log_file(home),
        answers=answers,
        timeout=START_TIMEOUT if timeout is None else timeout,
    ).wait(report)
