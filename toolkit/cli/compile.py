"""``toolkit compile``: show the flow that a project compiles to, or write it as a file of Python."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from toolkit.cli import project
from toolkit.cli.new_file import write_new_file
from toolkit.cli.published import published_pages
from toolkit.cli.render import say, show, show_json
from toolkit.errors import InvalidValue
from toolkit.wiring.request import RunRequest
from toolkit.wiring.runs import plan_project
from toolkit.wiring.services import prepare_prefect

if TYPE_CHECKING:
    from toolkit.flows.plan import Plan

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
    output: Path | None = typer.Option(
        None,
        "-o",
        "--output",
        metavar="FILE",
        help="Write the flow as a file of Python, to edit and run; - for stdout.",
    ),
    force: bool = typer.Option(False, "--force", help="With -o: overwrite the file."),
    select: str | None = typer.Option(
        None,
        "--select",
        metavar="STEPS",
        help="Only these steps: a name, train+ and all after it, +promote and before.",
    ),
    publish: bool = typer.Option(
        False, "--publish", help="Show the project's workflows on the pages of the tracking server, before they run."
    ),
    experiment_name: str | None = typer.Option(
        None, "--experiment-name", metavar="NAME", help="With --publish: the experiment that the runs will go to."
    ),
) -> None:
    """Show the flow that a project compiles to: its steps and what they wait for. Nothing runs."""
    from toolkit.flows import graph  # noqa: PLC0415 - the spec and the flows, when there is something to show

    chosen = [name for name, given in (("--json", as_json), ("--mermaid", mermaid), ("-o", output)) if given]
    if len(chosen) > 1:
        raise InvalidValue(f"{' and '.join(chosen)} were given: choose one")
    request = project.request(uri, entry_point, workflow, parameters, param_file, version)
    if publish:
        if chosen or select:
            raise InvalidValue(f"--publish and {chosen[0] if chosen else '--select'} were given: choose one")
        _publish(replace(request, experiment_name=experiment_name))
        return
    if experiment_name is not None:
        raise InvalidValue("--experiment-name was given without --publish: nothing else of compile has an experiment")
    plan = plan_project(request, to_show=True, report=say)
    if select:
        plan = graph.selected(plan, select)
    for warning in plan.project.warnings:
        say(f"warning: {f'{warning.mark}: ' if warning.mark else ''}{warning.message}")
    if output is not None:
        _write(plan, output, force=force)
    elif as_json:
        show_json(graph.as_json(plan))
    else:
        show(graph.as_mermaid(plan) if mermaid else graph.as_tree(plan))


def _publish(request: RunRequest) -> None:
    for place in published_pages(request, say):
        show(place)


def _write(plan: Plan, target: Path, *, force: bool) -> None:
    prepare_prefect()
    from toolkit.flows.export import flow_file  # noqa: PLC0415 - imports Prefect

    text = flow_file(plan, target)
    if str(target) == "-":
        show(text.rstrip("\n"))
        return
    write_new_file(target, text, force=force)
    say(f"wrote {target}; see what it takes: python {shlex.quote(str(target))} --help")
