"""Projects that Prefect's workers run: deployed, listed, served, run."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from toolkit.errors import ToolkitError
from toolkit.recording.lease import was_lost
from toolkit.recording.stores import Stores
from toolkit.settings import load, set_default_variables
from toolkit.transport.address import has_password, is_server
from toolkit.wiring.elsewhere import elsewhere_with
from toolkit.wiring.graphs import publish_plans
from toolkit.wiring.opened import open_stores
from toolkit.wiring.request import RunRequest
from toolkit.wiring.runs import fetch_source, plan_fetched, run_plan
from toolkit.wiring.services import local_services, prepare_prefect
from toolkit.wiring.upkeep import sweep

if TYPE_CHECKING:
    from toolkit.flows.deployed import Deployed
    from toolkit.flows.deployed_flow import JoinedProgram
    from toolkit.flows.deployments import Deployment, Deployments, Wanted
    from toolkit.flows.plan import Plan
    from toolkit.flows.report import Reporter, RunOutcome
    from toolkit.flows.source import Source


@contextlib.contextmanager
def open_deployments(report: Callable[[str], None]) -> Iterator[Deployments]:
    """Give the deployments of Prefect's server, which is started if need be.

    Args:
        report: Takes lines of progress.

    Raises:
        ServiceError: It does not start, does not answer, or fails.
    """
    settings = load()
    prepare_prefect(settings)
    server = local_services(settings).ensure_prefect(report)
    from toolkit.flows.deployments import Deployments  # noqa: PLC0415 - imports Prefect

    with Deployments(server.api_url).session() as deployments:
        yield deployments


def end_lost_runs(deployments: Deployments) -> list[str]:
    """Tell Prefect of the runs of deployments whose worker died with them; return their names.

    The tracked run of each has been found to be lost, by the tracking server or by us; Prefect would show it as running
    for ever.
    """
    running = deployments.running()
    if not running:
        return []
    from toolkit.tracking.records import RunQuery  # noqa: PLC0415 - where projects are deployed

    settings = load()
    stores = open_stores(settings)
    ended = []
    try:
        sweep(stores, settings)
        for one in running:
            for run in stores.runs.list_runs(RunQuery(run_name=one.name, top_level=True)).items:
                if was_lost(run.info) and run.data.tags.get("prefect.flow_run_id") == one.flow_run_id:
                    deployments.end(one, f"run {run.info.run_id}: {run.info.reason}")
                    ended.append(one.name)
    finally:
        stores.close()
    return ended


def deploy_project(
    request: RunRequest, wanted: Wanted, deployments: Deployments, report: Callable[[str], None]
) -> Deployment:
    """Deploy a project: put its code where workers find it, and tell Prefect.

    Args:
        request: What `run_project` takes; of how to run, experiment, environment manager and task runner hold.
        wanted: How it is deployed.
        deployments: Where.
        report: Takes lines of progress.

    Raises:
        ProjectError: Something about the project or the values is wrong; nothing was deployed.
    """
    from toolkit.flows.deployed import Deployed, place_code  # noqa: PLC0415 - where projects are deployed
    from toolkit.flows.plan import check_supported  # noqa: PLC0415 - the same
    from toolkit.flows.task_runner import read_runner  # noqa: PLC0415 - the same

    settings = load()
    source = fetch_source(request, report)
    plan = plan_fetched(source, request, to_show=wanted.schedule is None)
    check_supported(plan)
    read_runner(request.task_runner)
    deployments.ensure_pool(wanted.pool, wanted.pool_type)
    stores = open_stores(settings)
    try:
        with tempfile.TemporaryDirectory(prefix="toolkit-") as folder:
            code = place_code(
                source,
                stores,
                Path(folder),
                deployment=wanted.name,
                experiment_id=settings.experiment_id or "0",
                limit=settings.source_limit,
                report=report,
            )
    finally:
        stores.close()
    project = Deployed(
        name=wanted.name,
        uri=source.name if source.fetched else str(source.directory),
        code=code,
        entry_point=plan.workflow.name if plan.single else None,
        workflow=None if plan.single else plan.workflow.name,
        extra=plan.extra,
        experiment=request.experiment_name or settings.experiment_name,
        env_manager=request.env_manager or settings.env_manager,
        runner=request.task_runner,
        variables=_told_workers(stores, report),
    )
    made = deployments.deploy(plan, project, wanted)
    _publish(plan, request, made, report)
    return made


def _publish(plan: Plan, request: RunRequest, made: Deployment, report: Callable[[str], None]) -> None:
    """Keep the graph of what was deployed, so that pages show it before it has run. The deployment holds without it."""
    from toolkit.flows.published_graph import PublishedDeployment  # noqa: PLC0415 - where projects are deployed

    server = local_services(load()).ensure_prefect(report)
    told = PublishedDeployment(
        id=made.id,
        name=made.name,
        schedule=made.schedule or "",
        timezone=made.timezone or "",
        pool=made.pool or "",
        paused=made.paused,
        url=f"{server.ui_url}/deployments/deployment/{made.id}" if server.ui_url else "",
    )
    try:
        publish_plans([plan], request, told)
    except ToolkitError as error:
        report(f"its graph is not shown before it runs: {error}")


def _told_workers(stores: Stores, report: Callable[[str], None]) -> dict[str, str]:
    """Return the variables that say a worker where to record its runs; no secret is among them."""
    told = dict(stores.artifact_variables)
    if has_password(stores.tracking_uri):
        report("the tracking URI has a password, which is not deployed: set TOOLKIT_TRACKING_URI where the workers run")
        return told
    told["TOOLKIT_TRACKING_URI"] = stores.tracking_uri
    if not is_server(stores.tracking_uri):  # a server says so itself
        told["TOOLKIT_ARTIFACT_ROOT"] = stores.artifact_root
    return told


def fetch_deployed(project: Deployed, report: Callable[[str], None] = lambda _: None) -> Source:
    """Fetch the code of a deployed project, unless it is here; settings that this process lacks are the deployment's.

    Raises:
        NotFound: The artifact store has no such snapshot.
        ProjectError: The code cannot be fetched.
        SourceUnavailable: Where it is does not answer.
    """
    from toolkit.flows.deployed import get_code  # noqa: PLC0415 - on workers only
    from toolkit.flows.source import Fetching  # noqa: PLC0415 - the same

    set_default_variables(**project.variables)
    settings = load()
    fetching = Fetching(root=settings.home / "sources", limit=settings.source_limit, report=report)
    stores = open_stores(settings)
    try:
        return get_code(project.code, stores, fetching)
    finally:
        stores.close()


def run_deployed(
    project: Deployed, given: Mapping[str, object], program: JoinedProgram, run_name: str, reporter: Reporter
) -> RunOutcome:
    """Run a deployed project inside of a flow run that is there already.

    Args:
        project: The project.
        given: The flow's parameters; others have their defaults.
        program: What is told to run the steps.
        run_name: Name of the run.
        reporter: Who is told.

    Raises:
        ToolkitError: It cannot be run; nothing was recorded.
    """
    from toolkit.flows.compile import flow_parameter_names  # noqa: PLC0415 - imports Prefect
    from toolkit.flows.plan import check_runnable  # noqa: PLC0415 - on workers only
    from toolkit.flows.working_copy import working_copy  # noqa: PLC0415 - the same

    fetched = fetch_deployed(project, reporter.note)
    with working_copy(fetched, load().home / "copies", reporter.note) as source:
        request = RunRequest(
            uri=project.uri,
            entry_point=project.entry_point,
            workflow=project.workflow,
            experiment_name=project.experiment,
            run_name=run_name,
            env_manager=cast(Literal["uv", "conda", "local"] | None, project.env_manager),
            caller=source.directory,
            task_runner=project.runner,
        )
        if project.runner is not None:
            program.elsewhere = elsewhere_with(request, load(), project.code)
        names = flow_parameter_names(plan_fetched(source, request, to_show=True))
        own = {flow_name: name for name, flow_name in names.items()}
        values = {own.get(name, name): value for name, value in given.items()}
        plan = plan_fetched(source, replace(request, parameters={**project.extra, **values}))
        check_runnable(plan)
        program.parameters = plan.parameters
        return run_plan(plan, request, reporter, program)


def serve_deployments(pool: str, *, name: str | None, limit: int | None, report: Callable[[str], None]) -> None:
    """Be a worker of a work pool until the process is told to end.

    Args:
        pool: The work pool; ours is made if there is none.
        name: Name of the worker.
        limit: How many flow runs at the same time.
        report: Takes lines of progress.

    Raises:
        InvalidValue: What serves pools of this kind is not installed.
        NotFound: There is no such work pool.
        ServiceError: Prefect's server cannot be used.
    """
    settings = load()
    with open_deployments(report) as deployments:
        deployments.ensure_pool(pool)
        kind = deployments.pool(pool).type
        for lost in end_lost_runs(deployments):
            report(f"run {lost} was lost with its worker")
    from toolkit.flows.worker import serve  # noqa: PLC0415 - imports Prefect

    server = local_services(settings).ensure_prefect(report)
    serve(server.api_url, pool, kind, name=name, limit=limit, grace=settings.grace, report=report)
