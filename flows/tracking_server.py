"""The tracking server of this machine: what speaks MLflow's API for the stores that toolkit writes to directly."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.flows import server_start, service_process
from toolkit.flows.environments.prepared import Report
from toolkit.flows.server_start import HOST, Starting
from toolkit.flows.service_process import ServiceProcess

PORT = 5000
"""MLflow's own port, used where it is free."""
START_TIMEOUT = 30.0
"""Seconds that the server gets to answer."""

_HEALTH_TIMEOUT = 3.0
_DROPPED = ("TOOLKIT_", "MLFLOW_")


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """What a tracking server is to serve.

    Attributes:
        name: Name of the service: ``tracking``, with something behind it for stores that are not the home's own.
        place: The store, for people.
        variables: Environment variables that say where the stores are, and how they are reached.
    """

    name: str
    place: str
    variables: Mapping[str, str] = field(repr=False)  # a database's URL may have a password


def answers(port: int) -> bool:
    """Tell whether a tracking server answers on a port of this machine that it is well."""
    return server_start.healthy(port, "/health", b"OK", timeout=_HEALTH_TIMEOUT)


def choose_port(preferred: int) -> int:
    """Return a free port: the preferred one, MLflow's own, else any."""
    return server_start.choose_port(preferred, PORT)


def launch(home: Path, served: Served, port: int, environ: Mapping[str, str]) -> ServiceProcess:
    """Start a server, detached; it does not answer yet.

    Args:
        home: Toolkit's home.
        served: What it is to serve.
        port: The port to listen on.
        environ: The environment variables to start from; of toolkit's and MLflow's none is taken over.
    """
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in environ.items() if not name.startswith(_DROPPED)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # bytecode halves its start
    return service_process.start(
        [sys.executable, "-P", "-m", "toolkit", "server", "--host", HOST, "--port", str(port)],
        environment=kept | dict(served.variables),
        directory=home,
        log=log_file(home, served.name),
    )


def log_file(home: Path, name: str) -> Path:
    """Return where a server's output goes."""
    return home / "logs" / f"{name}-server.log"


def wait_until_ready(
    process: ServiceProcess, port: int, log: Path, report: Report, *, timeout: float | None = None
) -> None:
    """Wait until a server answers.

    Args:
        process: The server.
        port: Its port.
        log: Where its output goes.
        report: Takes lines of progress.
        timeout: Seconds to wait; default `START_TIMEOUT`.

    Raises:
        PortTaken: It ended because another program listens on its port.
        ServiceError: It ended, or did not answer in time and was ended; the message has its last lines.
    """
    Starting(
        title="the tracking server",
        process=process,
        port=port,
        log=log,
        answers=answers,
        timeout=START_TIMEOUT if timeout is None else timeout,
    ).wait(report)
