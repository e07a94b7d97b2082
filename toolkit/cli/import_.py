"""``toolkit import``: bring experiments and runs from an export or from MLflow."""

from __future__ import annotations

import contextlib
from dataclasses import asdict

import typer

from toolkit.cli.pace import Pace
from toolkit.cli.render import say, show_json, show_table, size
from toolkit.cli.store import opened
from toolkit.transfer.importer import Importer
from toolkit.transfer.opening import open_source
from toolkit.transfer.outcome import Bytes, Imported, Wanted

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command("import")
def import_(
    uri: str = typer.Argument(
        ..., metavar="URI", help="An export, an mlruns folder, or MLflow's database (sqlite:///…, postgresql://…)."
    ),
    artifacts: Bytes = typer.Option(
        Bytes.COPY,
        "--artifacts",
        help="copy: bring the bytes here; reference: list them where they are; none: keep only their address.",
    ),
    artifacts_from: list[str] = typer.Option(
        [],
        "--artifacts-from",
        metavar="[URI=]DIR",
        help="Where artifacts whose address begins with URI lie now; DIR alone: those behind MLflow's server.",
    ),
    experiments: list[str] = typer.Option(
        [], "-x", "--experiment", metavar="NAME", help="Only this experiment (name or id); may be repeated."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Count what is there and what is here; write nothing."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Bring experiments and runs from an export or from MLflow. If it was stopped, start it again: it goes on."""
    with opened() as stores, contextlib.closing(open_source(uri, artifacts_from, stores.elsewhere)) as source:
        say(f"reading {source.title}")
        pace = Pace()
        importer = Importer(
            stores,
            source,
            Wanted(experiments=experiments, artifacts=artifacts),
            lambda so_far: pace.say(lambda: _progress(so_far)),
        )
        try:
            done = importer.preview() if dry_run else importer.run()
        except KeyboardInterrupt:
            say("stopped: what was imported stays; start it again to go on")
            raise
    missing = [name for name, there, here in done.source.rows(done.target) if here < there]
    if as_json:
        show_json({"schema": 1, "dry_run": dry_run, **asdict(done)})
    else:
        _show(done, dry_run=dry_run)
    for failure in done.failures:
        say(f"not imported: {failure}")
    if not dry_run and (done.failures or missing):
        if missing:
            say(f"not everything is here: {', '.join(missing)} are fewer than in the source; start it again to go on")
        raise typer.Exit(1)


def _show(done: Imported, *, dry_run: bool) -> None:
    show_table(
        ("what", "source", "here"),
        [(name, str(there), str(here)) for name, there, here in done.source.rows(done.target)],
    )
    for name, before, now in done.moved:
        say(f"experiment {name!r} has the id {before} there and {now} here")
    for title, count in done.left_out.items():
        say(f"not taken along: {count} {title} (not supported yet)")
    for note in done.notes:
        say(f"note: {note}")
    if dry_run:
        say("nothing was written (--dry-run)")
    else:
        there = f", {done.there:,} were here before" if done.there else ""
        say(f"imported {done.new:,} runs{there}; {done.files:,} artifacts ({size(done.size)})")


def _progress(done: Imported) -> str:
    share = f" ({100 * done.done // done.total} %)" if done.total else ""
    return (
        f"{done.done:,} of {done.total:,} runs{share}, {done.points:,} points, "
        f"{done.files:,} artifacts ({size(done.size)})"
    )
