"""``toolkit envs``: the environments that steps run in, which are kept to be used again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from toolkit.cli.render import moment, say, show, show_json, show_table, size
from toolkit.settings import load

if TYPE_CHECKING:
    from toolkit.flows.environments.inventory import KeptEnvironment

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List and remove the environments that steps run in.",
)


@app.command("list")
def list_(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """List the environments that are kept: size, last use, and the projects that used them."""
    from toolkit.flows.environments.inventory import kept  # noqa: PLC0415 - file locks

    found = sorted(kept(load().home), key=lambda item: -item.used)
    if as_json:
        show_json({"schema": 1, "environments": [_plain(item) for item in found]})
    elif found:
        _show(found)
        show(f"{_total(found)} in {load().home / 'envs'}; toolkit envs prune removes old ones")
    else:
        show(f"there are no environments in {load().home / 'envs'}")


@app.command()
def prune(
    older_than: str = typer.Option(
        "30d", "--older-than", metavar="AGE", help="Only those not used for this long: 30d, 12h, 0d for all."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only show what would be removed."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Remove environments that have not been used for a while; never one that is in use."""
    from toolkit.flows.environments import inventory  # noqa: PLC0415 - file locks
    from toolkit.upkeep.garbage import read_age  # noqa: PLC0415 - the same

    age = read_age(older_than) / 1000
    found = inventory.prune(load().home, older_than=age, dry_run=dry_run)
    limit = time.time() - age
    spared = [item for item in inventory.kept(load().home) if item.in_use and item.used <= limit]
    if as_json:
        show_json({"schema": 1, "removed": not dry_run, "environments": [_plain(item) for item in found]})
        return
    if found:
        _show(found)
        doing = "would be removed" if dry_run else "removed"
        show(f"{len(found)} {'environment' if len(found) == 1 else 'environments'}, {_total(found)}: {doing}")
    else:
        show(f"no environment has been unused for {older_than}")
    for item in spared:
        say(f"kept: environment {item.key} is in use")


def _total(found: Sequence[KeptEnvironment]) -> str:
    return size(sum(item.size for item in found))


def _show(found: Sequence[KeptEnvironment]) -> None:
    show_table(
        ("environment", "kind", "python", "size", "last used", "projects"),
        [
            (
                item.key,
                item.kind or "half-built",
                item.python,
                size(item.size),
                "in use" if item.in_use else moment(round(item.used * 1000)),
                _projects(item.projects),
            )
            for item in found
        ],
    )


def _projects(paths: Sequence[str]) -> str:
    return f"{paths[0]} and {len(paths) - 1} more" if len(paths) > 1 else "".join(paths)


def _plain(item: KeptEnvironment) -> dict[str, object]:
    return {
        "key": item.key,
        "kind": item.kind,
        "python": item.python,
        "directory": str(item.directory),
        "last_used": moment(round(item.used * 1000)),
        "size": item.size,
        "projects": list(item.projects),
        "in_use": item.in_use,
    }
