"""``toolkit flows``: projects as Prefect deployments, which workers run on a schedule or when somebody asks."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import typer

from toolkit.cli import project
from toolkit.cli.render import say, show, show_json, show_table
from toolkit.errors import InvalidValue, ToolkitError
from toolkit.wiring.graphs import note_deployment
from toolkit.wiring.schedules import deploy_project, end_lost_runs, open_deployments, serve_deployments

if TYPE_CHECKING:
    from toolkit.flows.deployments import Deployment, Deployments, Pool, PoolType, Triggered

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Deploy projects: on a schedule, on request, on other machines.",
)

_POOL = "toolkit"
_POLL = 0.5  # seconds between looks at a run that is waited for
NAME = typer.Argument(..., metavar="NAME", help="The deployment: nightly, or wine/nightly.")
AS_JSON = typer.Option(False, "--json", help="Print JSON.")


@app.command(
    epilog="Examples:  toolkit flows deploy . --name nightly --cron '0 2 * * *'  |  toolkit flows deploy "
    "https://github.com/me/wine.git#train --name train -P alpha=0.3 --work-pool gpu",
)
def deploy(
    uri: str = project.URI,
    name: str = typer.Option(..., "--name", "-n", metavar="NAME", help="Name of the deployment."),
    version: str | None = project.VERSION,
    entry_point: str | None = project.ENTRY_POINT,
    workflow: str | None = project.WORKFLOW,
    parameters: list[str] | None = project.PARAMETERS,
    param_file: Path | None = project.PARAM_FILE,
    cron: str | None = typer.Option(None, "--cron", metavar="CRON", help="Run at these times, such as '0 6 * * 1-5'."),
    interval: str | None = typer.Option(
        None, "--interval", metavar="TIME", help="Run this often: seconds, or 30m, 6h, 1d."
    ),
    rrule: str | None = typer.Option(
        None, "--rrule", metavar="RULE", help="Run by a rule of RFC 5545, such as FREQ=MONTHLY;BYDAY=-1FR."
    ),
    timezone: str | None = typer.Option(
        None, "--timezone", metavar="ZONE", help="Time zone of the schedule, such as Europe/Berlin; default: UTC."
    ),
    work_pool: str = typer.Option(
        _POOL, "--work-pool", "-p", metavar="POOL", help="Work pool whose workers run it; ours is made if need be."
    ),
    pool_type: str | None = typer.Option(
        None, "--pool-type", metavar="process|docker|kubernetes", help="Make the work pool, of this type, if need be."
    ),
    image: str | None = typer.Option(
        None, "--image", metavar="IMAGE", help="Image with toolkit in it, for docker and kubernetes work pools."
    ),
    job_variables: list[str] | None = typer.Option(
        None, "--job-variable", metavar="NAME=VALUE", help="What workers start it with, as JSON or text; may repeat."
    ),
    paused: bool = typer.Option(False, "--paused", help="Let the schedule wait for toolkit flows resume."),
    experiment_name: str | None = typer.Option(
        None, "--experiment-name", metavar="NAME", help="Experiment of the runs; made if there is none of this name."
    ),
    env_manager: str | None = typer.Option(
        None, "--env-manager", metavar="uv|conda|local", help="What steps run in, as for toolkit run."
    ),
    task_runner: str | None = project.TASK_RUNNER,
    as_json: bool = AS_JSON,
) -> None:
    """Deploy a project: Prefect runs it on a schedule, or when it is triggered, by the workers of a work pool.

    The code goes along: as the commit of a Git URL, else as a snapshot of the directory in the artifact store.
    """
    request = replace(
        project.request(uri, entry_point, workflow, parameters, param_file, version),
        experiment_name=experiment_name,
        env_manager=_env_manager(env_manager),
        task_runner=task_runner,
    )
    if pool_type not in (None, "process", "docker", "kubernetes"):
        raise InvalidValue(f"--pool-type is {pool_type!r}: wanted process, docker or kubernetes")
    variables = _job_variables(job_variables or [], image)
    with open_deployments(say) as deployments:
        from toolkit.flows.deployments import Wanted, make_schedule  # noqa: PLC0415 - imports Prefect

        wanted = Wanted(
            name=name,
            schedule=make_schedule(cron=cron, interval=interval, rrule=rrule, timezone=timezone),
            pool=work_pool,
            pool_type=cast("PoolType | None", pool_type),
            job_variables=variables,
            paused=paused,
        )
        made = deploy_project(request, wanted, deployments, say)
        pool = deployments.pool(work_pool)
        if as_json:
            show_json({"schema": 1, **_plain(made), "workers": list(pool.workers)})
        else:
            show(f"{made.name}: {made.project.code}, {made.schedule or 'on request'}, in work pool {pool.name}")
        _warn(pool, image=bool(variables.get("image")))


@app.command("list")
def list_(as_json: bool = AS_JSON) -> None:
    """List the deployments: what they run, when, and who would run it."""
    with open_deployments(say) as deployments:
        for lost in end_lost_runs(deployments):
            say(f"run {lost} was lost with its worker")
        found = deployments.every()
        pools = {name: deployments.pool(name) for name in {one.pool for one in found if one.pool}}
        if as_json:
            show_json(
                {
                    "schema": 1,
                    "deployments": [
                        {**_plain(one), "workers": list(pools[one.pool].workers) if one.pool else []} for one in found
                    ],
                }
            )
            return
        if not found:
            show("nothing is deployed; toolkit flows deploy does it")
            return
        rows = [
            (
                one.name,
                (one.schedule or "on request") + (f" {one.timezone}" if one.timezone else ""),
                "paused" if one.paused else "ready",
                f"{one.pool} ({_count(pools[one.pool])})" if one.pool else "",
                str(one.project.code),
            )
            for one in found
        ]
        show_table(("deployment", "schedule", "state", "work pool", "code"), rows)
        for pool in pools.values():
            _warn(pool, image=True)


@app.command()
def trigger(
    name: str = NAME,
    parameters: list[str] | None = project.PARAMETERS,
    param_file: Path | None = project.PARAM_FILE,
    wait: bool = typer.Option(False, "--wait", help="Wait until the run has ended; exit code 1 if it failed."),
    timeout: float | None = typer.Option(
        None, "--timeout", metavar="SECONDS", help="With --wait: give up after this long; the run goes on."
    ),
    as_json: bool = AS_JSON,
) -> int:
    """Ask for a run of a deployment now. A worker of its work pool runs it."""
    values = project.request(".", None, None, parameters, param_file).parameters
    with open_deployments(say) as deployments:
        found = deployments.find(name)
        run = deployments.trigger(found, values)
        pool = None if found.pool is None else deployments.pool(found.pool)
        if not as_json:
            show(f"{run.deployment}: run {run.name} ({run.flow_run_id})")
        if pool is not None:
            _warn(pool, image=True)
        if wait:
            run = _wait(deployments, found, run, timeout)
        if as_json:
            show_json({"schema": 1, **asdict(run)})
        elif wait:
            show(f"{run.name}: {run.state}{f', {run.message}' if run.message else ''}")
    return 0 if not wait or run.state == "COMPLETED" else 1


@app.command()
def pause(name: str = NAME) -> None:
    """Let the schedule of a deployment wait until it is resumed; it can be triggered all the same."""
    with open_deployments(say) as deployments:
        found = deployments.find(name)
        deployments.set_paused(found, True)
        _note(found, paused=True)
        show(f"{found.name}: paused")


@app.command()
def resume(name: str = NAME) -> None:
    """Let the schedule of a paused deployment go on."""
    with open_deployments(say) as deployments:
        found = deployments.find(name)
        deployments.set_paused(found, False)
        _note(found, paused=False)
        show(f"{found.name}: {found.schedule or 'on request'}")


@app.command()
def delete(name: str = NAME) -> None:
    """Delete a deployment. Its runs stay; what is scheduled of it does not run any more."""
    with open_deployments(say) as deployments:
        found = deployments.find(name)
        deployments.delete(found)
        _note(found, paused=None)
        show(f"{found.name}: deleted")


@app.command()
def serve(
    work_pool: str = typer.Option(_POOL, "--work-pool", "-p", metavar="POOL", help="The work pool to serve."),
    name: str | None = typer.Option(None, "--name", "-n", metavar="NAME", help="Name of this worker."),
    limit: int | None = typer.Option(
        None, "--limit", metavar="N", min=1, help="How many runs at the same time; default: as many as come."
    ),
) -> None:
    """Be a worker: run what is deployed to a work pool, until Ctrl-C. Start as many as there are machines."""
    serve_deployments(work_pool, name=name, limit=limit, report=say)


def _note(found: Deployment, *, paused: bool | None) -> None:
    """Note with the workflow's graph what became of a deployment; what was done in Prefect holds without it."""
    try:
        note_deployment(found.id, paused=paused)
    except ToolkitError as error:
        say(f"the pages do not know of it yet: {error}")


def _wait(deployments: Deployments, found: Deployment, run: Triggered, timeout: float | None) -> Triggered:
    begun = time.monotonic()
    while True:
        run, ended = deployments.look(run, found)
        if ended:
            return run
        if timeout is not None and time.monotonic() - begun > timeout:
            say(f"{run.name} has not ended after {timeout:g} s; it is {run.state} and goes on")
            return run
        time.sleep(_POLL)


def _count(pool: Pool) -> str:
    return f"{len(pool.workers)} {'worker' if len(pool.workers) == 1 else 'workers'}"


def _warn(pool: Pool, *, image: bool) -> None:
    """Say what keeps a work pool from running anything."""
    if not image and pool.type in ("docker", "kubernetes"):
        say(f"work pool {pool.name} is a {pool.type} pool: name an image that has toolkit in it with --image")
    if pool.paused:
        say(f"work pool {pool.name} is paused: nothing runs until somebody resumes it in Prefect")
    if not pool.workers:
        own = "" if pool.name == _POOL else f" --work-pool {pool.name}"
        say(f"no worker serves work pool {pool.name}: start one with `toolkit flows serve{own}`")


def _env_manager(text: str | None) -> Literal["uv", "conda", "local"] | None:
    if text == "virtualenv":
        text = "uv"
    if text not in (None, "uv", "conda", "local"):
        raise InvalidValue(f"--env-manager is {text!r}: wanted uv, conda or local")
    return cast(Literal["uv", "conda", "local"] | None, text)


def _job_variables(texts: list[str], image: str | None) -> dict[str, object]:
    from toolkit.spec.binding import parse_assignments  # noqa: PLC0415 - YAML

    found: dict[str, object] = {} if image is None else {"image": image}
    for name, text in parse_assignments(texts).items():
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _plain(one: Deployment) -> dict[str, object]:
    said = asdict(one)
    said["project"]["variables"] = sorted(one.project.variables)
    return said
