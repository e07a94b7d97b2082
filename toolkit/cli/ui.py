"""``toolkit ui``: look at runs, models and deployments in a browser."""

from __future__ import annotations

from urllib.parse import quote

import typer

from toolkit.cli.render import say, show
from toolkit.settings import load
from toolkit.wiring.services import tracking_address

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog="Examples:  toolkit ui  |  toolkit ui wine-quality  |  toolkit ui 3f2a91bc --no-open")
def ui(
    what: str | None = typer.Argument(
        None, help="A run's id, or part of the name of a run, an experiment or a model. Default: the first page."
    ),
    no_open: bool = typer.Option(False, "--no-open", help="Print the address, and open no browser."),
) -> None:
    """Open the pages of the tracking server in a browser; the local server is started if none runs."""
    address = tracking_address(load(), say)
    place = f"{str(address).rstrip('/')}/" + (f"find?q={quote(what, safe='')}" if what else "")
    show(place)
    if not no_open:
        import webbrowser  # noqa: PLC0415 - where a browser is opened

        if not webbrowser.open(place):
            say("no browser can be opened here: open the address above")
