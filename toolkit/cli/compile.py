"""``toolkit compile``: show the flow that a project compiles to."""

from __future__ import annotations

from pathlib import Path

import typer

from toolkit.cli import project
from toolkit.cli.render import say, show, show_json
from toolkit.errors import InvalidValue
from toolkit.wiring import plan_project

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def compile_(
    uri: str = project.URI,
    version: str | None = project.VERSION,
    entry_point: str | None = project.ENTRY_POINT,
    workflow: str | None = project.WORKFLOW,
    parameters: list[str] | None = project.PARAMETERS,
    param_file: Path | None = project.PARAM_FILE,
    as_json: bool = typer.Option(False, "--json", help="Print the graph as JSON."),
    mermaid: bool = typer.Option(False, "--mermaid", help="Print the graph as a Mermaid flowchart."),
) -> None:
    """Show the flow that a project compiles to: its steps and what they wait for. Nothing runs."""
    from toolkit.flows import graph  # noqa: PLC0415 - the spec and the flows, when there is something to show

    if as_json and mermaid:
        raise InvalidValue("--json and --mermaid were given: choose one")
    plan = plan_project(
        project.request(uri, entry_point, workflow, parameters, param_file, version), to_show=True, report=say
    )
    for warning in plan.project.warnings:
        say(f"warning: {f'{warning.mark}: ' if warning.mark else ''}{warning.message}")
    if as_json:
        show_json(graph.as_json(plan))
    else:
        show(graph.as_mermaid(plan) if mermaid else graph.as_tree(plan))
