"""How a version, a stage and an alias are named by options of ``toolkit registry``."""

from __future__ import annotations

import typer

from toolkit.errors import InvalidValue
from toolkit.registry.promotion import Target
from toolkit.registry.records import Stage

JSON = typer.Option(False, "--json", help="Print JSON.")
VERSION = typer.Argument(metavar="NAME/NUMBER", help="The version: wine/3, wine@champion or wine/latest.")
NAME = typer.Argument(metavar="NAME", help="The registered model.")
STAGE = typer.Option(None, "--stage", metavar="STAGE", help="The stage: Staging, Production or Archived.")
ALIAS = typer.Option(None, "--alias", metavar="ALIAS", help="The alias.")
REASON = typer.Option(None, "--reason", metavar="TEXT", help="Why; kept in the history.")


def target_of(stage: str | None, alias: str | None) -> Target:
    """Return what the options name.

    Raises:
        InvalidValue: They name nothing, or two things.
    """
    if (stage is None) == (alias is None):
        raise InvalidValue("name what it is about: either --stage STAGE or --alias ALIAS")
    return Target(alias=alias.removeprefix("@")) if alias is not None else Target(stage=Stage.read(stage or ""))
