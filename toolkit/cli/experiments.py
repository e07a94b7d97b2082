"""``toolkit experiments``: list experiments."""

from __future__ import annotations

import typer

from toolkit.cli.render import moment, show_json, show_table
from toolkit.cli.store import opened

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List experiments.",
)


@app.callback()
def root() -> None:
    """Group the commands."""


@app.command("list")
def list_(
    limit: int = typer.Option(100, "-n", "--limit", min=1, max=50_000, help="At most this many."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List experiments, newest first."""
    with opened() as stores:
        items = stores.runs.list_experiments(limit=limit).items
    if as_json:
        rows = [
            {
                "experiment_id": item.experiment_id,
                "name": item.name,
                "artifact_location": item.artifact_location,
                "creation_time": moment(item.creation_time),
                "tags": dict(item.tags),
            }
            for item in items
        ]
        show_json({"schema": 1, "experiments": rows})
        return
    show_table(
        ("id", "name", "created", "artifacts"),
        [(item.experiment_id, item.name, moment(item.creation_time), item.artifact_location) for item in items],
    )
