"""``toolkit up``: start the local services that are not running."""

from __future__ import annotations

import typer

from toolkit.cli.render import say
from toolkit.settings import load
from toolkit.wiring import local_services

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def up() -> None:
    """Start the local services that are not running. They stay until toolkit down."""
    server = local_services(load()).ensure_prefect(say)
    state = "yours" if server.external else "started" if server.started else "was running"
    say(f"prefect  {server.ui_url or server.api_url}  ({state})")
