"""This machine's services: Prefect's server and the tracking server."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.settings import Settings, environment, load, set_default_variables
from toolkit.wiring.opened import settings_database

if TYPE_CHECKING:
    from toolkit.flows.services import Served, Services


def prepare_prefect(settings: Settings | None = None) -> None:
    """Set what Prefect reads when it is imported: call this before that.

    Its telemetry is off unless the user has said otherwise, and its home is below ours unless the user has named a
    server, and with it a home of their own.

    Args:
        settings: The settings that hold; default: those of the working directory.
    """
    from toolkit.flows.prefect_profile import named_server  # noqa: PLC0415 - for what uses Prefect

    set_default_variables(DO_NOT_TRACK="1")
    if named_server(environment(), Path.cwd()) is None:
        home = (settings or load()).home / "prefect"
        with contextlib.suppress(OSError):  # Prefect makes its own home, but not the one around it
            home.mkdir(parents=True, exist_ok=True)
        set_default_variables(PREFECT_HOME=str(home))


def local_services(settings: Settings) -> Services:
    """Return the services of this machine: Prefect's server, and the tracking server."""
    from toolkit.flows.services import Services  # noqa: PLC0415 - when services are wanted

    return Services(settings.home, environ=environment(), directory=Path.cwd())


def served(settings: Settings) -> Served | None:
    """Return what the local tracking server serves; ``None`` where the settings name a server.

    Raises:
        InvalidSetting: A URI cannot be used.
    """
    from toolkit.flows.services import TRACKING, Served  # noqa: PLC0415 - when services are wanted

    if named_tracking(settings) is not None:
        return None
    database = settings_database(settings)
    database.close()
    url = f"sqlite:///{database.file.absolute()}" if database.file else settings.database_url
    place = url if database.file else database.place
    name = TRACKING
    if settings.tracking_uri or settings.artifact_root:
        stores = f"{place} {settings.artifact_uri}".encode()
        name = f"{TRACKING}-{hashlib.sha256(stores).hexdigest()[:6]}"
    variables = {
        "TOOLKIT_HOME": str(settings.home),
        "TOOLKIT_BACKEND_STORE_URI": url,
        "TOOLKIT_ARTIFACTS_DESTINATION": settings.artifact_uri,
        "TOOLKIT_LEASE": f"{settings.lease:g}",
        "TOOLKIT_GRACE": f"{settings.grace:g}",
        "TOOLKIT_BUSY_TIMEOUT": f"{settings.busy_timeout:g}",
        "TOOLKIT_DURABILITY": settings.durability,
        "TOOLKIT_ALLOWED_HOSTS": settings.allowed_hosts or "host.docker.internal",  # what containers call this machine
        "TOOLKIT_CHANGE_FROM_PAGES": "true",  # it is this user's own, and listens to this machine only
        **settings.artifact_variables,
    }
    return Served(name=name, place=place, variables=variables)


def named_tracking(settings: Settings) -> str | None:
    """Return the server that the settings name, without credentials; ``None`` where they name none."""
    from toolkit.transport.address import Access, is_server, read_address  # noqa: PLC0415 - when services are wanted

    return read_address(settings.database_url, Access()).place if is_server(settings.database_url) else None


def tracking_address(settings: Settings, report: Callable[[str], None], start: bool = True) -> str | None:
    """Return the address of a server that speaks MLflow's API for the stores that the settings name.

    Args:
        settings: The settings.
        report: Takes lines of progress.
        start: Whether to start one; else ``None`` is returned where none runs.

    Raises:
        ServiceError: It does not start.
    """
    stores = served(settings)
    if stores is None:
        return settings.database_url
    services = local_services(settings)
    if start:
        return services.ensure_tracking(stores, report).url
    running = services.running_tracking(stores)
    return None if running is None else running.url
