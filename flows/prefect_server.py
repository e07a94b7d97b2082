"""Prefect's server: the one that the user has, or one of our own."""

from __future__ import annotations

import http.client
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from toolkit.errors import ServiceError
from toolkit.flows import server_start, service_process
from toolkit.flows.environments.prepared import Report
from toolkit.flows.server_start import HOST, PortTaken, Starting
from toolkit.flows.service_process import ServiceProcess

__all__ = ["HOST", "PORT", "START_TIMEOUT", "PortTaken", "PrefectServer"]

PORT = 4200
"""Prefect's own port, used where it is free."""
START_TIMEOUT = 180.0
"""Seconds that the server gets to answer."""

_EXTERNAL_TIMEOUT = 3.0
_HEALTH_TIMEOUT = 3.0
_PROGRESS_EVERY = 4.0
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
    return server_start.healthy(port, "/api/health", b"true", timeout=_HEALTH_TIMEOUT)


def choose_port(preferred: int) -> int:
    """Return a free port: the preferred one, Prefect's own, else any."""
    return server_start.choose_port(preferred, PORT)


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
    starting = Starting(
        title="Prefect's server",
        process=process,
        port=port,
        log=log_file(home),
        answers=answers,
        timeout=START_TIMEOUT if timeout is None else timeout,
        progress_every=_PROGRESS_EVERY,
    )
    starting.wait(report, note=first)
