"""``toolkit down``: stop the local services."""

from __future__ import annotations

import typer

from toolkit.cli.render import say
from toolkit.settings import load
from toolkit.wiring.services import local_services

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def down() -> None:
    """Stop the local services that toolkit started."""
    if not local_services(load()).stop_all(say):
        say("nothing was running")
