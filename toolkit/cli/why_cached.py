"""``toolkit runs why-cached``: why a step's results were taken over, or why they were not."""

from __future__ import annotations

from dataclasses import asdict

import typer

from toolkit.cli.render import show, show_json
from toolkit.cli.store import find_run, opened


def why_cached(
    run: str = typer.Argument(
        ..., metavar="RUN", help="Run of a step, or of a workflow for all its steps: id, beginning of one, name, @last."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Say why a step's results were taken over from an earlier run, or what has changed so that they were not."""
    from toolkit.flows.why_cached import explain, lines  # noqa: PLC0415 - the spec and the flows

    with opened() as stores:
        found = explain(stores, find_run(stores, run))
    if as_json:
        show_json({"schema": 1, "runs": [asdict(each) for each in found]})
        return
    for line in lines(found):
        show(line)
