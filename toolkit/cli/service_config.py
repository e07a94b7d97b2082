"""How a service is to run, as options of commands say it."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from toolkit.cli.registered import pairs
from toolkit.deployments.config import ServiceConfig
from toolkit.errors import InvalidValue

WORKERS = typer.Option(None, "--workers", metavar="N", help="Processes that answer.")
SETTINGS = typer.Option(
    [],
    "--config",
    metavar="KEY=VALUE",
    help="Another setting of the service, such as timeout=30 or sample_rate=0.01; may be repeated.",
)


def configured(workers: int | None, settings: Sequence[str]) -> dict[str, object]:
    """Return what the options say of a service, in the types of its configuration.

    Args:
        workers: What ``--workers`` says, if it was given.
        settings: What each ``--config`` says.

    Raises:
        InvalidValue: There is no such setting, or its value is of another type.
    """
    kinds = {name: type(value) for name, value in ServiceConfig().to_dict().items()}
    found: dict[str, object] = {}
    for key, text in pairs(settings, "--config").items():
        if key not in kinds:
            raise InvalidValue(f"--config {key}={text}: a service knows no {key!r}; it knows {', '.join(kinds)}")
        try:
            found[key] = kinds[key](text)
        except ValueError:
            raise InvalidValue(f"--config {key}={text}: wanted a number for {key}") from None
    return found if workers is None else {**found, "workers": workers}
