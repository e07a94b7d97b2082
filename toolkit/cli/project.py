"""The options that ``run`` and ``compile`` share: which project, which part of it, which values."""

from __future__ import annotations

from pathlib import Path

import typer

from toolkit.wiring.request import RunRequest

URI = typer.Argument(
    ".", metavar="URI", help="The project: a directory, a Git URL or a zip file; #subdirectory after it."
)
VERSION = typer.Option(
    None, "-v", "--version", metavar="VERSION", help="Branch, tag or commit of the repository; sha256:… of an archive."
)
ENTRY_POINT = typer.Option(None, "-e", "--entry-point", metavar="NAME", help="Entry point to run.")
WORKFLOW = typer.Option(
    None, "-w", "--workflow", metavar="NAME", help="Workflow to run; without -e and -w: main, of either kind."
)
PARAMETERS = typer.Option(
    None, "-P", "--param-list", metavar="NAME=VALUE", help="A parameter's value; may be repeated."
)
PARAM_FILE = typer.Option(
    None, "--param-file", metavar="FILE", help="YAML or JSON file of parameters; -P wins over it."
)

TASK_RUNNER = typer.Option(
    None,
    "--task-runner",
    metavar="KIND[=ADDRESS]",
    help="What starts the steps: threads (the default), processes, or a cluster: dask=tcp://host:8786, "
    "ray=ray://host:10001.",
)


def request(
    uri: str,
    entry_point: str | None,
    workflow: str | None,
    parameters: list[str] | None,
    param_file: Path | None,
    version: str | None = None,
) -> RunRequest:
    """Return what the options ask for.

    Raises:
        InvalidValue: A parameter is not of the form name=value, or stands twice; the file cannot be read.
    """
    from toolkit.spec.binding import parse_assignments, parse_param_file  # noqa: PLC0415 - YAML

    values: dict[str, object] = {}
    if param_file is not None:
        values |= parse_param_file(param_file)
    values |= parse_assignments(parameters or [])
    return RunRequest(uri=uri, entry_point=entry_point, workflow=workflow, parameters=values, version=version)
