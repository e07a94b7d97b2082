"""Deployments on Prefect's server: made of a plan, listed, run, paused and deleted. Importing this imports Prefect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, WorkerStatus, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import (
    CronSchedule,
    IntervalSchedule,
    RRuleSchedule,
    construct_schedule,
)
from prefect.exceptions import ObjectNotFound, PrefectException, PrefectHTTPStatusError
from prefect.states import Completed, Crashed

from toolkit.errors import InvalidValue, NotFound, ServiceError
from toolkit.flows.compile import compile_flow, flow_arguments, flow_parameter_names
from toolkit.flows.deployed import ENTRYPOINT, Deployed, read_step
from toolkit.flows.plan import Plan
from toolkit.flows.prefect_session import prefect_settings
from toolkit.spec.parameter_type import converted
from toolkit.spec.project import Parameter

OWN_POOL = "toolkit"
"""The work pool that deployments go to unless another one is named; it is made when it is needed."""
TAG = "toolkit"
"""Tag of our deployments in Prefect."""

PoolType = Literal["process", "docker", "kubernetes"]
Schedule = CronSchedule | IntervalSchedule | RRuleSchedule

_PAGE = 200
_DAY = 86_400
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": _DAY}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """A work pool.

    Attributes:
        name: Its name.
        type: What its workers start: ``process``, ``docker``, ``kubernetes`` or another one of Prefect's.
        workers: Names of the workers that serve it now.
        paused: Whether it starts nothing.
    """

    name: str
    type: str
    workers: tuple[str, ...]
    paused: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """How to deploy.

    Attributes:
        name: Name of the deployment.
        schedule: When it runs by itself.
        pool: The work pool.
        pool_type: What to make the pool of, where there is none; ``None``: only our own pool is made.
        job_variables: What workers start it with, such as ``image``.
        paused: Whether its schedule waits until it is resumed.
    """

    name: str
    schedule: Schedule | None = None
    pool: str = OWN_POOL
    pool_type: PoolType | None = None
    job_variables: Mapping[str, object] | None = None
    paused: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """A deployment of ours.

    Attributes:
        id: Its id.
        name: Its name, with its flow's: ``wine/nightly``.
        project: What it runs.
        schedule: When it runs by itself, in words; ``None``: only when it is triggered.
        timezone: Time zone of the schedule.
        pool: Its work pool.
        paused: Whether its schedule waits.
        parameters: Values that its runs have unless others are given.
    """

    id: str
    name: str
    project: Deployed
    schedule: str | None
    timezone: str | None
    pool: str | None
    paused: bool
    parameters: Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Triggered:
    """A run of a deployment that was asked for.

    Attributes:
        flow_run_id: Prefect's id of it.
        name: Its name, which is that of the tracked run.
        state: Prefect's state of it.
        message: What Prefect says of the state.
        deployment: Name of the deployment.
    """

    flow_run_id: str
    name: str
    state: str
    message: str | None
    deployment: str


def make_schedule(
    *, cron: str | None = None, interval: str | None = None, rrule: str | None = None, timezone: str | None = None
) -> Schedule | None:
    """Return a schedule; ``None`` where none is described.

    Args:
        cron: Five fields, such as ``0 6 * * 1-5``.
        interval: Seconds, or a number with a unit: ``30m``, ``6h``, ``1d``.
        rrule: A rule of RFC 5545, such as ``FREQ=MONTHLY;BYDAY=-1FR``.
        timezone: An IANA name; default: UTC.

    Raises:
        InvalidValue: It cannot be read, or there are two.
    """
    given = {"--cron": cron, "--interval": interval, "--rrule": rrule}
    named = [f"{option} {value!r}" for option, value in given.items() if value is not None]
    if len(named) > 1:
        raise InvalidValue(f"{' and '.join(named)} were given: a deployment has one schedule")
    if not named:
        if timezone is not None:
            raise InvalidValue(f"--timezone {timezone} was given without a schedule: add --cron, --interval or --rrule")
        return None
    seconds = None if interval is None else _seconds(interval)
    try:
        made: Schedule = construct_schedule(cron=cron, interval=seconds, rrule=rrule, timezone=timezone or "UTC")  # type: ignore[assignment]  # its fourth kind is none
    except (ValueError, TypeError) as error:  # pydantic's is one
        why = error.errors()[0]["msg"] if hasattr(error, "errors") else str(error)
        raise InvalidValue(
            f"{named[0]}{f' in time zone {timezone}' if timezone else ''} is no schedule: {why}"
        ) from None
    return made


def _seconds(text: str) -> timedelta:
    unit = _UNITS.get(text[-1:])
    number = text[:-1] if unit else text
    try:
        seconds = float(number) * (unit or 1)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds < 10_000 * _DAY:
        raise InvalidValue(f"--interval is {text!r}: wanted seconds, or a number with a unit, such as 30m, 6h or 1d")
    return timedelta(seconds=seconds)


class Deployments:
    """The deployments of one Prefect server. Use it in a ``with`` block.

    Args:
        api_url: The server's API address.
    """

    def __init__(self, api_url: str) -> None:
        self._api_url = api_url
        self._client: SyncPrefectClient
        self._flows: dict[UUID, str] = {}

    @contextmanager
    def session(self) -> Iterator[Deployments]:
        """Hold a connection.

        Raises:
            ServiceError: The server does not answer, or refuses.
        """
        try:
            with prefect_settings(self._api_url), get_client(sync_client=True) as client:
                self._client = client
                yield self
        except (httpx.HTTPError, PrefectException) as error:
            raise ServiceError(f"Prefect's server at {self._api_url} failed: {_explained(error)}") from error

    # -- making ------------------------------------------------------------------------------------

    def deploy(self, plan: Plan, project: Deployed, wanted: Wanted) -> Deployment:
        """Make a deployment, or change the one of this name.

        Args:
            plan: What it runs, with the values that were given.
            project: Where a worker finds it.
            wanted: How.

        Raises:
            InvalidValue: A job variable does not fit the pool.
            NotFound: There is no such work pool.
        """
        self.ensure_pool(wanted.pool, wanted.pool_type)
        flow = compile_flow(plan, _never, max_parallel=1)
        names = flow_parameter_names(plan)
        values = flow_arguments(plan)
        schedules = [] if wanted.schedule is None else [DeploymentScheduleCreate(schedule=wanted.schedule, active=True)]
        flow_id = self._client.create_flow_from_name(plan.flow_name)
        try:
            deployment_id = self._client.create_deployment(
                flow_id=flow_id,
                name=wanted.name,
                version=flow.version,
                schedules=schedules,
                parameters={names[name]: values[names[name]] for name in plan.given if name in names},
                description=plan.workflow.description,
                tags=[TAG],
                work_pool_name=wanted.pool,
                entrypoint=ENTRYPOINT,
                parameter_openapi_schema=_schema(plan, flow.parameters.model_dump_for_openapi()),
                pull_steps=[project.as_step()],
                enforce_parameter_schema=True,
                job_variables=dict(wanted.job_variables or {}),
                paused=wanted.paused,
            )
        except PrefectHTTPStatusError as error:
            if error.response.status_code in (409, 422):
                raise InvalidValue(f"Prefect refuses the deployment {wanted.name!r}: {_explained(error)}") from None
            raise
        if not schedules:  # one that was there is kept unless this is said
            self._client.update_deployment(deployment_id, DeploymentUpdate(schedules=[]))
        return self._describe(self._client.read_deployment(deployment_id))

    def ensure_pool(self, name: str, kind: PoolType | None = None) -> None:
        """Make a work pool if there is none of this name and it may be made.

        Args:
            name: Its name.
            kind: What to make; ``None``: nothing, unless it is our own.

        Raises:
            InvalidValue: It is of another kind.
            NotFound: There is none, and it may not be made.
        """
        try:
            found = self._client.read_work_pool(name)
        except ObjectNotFound:
            found = None
        if found is not None:
            if kind not in (None, found.type):
                raise InvalidValue(f"work pool {name!r} is a {found.type} pool, and --pool-type {kind} was asked for")
            return
        if kind is None and name != OWN_POOL:
            there = ", ".join(sorted(pool.name for pool in self._pools())) or "none"
            raise NotFound(
                f"there is no work pool {name!r} (there are: {there}): add --pool-type process, docker or kubernetes"
                " to make one"
            )
        self._client.create_work_pool(
            WorkPoolCreate(name=name, type=kind or "process", base_job_template=self._template(kind or "process"))
        )

    def _pools(self) -> Sequence[WorkPool]:
        return self._client.read_work_pools()

    def _template(self, kind: str) -> dict[str, Any]:
        """Return what Prefect's own workers of a kind start jobs with."""
        for collection in self._client.read_worker_metadata().values():
            for worker in collection.values():
                if worker.get("type") == kind:
                    template: dict[str, Any] = worker["default_base_job_configuration"]
                    return template
        raise NotFound(f"Prefect's server knows no work pools of type {kind!r}")

    # -- looking -----------------------------------------------------------------------------------

    def every(self) -> list[Deployment]:
        """Return our deployments, by name."""
        found: list[DeploymentResponse] = []
        while len(page := self._client.read_deployments(limit=_PAGE, offset=len(found))) == _PAGE:
            found += page
        ours = [one for one in (*found, *page) if one.entrypoint == ENTRYPOINT]
        return sorted((self._describe(one) for one in ours), key=lambda one: one.name)

    def find(self, text: str) -> Deployment:
        """Return the deployment of a name: its own, or with its flow's in front, ``wine/nightly``.

        Raises:
            InvalidValue: There are several.
            NotFound: There is none.
        """
        every = self.every()
        found = [one for one in every if text in (one.name, one.name.rpartition("/")[2], one.id)]
        if len(found) > 1:
            raise InvalidValue(
                f"there are several deployments {text!r}: wanted {' or '.join(one.name for one in found)}"
            )
        if found:
            return found[0]
        there = ", ".join(one.name for one in every)
        raise NotFound(f"there is no deployment {text!r}: {f'there are {there}' if there else 'nothing is deployed'}")

    def pool(self, name: str) -> Pool:
        """Return a work pool, and who serves it.

        Raises:
            NotFound: There is none of this name.
        """
        try:
            found = self._client.read_work_pool(name)
        except ObjectNotFound:
            raise NotFound(f"there is no work pool {name!r}") from None
        workers = self._client.read_workers_for_work_pool(name)
        online = tuple(sorted(one.name for one in workers if one.status == WorkerStatus.ONLINE))
        return Pool(name=name, type=found.type, workers=online, paused=bool(found.is_paused))

    def _describe(self, found: DeploymentResponse) -> Deployment:
        project = read_step(found.pull_steps)
        if project is None:
            raise InvalidValue(f"deployment {found.name!r} was not made by toolkit")
        schedule = found.schedules[0].schedule if found.schedules else None
        return Deployment(
            id=str(found.id),
            name=f"{self._flow_name(found.flow_id)}/{found.name}",
            project=project,
            schedule=None if schedule is None else _in_words(schedule),
            timezone=None if schedule is None else getattr(schedule, "timezone", None) or "UTC",
            pool=found.work_pool_name,
            paused=found.paused,
            parameters=found.parameters,
        )

    def _flow_name(self, flow_id: UUID) -> str:
        if flow_id not in self._flows:
            self._flows[flow_id] = self._client.read_flow(flow_id).name
        return self._flows[flow_id]

    # -- doing -------------------------------------------------------------------------------------

    def trigger(self, deployment: Deployment, parameters: Mapping[str, object], *, key: str | None = None) -> Triggered:
        """Ask for a run of a deployment now.

        Args:
            deployment: The deployment.
            parameters: Values of its parameters, under the flow's names or the project's.
            key: Whoever asks again with the same key gets the run that is there.

        Raises:
            InvalidValue: Prefect refuses a value.
        """
        schema = self._client.read_deployment(UUID(deployment.id)).parameter_openapi_schema or {}
        given = _typed(schema, parameters, deployment.name)
        try:
            run = self._client.create_flow_run_from_deployment(
                UUID(deployment.id), parameters=given, idempotency_key=key
            )
        except PrefectHTTPStatusError as error:
            if error.response.status_code in (409, 422):
                raise InvalidValue(f"Prefect refuses the values for {deployment.name}: {_explained(error)}") from None
            raise
        return _triggered(run, deployment)

    def look(self, triggered: Triggered, deployment: Deployment) -> tuple[Triggered, bool]:
        """Return how a run of a deployment is by now, and whether it has ended."""
        run = self._client.read_flow_run(UUID(triggered.flow_run_id))
        return _triggered(run, deployment), run.state is not None and run.state.is_final()

    def set_paused(self, deployment: Deployment, paused: bool) -> None:
        """Let a deployment's schedule wait, or go on."""
        if paused:
            self._client.pause_deployment(UUID(deployment.id))
        else:
            self._client.resume_deployment(UUID(deployment.id))

    def delete(self, deployment: Deployment) -> None:
        """Delete a deployment; what it has run is kept, what waits to run does not."""
        self._client.delete_deployment(UUID(deployment.id))

    def running(self) -> list[Triggered]:
        """Return the runs of our deployments that Prefect takes to be running."""
        ours = {UUID(one.id): one for one in self.every()}
        if not ours:
            return []
        found = self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                deployment_id=FlowRunFilterDeploymentId(any_=list(ours)),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])),
            ),
            limit=_PAGE,
        )
        return [_triggered(run, ours[run.deployment_id]) for run in found if run.deployment_id is not None]

    def end(self, run: Triggered, reason: str) -> None:
        """Say that a run has ended that could not say so itself."""
        state: State[Any] = Crashed(message=reason)
        self._client.set_flow_run_state(UUID(run.flow_run_id), state, force=True)


def _never(_: Mapping[str, object]) -> object:
    """Be the inside of a flow that is only looked at."""
    return Completed()


def _schema(plan: Plan, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a flow's parameters, with what the project says of each."""
    names = flow_parameter_names(plan)
    for name, parameter in plan.workflow.parameters.items():
        said = schema.get("properties", {}).get(names[name])
        if isinstance(said, dict):
            said["title"] = name
            if parameter.description:
                said["description"] = parameter.description
    return schema


_KINDS = {"integer": "int", "number": "float", "boolean": "bool", "array": "list", "object": "dict"}
"""What an MLproject calls the types of a JSON schema."""


def _typed(schema: Mapping[str, Any], values: Mapping[str, object], deployment: str) -> dict[str, object]:
    """Return values under the flow's names, as text in the types that the schema wants.

    Raises:
        InvalidParameter: A value does not have its type.
        InvalidValue: There is no such parameter.
    """
    properties: Mapping[str, Any] = schema.get("properties", {})
    titles = {said.get("title", name): name for name, said in properties.items()}
    found: dict[str, object] = {}
    for given, value in values.items():
        name = titles.get(given, given)
        if name not in properties:
            there = ", ".join(titles) or "none"
            raise InvalidValue(f"deployment {deployment} has no parameter {given!r}: there are {there}")
        kind = _KINDS.get(properties[name].get("type"))
        found[name] = value if kind is None else converted(Parameter(name=given, type=kind), value)
    return found


def _triggered(run: FlowRun, deployment: Deployment) -> Triggered:
    state = run.state
    return Triggered(
        flow_run_id=str(run.id),
        name=run.name,
        state=state.type.value if state is not None else "SCHEDULED",
        message=None if state is None else state.message,
        deployment=deployment.name,
    )


def _in_words(schedule: object) -> str:
    if isinstance(schedule, CronSchedule):
        return f"cron {schedule.cron}"
    if isinstance(schedule, RRuleSchedule):
        return f"rrule {schedule.rrule}"
    if isinstance(schedule, IntervalSchedule):
        return f"every {schedule.interval}"
    return type(schedule).__name__


def _explained(error: Exception) -> str:
    """Return what Prefect's server says, in one line."""
    if isinstance(error, PrefectHTTPStatusError):
        try:
            said = error.response.json()
            detail = said.get("detail") or said.get("exception_detail") or said
        except ValueError:
            detail = error.response.text
        return " ".join(str(detail).split())[:500]
    return " ".join(str(error).split())[:500] or type(error).__name__
