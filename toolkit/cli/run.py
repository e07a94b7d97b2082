"""``toolkit run``: run a project as a Prefect flow."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal, NoReturn, cast

import typer

from toolkit.cli import project
from toolkit.cli.render import say, show, show_json
from toolkit.cli.store import find_run, opened
from toolkit.errors import InvalidValue, RunKilled
from toolkit.settings import load
from toolkit.wiring.request import RunRequest
from toolkit.wiring.runs import plan_project, resumed_request, run_project

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(
    epilog="Examples:  toolkit run examples/wine-quality  |  toolkit run . -e train -P alpha=0.3",
)
def run(
    uri: str = project.URI,
    version: str | None = project.VERSION,
    entry_point: str | None = project.ENTRY_POINT,
    workflow: str | None = project.WORKFLOW,
    parameters: list[str] | None = project.PARAMETERS,
    param_file: Path | None = project.PARAM_FILE,
    experiment_name: str | None = typer.Option(
        None, "--experiment-name", metavar="NAME", help="Experiment of the runs; made if there is none of this name."
    ),
    experiment_id: str | None = typer.Option(None, "--experiment-id", metavar="ID", help="The same by id."),
    run_name: str | None = typer.Option(None, "--run-name", metavar="NAME", help="Name of the run."),
    env_manager: str | None = typer.Option(
        None,
        "--env-manager",
        metavar="uv|conda|local",
        help="What steps run in: an environment of their own that uv or conda builds, or the interpreter that runs "
        "toolkit. Default: uv where the project declares an environment, conda for what uv cannot provide.",
    ),
    docker_args: list[str] | None = typer.Option(
        None,
        "-A",
        "--docker-args",
        metavar="NAME=VALUE",
        help="An argument of docker run for steps in containers, or NAME alone for a flag; may be repeated.",
    ),
    build_image: bool = typer.Option(
        False, "--build-image", help="Run containers from an image that is built with the project in it."
    ),
    no_cache: bool = typer.Option(
        False, "--no-cache", help="Take no step's results from the cache, and put none into it."
    ),
    refresh: list[str] = typer.Option(
        [], "--refresh", metavar="STEP", help="Run this step again, whatever the cache has; may be repeated."
    ),
    resume: str | None = typer.Option(
        None,
        "--resume",
        metavar="RUN",
        help="Go on where this run stopped, with its parameters: id, beginning of an id, name, or @last.",
    ),
    task_runner: str | None = project.TASK_RUNNER,
    dry_run: bool = typer.Option(
        False, "--dry-run", help="Print the exact shell command of each entry point that would run; run nothing."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print how the run ended as JSON on stdout."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="Print only what fails."),
) -> int:
    """Run a project as a Prefect flow, with every step tracked.

    Exit code: 0 if the run finished, 1 if it failed, 2 if the call or the project is wrong, 130 after Ctrl-C.
    """
    if env_manager == "virtualenv":  # what uv builds is one
        env_manager = "uv"
    if env_manager not in (None, "uv", "conda", "local"):
        raise InvalidValue(f"--env-manager is {env_manager!r}: wanted uv, conda or local")
    request = replace(
        project.request(uri, entry_point, workflow, parameters, param_file, version),
        experiment_name=experiment_name,
        experiment_id=experiment_id,
        run_name=run_name,
        env_manager=cast(Literal["uv", "conda", "local"] | None, env_manager),
        no_cache=no_cache,
        refresh=refresh,
        docker_args=tuple(docker_args or ()),
        build_image=build_image,
        task_runner=task_runner,
    )
    if resume is not None:
        given = {"-e": entry_point, "-w": workflow, "-P": parameters, "--param-file": param_file, "-v": version}
        request = _resumed(request, resume, [option for option, value in given.items() if value])
    if dry_run:
        from toolkit.flows.plan import dry_run as commands  # noqa: PLC0415 - the spec and the flows

        for command in commands(plan_project(request, report=say)):
            show(command)
        return 0
    from toolkit.cli.progress import Progress  # noqa: PLC0415 - the same

    progress = Progress(quiet=quiet or load().quiet)
    try:
        outcome = run_project(request, progress)
    except KeyboardInterrupt:  # once it has begun, a run ends in order and says so itself
        raise RunKilled("interrupted before the run began: nothing was recorded") from None
    progress.summary(outcome)
    if as_json:
        show_json({"schema": 1, **asdict(outcome)})
    elif outcome.exit_code and progress.quiet:
        say(f"error: {outcome.reason}")
    if not outcome.prefect_told:
        _leave(outcome.exit_code)
    return outcome.exit_code


def _resumed(request: RunRequest, text: str, given: list[str]) -> RunRequest:
    """Return what the run that a text names was asked to do."""
    if given:
        raise InvalidValue(f"--resume takes what the run was asked to do: leave out {' and '.join(given)}")
    with opened() as stores:
        run_id = find_run(stores, text).info.run_id
    return resumed_request(replace(request, resume=run_id), elsewhere=request.uri != ".")


def _leave(code: int) -> NoReturn:
    """End now: Prefect's threads would try for minutes to reach a server that is gone."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
