"""A project becomes a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from toolkit.errors import InvalidValue, ProjectError
from toolkit.recording.lease import Leases
from toolkit.recording.stores import Stores
from toolkit.settings import Settings, load
from toolkit.wiring.elsewhere import elsewhere_for
from toolkit.wiring.opened import open_stores
from toolkit.wiring.request import RunRequest
from toolkit.wiring.services import local_services, prepare_prefect, tracking_address
from toolkit.wiring.upkeep import sweep

if TYPE_CHECKING:
    from toolkit.flows.environments.recorded import RecordedEnvironments
    from toolkit.flows.launch import Program
    from toolkit.flows.plan import Plan
    from toolkit.flows.report import Reporter, RunOutcome
    from toolkit.flows.source import Source
    from toolkit.flows.step_cache import CacheOptions
    from toolkit.tracking.records import Experiment


def fetch_source(request: RunRequest, report: Callable[[str], None] = lambda _: None) -> Source:
    """Find the code that a request names, fetching what is not a directory of this machine.

    Raises:
        ProjectError: There is no such project, or it cannot be fetched.
        SourceUnavailable: Where it is does not answer.
    """
    from toolkit.flows.source import Fetching, fetch  # noqa: PLC0415 - what a run needs, when there is one

    settings = load()
    fetching = Fetching(root=settings.home / "sources", limit=settings.source_limit, report=report)
    return fetch(request.uri, caller=request.caller or Path.cwd(), version=request.version, fetching=fetching)


def plan_project(request: RunRequest, *, to_show: bool = False, report: Callable[[str], None] = lambda _: None) -> Plan:
    """Read a project and bind its parameters; nothing runs, and nothing is written but what has to be fetched.

    Args:
        request: The project, and what of it.
        to_show: Whether the plan is only shown: then a parameter may lack its value.
        report: Told when something is fetched.

    Raises:
        ProjectError: Something about the project or the values is wrong.
        SourceUnavailable: Where the project is does not answer.
    """
    return plan_fetched(fetch_source(request, report), request, to_show=to_show)


def plan_fetched(source: Source, request: RunRequest, *, to_show: bool = False) -> Plan:
    """Read a project that is here, and plan what is asked for, as `plan_project` does."""
    from toolkit.flows.plan import Target, make_plan  # noqa: PLC0415 - what a run needs, when there is one

    target = Target(
        entry_point=request.entry_point,
        workflow=request.workflow,
        parameters=request.parameters,
        caller=request.caller or Path.cwd(),
        to_show=to_show,
    )
    plan = make_plan(source, target)
    _check_deploying(plan)
    return plan


def _check_deploying(plan: Plan) -> None:
    """Refuse what a step can never deploy, as far as its values are known: better now than when all else is done.

    Raises:
        ProjectError: The deployment's name, the target or the configuration is none.
    """
    deploying = [step.deploy for step in plan.workflow.steps.values() if step.deploy is not None]
    if not deploying:
        return
    from toolkit.deployments.config import ServiceConfig  # noqa: PLC0415 - where a step deploys
    from toolkit.deployments.names import check_name  # noqa: PLC0415 - the same
    from toolkit.deployments.targets.lookup import names  # noqa: PLC0415 - the same

    for each in deploying:
        fixed = {name: template.source for name, template in each.values.items() if template.constant}
        target = fixed.get("target", "local")
        try:
            check_name(str(fixed.get("name", "fits")))
            if target not in names():
                raise InvalidValue(f"there is no target {target!r}: there are {', '.join(names())}")
            ServiceConfig.from_dict({name: fixed[name] for name in ("workers",) if name in fixed})
        except (InvalidValue, TypeError) as error:
            raise ProjectError(f"'deploy': {error}", mark=each.mark) from None


def resumed_request(request: RunRequest, *, elsewhere: bool = False) -> RunRequest:
    """Return what a run that stopped was asked to do, to go on with it.

    Args:
        request: Names the run in ``resume``; what else it says of how to run holds.
        elsewhere: Whether its URI is where the project is by now.

    Raises:
        Conflict: The run has finished, or still goes on.
        InvalidValue: It is no workflow's run.
        NotFound: There is none of this id.
    """
    from toolkit.flows.resume import asked, check_resumable  # noqa: PLC0415 - rare

    assert request.resume is not None
    stores = open_stores(load())
    try:
        run = stores.runs.get_run(request.resume)
    finally:
        stores.close()
    told = asked(run)
    check_resumable(run)
    manager = told.env_manager if told.env_manager in ("uv", "conda", "local") else None
    named = request.experiment_name is not None or request.experiment_id is not None
    return replace(
        request,
        uri=request.uri if elsewhere else told.uri,
        version=told.version,
        entry_point=told.entry_point,
        workflow=told.workflow,
        parameters=told.parameters,
        caller=None if elsewhere or told.caller is None else Path(told.caller),
        experiment_id=request.experiment_id if named else run.info.experiment_id,
        env_manager=request.env_manager or cast(Literal["uv", "conda", "local"] | None, manager),
        docker_args=request.docker_args or tuple(told.docker_args or ()),
        build_image=request.build_image or bool(told.build_image),
    )


def run_project(request: RunRequest, reporter: Reporter) -> RunOutcome:
    """Run a project as a Prefect flow, recorded in the stores that the settings name.

    Raises:
        ProjectError: Something about the project, the values or an environment is wrong; nothing was recorded.
        ServiceError: Prefect's server cannot be used; nothing was recorded.
    """
    from toolkit.flows.plan import check_runnable  # noqa: PLC0415 - what a run needs, when there is one
    from toolkit.flows.working_copy import working_copy  # noqa: PLC0415 - the same

    if request.experiment_name is not None and request.experiment_id is not None:
        raise InvalidValue("an experiment was given by name and by id: choose one")
    fetched = fetch_source(request, reporter.note)
    with working_copy(fetched, load().home / "copies", reporter.note) as source:
        plan = plan_fetched(source, request)
        check_runnable(plan)
        return run_plan(plan, request, reporter)


def run_plan(
    plan: Plan,
    request: RunRequest,
    reporter: Reporter,
    program: Program | None = None,
    *,
    recorded: RecordedEnvironments | None = None,
    tags: Mapping[str, str] | None = None,
) -> RunOutcome:
    """Run a plan that was made, and checked, already.

    Args:
        plan: What to run.
        request: What else `run_project` takes; its project and values are not looked at.
        reporter: Who is told.
        program: A flow that calls its steps itself, instead of the plan's graph.
        recorded: What steps run in, where it is that of an earlier run.
        tags: Tags of the parent run besides its own.

    Raises:
        ProjectError: An environment cannot be built; nothing was recorded.
        ServiceError: Prefect's server cannot be used; nothing was recorded.
    """
    from toolkit.flows.container_step import remove_left_containers  # noqa: PLC0415 - what a run needs, if there is one
    from toolkit.flows.environments.container import DockerOptions  # noqa: PLC0415 - the same
    from toolkit.flows.launch import Launch, LaunchOptions  # noqa: PLC0415 - the same
    from toolkit.flows.resume import Resumed  # noqa: PLC0415 - the same

    settings = load()
    stores = open_stores(settings)
    try:
        for run in sweep(stores, settings):
            reporter.note(f"run {run.info.run_name} ({run.info.run_id}) was lost: {run.info.reason}")
        remove_left_containers(settings.home, reporter.note)
        options = LaunchOptions(
            experiment=experiment_for(request, settings, stores),
            run_name=request.run_name,
            parent_run_id=settings.run_id,
            env_manager=request.env_manager or settings.env_manager,
            docker=DockerOptions(arguments=request.docker_args, build_image=request.build_image),
            grace=settings.grace,
            max_parallel=settings.max_parallel_steps,
            cache=_cache_options(plan, request),
            resumed=None if request.resume is None else Resumed(stores.runs, stores.runs.get_run(request.resume)),
            elsewhere=elsewhere_for(plan, request, settings, stores, reporter) if program is None else None,
            recorded=recorded,
            tags=tags or {},
        )
        leases = Leases(stores.runs, lease_ms=stores.lease_ms)
        prepare_prefect(settings)
        launch = Launch(plan, options, stores=stores, leases=leases, reporter=reporter, program=program)
        return launch.run(local_services(settings).ensure_prefect, partial(tracking_address, settings))
    finally:
        stores.close()


def _cache_options(plan: Plan, request: RunRequest) -> CacheOptions:
    """Return what of the cache is wanted.

    Raises:
        InvalidValue: A step that is to run again is none of the plan's.
    """
    from toolkit.flows.step_cache import CacheOptions  # noqa: PLC0415 - what a run needs, when there is one
    from toolkit.spec.suggestion import hint  # noqa: PLC0415 - the same

    for name in request.refresh:
        if name not in plan.workflow.steps:
            raise InvalidValue(f"--refresh {name!r}: there is no such step: {hint(name, plan.workflow.steps)}")
    return CacheOptions(off=request.no_cache, refresh=frozenset(request.refresh))


def experiment_for(request: RunRequest, settings: Settings, stores: Stores) -> Callable[[], Experiment]:
    """Return what gives the experiment that runs go to: the request's, else the settings', else ``Default``.

    One named by its id must be there now; one named by its name is made when the run begins, not before.
    """
    if request.experiment_name is not None:
        return partial(stores.runs.ensure_experiment, request.experiment_name)
    number = request.experiment_id or settings.experiment_id
    if number is None and settings.experiment_name is not None:
        return partial(stores.runs.ensure_experiment, settings.experiment_name)
    found = stores.runs.get_experiment(number or "0")
    return lambda: found
