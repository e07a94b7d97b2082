"""How commands are told which deployment they are about: ``NAME``, or ``-n NAME`` as `create` takes it."""

from __future__ import annotations

import typer

from toolkit.errors import InvalidValue

NAME = typer.Argument(None, metavar="NAME", help="The deployment.")
NAMED = typer.Option(None, "-n", "--name", metavar="NAME", help="The same.")


def one_name(name: str | None, named: str | None, command: str) -> str:
    """Return the deployment that a command names.

    Args:
        name: As an argument.
        named: As an option.
        command: The command's name.

    Raises:
        InvalidValue: It names none, or two.
    """
    wanted = name or named
    if not wanted or (name and named and name != named):
        raise InvalidValue(f"name one deployment: toolkit deployments {command} NAME")
    return wanted
