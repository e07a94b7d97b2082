"""``toolkit artifacts``: list and get the files that runs left."""

from __future__ import annotations

from pathlib import Path

import typer

from toolkit.cli.render import say, show_json, show_table, size
from toolkit.cli.store import find_run, opened
from toolkit.errors import AlreadyExists, NotFound
from toolkit.recording.run import RecordedRun
from toolkit.tracking.records import RunQuery

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List and get the files that runs left.",
)
RUN = typer.Argument(..., metavar="RUN", help="Id, beginning of an id, name, or @last.")


@app.callback()
def root() -> None:
    """Group the commands."""


@app.command("list")
def list_(
    run: str = RUN,
    path: str = typer.Argument("", metavar="[PATH]", help="Only what is at or below this path."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List a run's artifacts."""
    with opened() as stores:
        entries = stores.runs.list_artifacts(find_run(stores, run).info.run_id, prefix=path).items
    if as_json:
        rows = [{"path": entry.path, "size": entry.size, "sha256": entry.sha256} for entry in entries]
        show_json({"schema": 1, "artifacts": rows})
        return
    show_table(("path", "size", "sha256"), [(entry.path, size(entry.size), entry.sha256[:12]) for entry in entries])


@app.command("get")
def get(
    run: str = RUN,
    path: str = typer.Argument("", metavar="[PATH]", help="File or folder among the artifacts; default: all."),
    target: Path = typer.Option(Path(), "-d", "--dst-path", metavar="DIR", help="Where to put it; default: here."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace files that are there already."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Copy artifacts of a run to a local directory, checking their digests."""
    with opened() as stores:
        found = find_run(stores, run)
        entries = stores.runs.list_artifacts(found.info.run_id, prefix=path).items
        if not entries:
            children = stores.runs.list_runs(RunQuery(parent_run_id=found.info.run_id, limit=20)).items
            if not path and children:
                steps = ", ".join(f"{child.info.run_id[:8]} ({child.info.run_name})" for child in reversed(children))
                raise NotFound(f"run {found.info.run_id} has no artifacts of its own; its steps may have: {steps}")
            raise NotFound(
                f"run {found.info.run_id} has no artifact {path!r}: see toolkit artifacts list {found.info.run_id}"
            )
        files = [(entry, target / entry.path) for entry in entries]
        there = [str(file) for _, file in files if file.exists()]
        if there and not overwrite:
            raise AlreadyExists(f"{there[0]} is there already: give --overwrite to replace it, or another --dst-path")
        source = RecordedRun(stores, found)
        for entry, file in files:
            source.fetch(entry, file)
    if as_json:
        show_json({"schema": 1, "files": [str(file) for _, file in files]})
        return
    for _, file in files:
        say(f"{file}")
