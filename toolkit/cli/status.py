"""``toolkit status``: show the local services."""

from __future__ import annotations

import typer

from toolkit.cli.render import show_json, show_table
from toolkit.settings import load
from toolkit.wiring import local_services

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def status(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Show the local services. A record of one that has died is noticed and dropped."""
    found = local_services(load()).status()
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
