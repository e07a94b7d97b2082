"""``toolkit export``: write experiments and runs to a folder, or prove that such a folder is whole."""

from __future__ import annotations

from pathlib import Path

import typer

from toolkit.cli.pace import Pace
from toolkit.cli.render import say, show, show_json, size
from toolkit.cli.store import find_experiment, find_run, opened
from toolkit.recording.stores import Stores
from toolkit.registry.catalog import catalog_of
from toolkit.tracking.logged_models import LoggedModelQuery
from toolkit.tracking.records import SearchQuery
from toolkit.transfer.export import Exported, Exporter, Selection, check

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def export(
    folder: Path = typer.Argument(..., metavar="DIR", help="The folder to make, or with --check: to read."),
    experiments: list[str] = typer.Option(
        [], "-x", "--experiment", metavar="NAME", help="Only this experiment (name or id); may be repeated."
    ),
    runs: list[str] = typer.Option([], "--run", metavar="RUN", help="Only this run; may be repeated."),
    no_artifacts: bool = typer.Option(False, "--no-artifacts", help="Leave the bytes of artifacts out."),
    force: bool = typer.Option(False, "--force", help="Replace an export that is there already."),
    check_only: bool = typer.Option(False, "--check", help="Write nothing: prove all digests of an export."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Write experiments and runs, with their artifacts, to a folder that toolkit import reads."""
    if check_only:
        _check(folder, as_json=as_json)
        return
    with opened() as stores:
        selection = Selection(
            experiment_ids=[find_experiment(stores, text).experiment_id for text in experiments],
            run_ids=[find_run(stores, text).info.run_id for text in runs],
            artifacts=not no_artifacts,
            force=force,
        )
        say(f"exporting to {folder}")
        pace = Pace()
        done = Exporter(stores, folder, selection, lambda so_far: pace.say(lambda: _summary(so_far))).export()
        has_models = _has_models(stores)
    if as_json:
        show_json(
            {
                "schema": 1,
                "folder": str(folder.absolute()),
                "experiments": done.experiments,
                "runs": done.runs,
                "points": done.points,
                "artifacts": done.artifacts,
                "bytes": done.size,
                "failures": done.failures,
            }
        )
    else:
        show(f"exported {_summary(done)} to {folder}")
    if has_models:
        say("not exported: logged models and the registry; back up the database itself to keep them")
    for failure in done.failures:
        say(f"not exported: {failure}")
    if done.failures:
        raise typer.Exit(1)


def _has_models(stores: Stores) -> bool:
    catalog = catalog_of(stores)
    logged = catalog.logged.search_models(LoggedModelQuery(limit=1)).items
    return bool(logged or catalog.registered.search_models(SearchQuery(limit=1)).items)


def _summary(done: Exported) -> str:
    return (
        f"{done.experiments:,} experiments, {done.runs:,} runs, {done.points:,} points, "
        f"{done.artifacts:,} artifacts ({size(done.size)})"
    )


def _check(folder: Path, *, as_json: bool) -> None:
    found = check(folder)
    if as_json:
        show_json({"schema": 1, **found})
        return
    lines = ", ".join(f"{about['lines']:,} in {name}" for name, about in found["files"].items())
    show(f"{folder} is whole: {lines}; {found['blobs']:,} files of artifacts")
