"""``toolkit ui``: look at runs, models and deployments in a browser."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import typer

from toolkit.cli.render import say, show
from toolkit.settings import load
from toolkit.wiring.services import tracking_address

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(
    epilog="Examples:  toolkit ui  |  toolkit ui wine-quality  |  toolkit ui 3f2a91bc --no-open  |  toolkit ui ."
)
def ui(
    what: str | None = typer.Argument(
        None,
        help="A run's id, or part of the name of a run, an experiment or a model; or the folder of a project, whose"
        " workflows are shown before they run. Default: the first page.",
    ),
    no_open: bool = typer.Option(False, "--no-open", help="Print the address, and open no browser."),
) -> None:
    """Open the pages of the tracking server in a browser; the local server is started if none runs."""
    if what and (Path(what) / "MLproject").is_file():
        place = _project(what)
    else:
        address = tracking_address(load(), say)
        place = f"{str(address).rstrip('/')}/" + (f"find?q={quote(what, safe='')}" if what else "")
    show(place)
    if not no_open:
        import webbrowser  # noqa: PLC0415 - where a browser is opened

        if not webbrowser.open(place):
            say("no browser can be opened here: open the address above")


def _project(folder: str) -> str:
    """Return the address of the page that shows a project's workflow, or the list of them, before it runs."""
    from toolkit.cli.published import published_pages  # noqa: PLC0415 - where a project is shown
    from toolkit.wiring.request import RunRequest  # noqa: PLC0415 - the same

    pages = published_pages(RunRequest(uri=folder), say)
    return pages[0] if len(pages) == 1 else f"{pages[0].partition('/experiments/')[0]}/workflows"
