"""``toolkit db``: look after the database that runs are recorded in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from toolkit.cli.render import say, show_json, show_table, size
from toolkit.settings import load
from toolkit.wiring.opened import settings_database

if TYPE_CHECKING:
    from toolkit.db.engine import Database

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Look after the database that runs are recorded in.",
)
URL = typer.Argument(None, metavar="[URL]", help="The database; default: where runs are recorded.")


@app.callback()
def root() -> None:
    """Group the commands."""


@contextmanager
def _opened(url: str | None) -> Iterator[Database]:
    settings = load()
    database = settings_database(settings.model_copy(update={"tracking_uri": url}) if url else settings)
    try:
        yield database
    finally:
        database.close()


@app.command("upgrade")
def upgrade(url: str | None = URL) -> None:
    """Make the schema, or upgrade it to this version's."""
    from toolkit.db.schema import HEAD, ensure_schema  # noqa: PLC0415 - SQLAlchemy

    with _opened(url) as database:
        before = ensure_schema(database)
        if before is None:
            say(f"{database.place}: made, with schema {HEAD}")
        elif before == HEAD:
            say(f"{database.place}: its schema is {HEAD} already")
        else:
            say(f"{database.place}: upgraded from schema {before} to {HEAD}")


@app.command("check")
def check(
    url: str | None = URL,
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Look the database over; the exit code is 1 when something is wrong."""
    from toolkit.db import check as checking  # noqa: PLC0415 - SQLAlchemy

    with _opened(url) as database:
        found = checking.check(database)
    if as_json:
        show_json(
            {
                "schema": 1,
                "dialect": found.dialect,
                "place": found.place,
                "server": found.server,
                "schema_version": {"database": found.schema, "toolkit": found.known},
                "size": found.size,
                "counts": dict(found.counts),
                "settings": dict(found.settings),
                "checked": list(found.checked),
                "problems": list(found.problems),
                "warnings": list(found.warnings),
            }
        )
    else:
        rows = [
            ("database", found.place),
            ("server", found.server),
            ("schema", f"{found.schema or 'none'} (this toolkit's: {found.known})"),
            ("size", size(found.size)),
            *((name, f"{count:,}") for name, count in found.counts.items()),
            *found.settings.items(),
            ("checked", ", ".join(found.checked)),
        ]
        show_table(("what", "found"), rows)
        for text in found.warnings:
            say(f"warning: {text}")
        for text in found.problems:
            say(f"wrong: {text}")
    if found.problems:
        raise typer.Exit(1)


@app.command("backup")
def backup(
    file: Path = typer.Argument(..., metavar="FILE", help="The copy to be made."),
    force: bool = typer.Option(False, "--force", help="Replace FILE if it is there."),
) -> None:
    """Copy the database into a file, while others write to it. Artifacts are not in it."""
    from toolkit.db.backup import back_up  # noqa: PLC0415 - SQLAlchemy

    with _opened(None) as database:
        count = back_up(database, file, force=force)
        say(f"{database.place} was copied to {file} ({size(count)})")
