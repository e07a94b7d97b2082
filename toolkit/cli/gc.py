"""``toolkit gc``: remove for good what was deleted, and what nobody needs."""

from __future__ import annotations

from dataclasses import asdict

import typer

from toolkit.cli.render import say, show, show_json, show_table, size
from toolkit.cli.store import opened
from toolkit.upkeep.garbage import Collection, Found, read_age
from toolkit.wiring.upkeep import collect_garbage

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_ROWS = (
    ("runs", "deleted runs"),
    ("models", "deleted models"),
    ("experiments", "deleted experiments"),
    ("artifacts", "artifacts of deleted runs and models"),
    ("orphans", "files that no run lists"),
    ("unknown", "files of runs unknown here"),
    ("staging", "uploads broken off"),
    ("leftovers", "folders of failed steps"),
)


@app.command()
def gc(
    yes: bool = typer.Option(False, "-y", "--yes", help="Remove it. Without this nothing is removed, only shown."),
    older_than: str = typer.Option(
        "0d", "--older-than", metavar="AGE", help="Only what was deleted this long ago: 30d, 12h, 1d2h3m4s."
    ),
    run_ids: str | None = typer.Option(
        None, "--run-ids", metavar="IDS", help="Only these deleted runs; commas between."
    ),
    experiment_ids: str | None = typer.Option(
        None, "--experiment-ids", metavar="IDS", help="Only these deleted experiments, with their runs; commas between."
    ),
    lease: str = typer.Option(
        "7d", "--unused-for", metavar="AGE", help="Files that no run lists, and leftovers: only if untouched this long."
    ),
    unknown_runs: bool = typer.Option(
        False,
        "--unknown-runs",
        help="Also files of runs that this store does not know. Not if another store shares the artifact root!",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show, or with --yes remove for good, what was deleted and what nobody needs."""
    wanted = Collection(
        remove=yes,
        older_than_ms=read_age(older_than),
        run_ids=_ids(run_ids),
        experiment_ids=_ids(experiment_ids),
        lease_ms=read_age(lease),
        unknown_runs=unknown_runs,
    )
    with opened() as stores:
        found = collect_garbage(stores, wanted, lambda text: say(f"looking at {text} …"))
    if as_json:
        show_json({"schema": 1, "removed": yes, **asdict(found)})
    else:
        _show(found, wanted)
    for failure in found.failures:
        say(f"not removed: {failure}")
    if found.failures:
        raise typer.Exit(1)


def _show(found: Found, wanted: Collection) -> None:
    tallies = {name: getattr(found, name) for name, _ in _ROWS}
    rows = []
    for name, title in _ROWS:
        tally = tallies[name]
        goes = name != "unknown" or wanted.unknown_runs
        doing = ("removed" if wanted.remove else "to be removed") if goes else "kept (--unknown-runs)"
        if tally.count:
            rows.append((title, str(tally.count), size(tally.size) if tally.size else "", doing))
    if rows:
        show_table(("what", "number", "size", ""), rows)
    else:
        show("there is nothing to remove")
    for reason in found.kept:
        say(f"kept: {reason}")
    if found.outside.count:
        say(f"{found.outside.count} deleted runs or models have their artifacts outside the artifact root: those stay")
    if found.foreign.count:
        say(f"{found.foreign.count} files below the artifact root belong to no run: they stay")
    if not wanted.remove and rows:
        show("nothing was removed: add --yes to remove it for good")


def _ids(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
