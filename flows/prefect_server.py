"""Prefect's server: the one that the user has, or one of our own."""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from toolkit.errors import ServiceError
from toolkit.flows import service_process
from toolkit.flows.environments.prepared import Report
from toolkit.flows.service_process import ServiceProcess

HOST = "127.0.0.1"
PORT = 4200
"""Prefect's own port, used where it is free."""
START_TIMEOUT = 60.0
"""Seconds that the server gets to answer."""

_EXTERNAL_TIMEOUT = 3.0
_HEALTH_TIMEOUT = 3.0
_PROGRESS_EVERY = 4.0
_LOG_LINES = 12
_LAUNCH = (
    # Fewer collections: the import makes a million objects that stay (0.35 s of 3.2 s).
    "import gc, runpy, sys; gc.set_threshold(100_000, 50, 100); "
    "runpy.run_module('prefect', run_name='__main__', alter_sys=True)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PrefectServer:
    """A Prefect server that answers.

    Attributes:
        api_url: What ``PREFECT_API_URL`` must be to use it.
        ui_url: Where people look at it.
        external: Whether the user named it; else it is ours.
        started: Whether it was started just now.
        home: The ``PREFECT_HOME`` of ours; ``None`` for one that the user named.
    """

    api_url: str
    ui_url: str
    external: bool
    started: bool
    home: Path | None


def own_server(port: int, home: Path, *, started: bool) -> PrefectServer:
    """Return the record of our own server.

    Args:
        port: The port that it listens on.
        home: Toolkit's home.
        started: Whether it was started just now.
    """
    url = f"http://{HOST}:{port}"
    return PrefectServer(api_url=f"{url}/api", ui_url=url, external=False, started=started, home=home / "prefect")


def external_server(api_url: str, origin: str, environ: Mapping[str, str]) -> PrefectServer:
    """Return the record of a server that the user named, once it has answered.

    Args:
        api_url: Its address.
        origin: What named it, for messages.
        environ: The environment variables.

    Raises:
        ServiceError: It does not answer.
    """
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=_EXTERNAL_TIMEOUT):  # noqa: S310 - as the user gave it
            pass
    except urllib.error.HTTPError as error:
        with error:
            if error.code >= 500:
                raise _unusable(api_url, origin, f"it answers {error.code} {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):  # Prefect has settings of its own for certificates
            raise _unusable(api_url, origin, str(reason) or type(reason).__name__) from None
    ui_url = environ.get("PREFECT_UI_URL") or api_url.replace("//api.prefect.cloud/api/", "//app.prefect.cloud/")
    return PrefectServer(api_url=api_url, ui_url=ui_url.removesuffix("/api"), external=True, started=False, home=None)


def _unusable(api_url: str, origin: str, reason: str) -> ServiceError:
    shown = urlsplit(api_url)._replace(query="").geturl()
    return ServiceError(
        f"Prefect's server at {shown}, which {origin} names, cannot be used: {reason}. Start it, name another one, or"
        " remove the setting to let toolkit start its own"
    )


def answers(port: int) -> bool:
    """Tell whether a Prefect server answers on a port of this machine that it is well."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_HEALTH_TIMEOUT)
    try:
        connection.request("GET", "/api/health")
        response = connection.getresponse()
        return response.status == 200 and response.read(16) == b"true"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def choose_port(preferred: int) -> int:
    """Return a free port: the preferred one, Prefect's own, else any."""
    for port in (preferred, PORT, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise ServiceError("there is no free port on 127.0.0.1")


def launch(home: Path, port: int, environ: Mapping[str, str]) -> ServiceProcess:
    """Start our own server, detached; it does not answer yet.

    Args:
        home: Toolkit's home; the server's is the folder ``prefect`` in it.
        port: The port to listen on.
        environ: The environment variables to start from.
    """
    own = home / "prefect"
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    return service_process.start(
        command(port),
        environment=_environment(own, port, environ),
        directory=own,  # no project's .env or prefect.toml has a say
        log=log_file(home),
    )


def command(port: int) -> list[str]:
    """Return the command line of our own server."""
    return [sys.executable, "-c", _LAUNCH, "server", "start", "--host", HOST, "--port", str(port)]


def log_file(home: Path) -> Path:
    """Return where our server's output goes."""
    return home / "logs" / "prefect-server.log"


def _environment(own: Path, port: int, environ: Mapping[str, str]) -> dict[str, str]:
    url = f"http://{HOST}:{port}"
    # Bytecode halves its start; the other two may name a profile that our Prefect home does not have.
    dropped = {"PYTHONDONTWRITEBYTECODE", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"}
    return {name: value for name, value in environ.items() if name not in dropped} | {
        "PREFECT_HOME": str(own),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{url},http://localhost:{port}",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "DO_NOT_TRACK": "1",
    }


class PortTaken(Exception):
    """The port was taken between choosing it and listening on it."""


def wait_until_ready(
    process: ServiceProcess, port: int, home: Path, report: Report, *, timeout: float | None = None
) -> None:
    """Wait until our server answers, saying so from time to time.

    Args:
        process: The server.
        port: Its port.
        home: Toolkit's home.
        report: Takes lines of progress.
        timeout: Seconds to wait; default `START_TIMEOUT`.

    Raises:
        PortTaken: It ended because another program listens on its port.
        ServiceError: It ended, or did not answer in time and was ended; the message has its last lines.
    """
    first = "" if (home / "prefect" / "memo_store.toml").exists() else ", for the first time"
    report(f"starting Prefect's server{first}")
    begun = said = time.monotonic()
    timeout = START_TIMEOUT if timeout is None else timeout
    while True:
        if answers(port) and process.listens_on(port):
            return
        if not process.is_alive():
            if choose_port(port) != port:
                raise PortTaken
            raise ServiceError(_failure("ended while it started", home))
        if time.monotonic() - begun > timeout:
            process.stop(grace=2.0)
            raise ServiceError(_failure(f"did not answer within {timeout:.0f} s", home))
        if time.monotonic() - said >= _PROGRESS_EVERY:
            said = time.monotonic()
            report(f"starting Prefect's server{first} … {said - begun:.0f} s")
        time.sleep(0.03)


def _failure(what: str, home: Path) -> str:
    log = log_file(home)
    try:
        lines = [line.rstrip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        lines = []
    shown = "".join(f"\n    {line}" for line in [line for line in lines if line][-_LOG_LINES:])
    return f"Prefect's server {what}; all that it said is in {log}, its last lines:{shown}"
