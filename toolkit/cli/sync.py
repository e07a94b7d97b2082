"""``toolkit sync``: send what processes have logged and could not bring to the store."""

from __future__ import annotations

from dataclasses import asdict

import typer

from toolkit.cli.render import say, show, show_json
from toolkit.settings import load
from toolkit.wiring.opened import open_stores
from toolkit.wiring.upkeep import send_leftovers, sweep, unsent

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def sync(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Send what processes that are gone have logged and could not bring to the store."""
    settings = load()
    stores = open_stores(settings)
    try:
        sent = send_leftovers(stores, settings)
        lost = sweep(stores, settings)
    finally:
        stores.close()
    left = unsent(settings)
    other_files = {where: count for where, count in left.files.items() if where != (stores.place, stores.artifact_root)}
    elsewhere = sorted({*left.entries, *(place for place, _ in left.files)} - {stores.place})
    if as_json:
        told = {"in_use": left.in_use, "elsewhere": elsewhere, "files_elsewhere": sum(other_files.values())}
        show_json({"schema": 1, **asdict(sent), **told, "lost": [run.info.run_id for run in lost]})
    else:
        if sent.entries or sent.files:
            show(f"sent: {sent.entries} entries to {stores.place}, {sent.files} files to {stores.artifact_root}")
        else:
            show("nothing waits to be sent" + (" here" if elsewhere or other_files else ""))
        if left.in_use:
            show(f"{left.in_use} running processes send their own")
    for run in lost:
        say(f"run {run.info.run_name} ({run.info.run_id}) was lost: {run.info.reason}")
    for place in left.entries:
        if place != stores.place:
            say(f"there are entries for {place}: set TOOLKIT_TRACKING_URI to it, and run toolkit sync again")
    for (place, root), count in other_files.items():
        names = f"TOOLKIT_TRACKING_URI to {place} and TOOLKIT_ARTIFACT_ROOT to {root}"
        say(f"there are {count} files for {place} and {root}: set {names}, and run toolkit sync again")
    if waiting := left.files.get((stores.place, stores.artifact_root)):
        say(f"{waiting} files wait for runs that another process's journal still holds: run toolkit sync later")
    if sent.refused:
        kept = f"{settings.journal_root / 'rejected'} and {settings.spool_root / 'rejected'}"
        say(f"{sent.refused} entries and files were refused for good: they are kept in {kept}")
        raise typer.Exit(1)
