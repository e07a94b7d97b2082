"""``toolkit status``: show the local services."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from toolkit.cli.render import show_json, show_table
from toolkit.settings import Settings, load
from toolkit.wiring.services import local_services, named_tracking
from toolkit.wiring.serving import kept_deployments

if TYPE_CHECKING:
    from toolkit.flows.services import ServiceStatus

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def status(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Show the local services. A record of one that has died is noticed and dropped."""
    settings = load()
    found = [_with_deployments(settings, service) for service in local_services(settings).status()]
    if not any(service.name.startswith("tracking") for service in found):
        found.append(_no_tracking(settings))
    if as_json:
        rows = [
            {
                "name": service.name,
                "state": service.state,
                "url": service.url,
                "pid": service.record.pid if service.record else None,
                "log": service.record.log if service.record else None,
                "note": service.note,
            }
            for service in found
        ]
        show_json({"schema": 1, "services": rows})
        return
    show_table(
        ("service", "state", "address", "pid", "log", "note"),
        [
            (
                service.name,
                service.state,
                service.url or "",
                str(service.record.pid) if service.record else "",
                service.record.log if service.record else "",
                service.note,
            )
            for service in found
        ],
    )


def _with_deployments(settings: Settings, service: ServiceStatus) -> ServiceStatus:
    """Return how a service is, with what the supervisor of deployments keeps running."""
    from toolkit.flows.services import SUPERVISOR  # noqa: PLC0415 - the flows

    if service.name != SUPERVISOR or service.state != "running":
        return service
    kept = ", ".join(f"{each.deployment} at {each.url}" for each in kept_deployments(settings))
    return replace(service, note=kept or "no deployment serves here")


def _no_tracking(settings: Settings) -> ServiceStatus:
    """Return what to say where no tracking server of ours is recorded."""
    from toolkit.flows.services import ServiceStatus  # noqa: PLC0415 - the flows

    if (url := named_tracking(settings)) is not None:
        return ServiceStatus(name="tracking", state="external", url=url, note="named by the settings")
    return ServiceStatus(name="tracking", state="absent")
