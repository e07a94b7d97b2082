"""``toolkit sync``: send what processes have logged and could not bring to the store."""

from __future__ import annotations

from dataclasses import asdict

import typer

from toolkit.cli.render import say, show, show_json
from toolkit.settings import load
from toolkit.wiring import open_stores, send_leftovers, unsent

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def sync(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Send what processes that are gone have logged and could not bring to the store."""
    settings = load()
    stores = open_stores(settings)
    try:
        sent = send_leftovers(stores, settings)
    finally:
        stores.close()
    left = unsent(settings)
    elsewhere = sorted({journal.place for journal in left if journal.place != stores.place and not journal.in_use})
    in_use = sum(journal.in_use for journal in left)
    if as_json:
        show_json({"schema": 1, **asdict(sent), "in_use": in_use, "elsewhere": elsewhere})
    else:
        if sent.entries or sent.files:
            show(f"sent: {sent.entries} entries to {stores.place}, {sent.files} files to {stores.artifact_root}")
        else:
            show("nothing waits to be sent")
        if in_use:
            show(f"{in_use} running processes send their own")
    for place in elsewhere:
        say(f"there are entries for {place}: set TOOLKIT_TRACKING_URI to it, and run toolkit sync again")
    if sent.refused:
        kept = f"{settings.journal_root / 'rejected'} and {settings.spool_root / 'rejected'}"
        say(f"{sent.refused} entries and files were refused for good: they are kept in {kept}")
        raise typer.Exit(1)
