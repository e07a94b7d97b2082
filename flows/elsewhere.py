"""Steps that other processes run, maybe on other machines: what they are told, and how they do it.

A ticket says all that a step needs where it runs: which code, which values, and where its run is recorded. Who runs it
finds the code in place, where that is the same machine, and fetches it otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from toolkit.errors import ProjectError, StoreError
from toolkit.flows.context import RunContext
from toolkit.flows.deployed import Code, get_code
from toolkit.flows.environments.environment import (
    DockerOptions,
    PreparedEnvironment,
    Report,
    choose,
    prepare_declared,
)
from toolkit.flows.plan import Plan, Target, make_plan
from toolkit.flows.report import StepOutcome
from toolkit.flows.source import Fetching, Source, fetch
from toolkit.flows.step import Invocation, StepRunner
from toolkit.flows.stop import Stop
from toolkit.flows.task_runner import Runner
from toolkit.flows.trial import PRUNED, TRIAL
from toolkit.flows.working_copy import working_copy
from toolkit.recording.lease import Leases
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.spec.expression import StepResult
from toolkit.spec.project import EnvironmentRef
from toolkit.tracking.records import Run, RunQuery, RunStatus
from toolkit.tracking.store import RunStore

STOP = "toolkit.stop"
"""Tag of a workflow's run: why its steps are to stop, wherever they are."""

_POLL = 2.0  # seconds between looks whether the workflow still goes on

RunStep = Callable[["Ticket", Callable[[str], None]], StepResult]
"""Runs a step where it was sent: takes what it is told, and what takes a line for Prefect's log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Elsewhere:
    """How steps of one run are run by other processes.

    Attributes:
        runner: What starts them.
        run_step: Runs one there; importable, so that it need not be sent.
        code: Where those find the code who do not find the directory; ``None``: all are on this machine.
        env_manager: What steps run in.
        docker: What is asked of containers.
    """

    runner: Runner
    run_step: RunStep
    code: Code | None = None
    env_manager: Literal["uv", "local", "conda"] | None = None
    docker: DockerOptions = field(default_factory=DockerOptions)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """What somebody is told who is to run a step.

    Attributes:
        step: Name of the step.
        label: Name with what tells it from its siblings.
        values: The entry point's parameters.
        extra: Parameters that the entry point does not declare.
        tags: What its run says besides.
        entry_point: Entry point that is run; ``None`` for a workflow.
        workflow: The workflow.
        directory: Where the code is on the machine that sent this.
        digest: Digest of the code.
        parent_run_id: The workflow's run.
        flow_run_id: Prefect's flow run.
        experiment: Name of the experiment.
        source_tags: Tags that say where the code comes from.
        tracking_uri: Where runs are recorded.
        artifact_root: Where artifacts are kept.
        variables: Variables that say how artifacts are reached.
        grace: Seconds between SIGTERM and SIGKILL.
        elsewhere: How the run's steps are run.
        registers: What it registers after its command; ``None``: nothing.
        taken: The run that took over earlier results, and the earlier one; then nothing is to be run.
    """

    step: str
    label: str
    values: Mapping[str, object]
    extra: Mapping[str, object]
    tags: Mapping[str, str]
    entry_point: str | None
    workflow: str | None
    directory: str
    digest: str
    parent_run_id: str
    flow_run_id: str
    experiment: str
    source_tags: Mapping[str, str]
    tracking_uri: str = field(repr=False)
    artifact_root: str
    variables: Mapping[str, str]
    grace: float
    elsewhere: Elsewhere
    registers: Mapping[str, object] | None = None
    taken: tuple[str, str] | None = None


def make_ticket(context: RunContext, invocation: Invocation, elsewhere: Elsewhere) -> Ticket:
    """Return what somebody is told who is to run an invocation."""
    plan = context.plan
    cached = context.cache.tags(invocation) if context.cache else {}
    return Ticket(
        step=invocation.step.name,
        label=invocation.label,
        values=dict(invocation.values),
        extra=dict(plan.extra),
        tags={**cached, **invocation.tags},
        entry_point=plan.workflow.name if plan.single else None,
        workflow=None if plan.single else plan.workflow.name,
        directory=str(plan.project.directory),
        digest=plan.source.digest,
        parent_run_id=context.parent.run_id,
        flow_run_id=context.flow_run_id,
        experiment=context.experiment,
        source_tags=dict(context.source_tags),
        tracking_uri=context.stores.tracking_uri,
        artifact_root=context.stores.artifact_root,
        variables=dict(context.stores.artifact_variables),
        grace=context.grace,
        elsewhere=elsewhere,
        registers=invocation.registers,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Here:
    """What there is where a step was sent to.

    Attributes:
        stores: Where it is recorded.
        fetching: How code is fetched.
        tracking_server: Returns the address of a server that speaks MLflow's API for the stores; takes who is told,
            and whether to start one.
    """

    stores: Stores
    fetching: Fetching
    tracking_server: Callable[[Report, bool], str | None]


def run_ticket(ticket: Ticket, here: Here, log: Callable[[str], None]) -> StepResult:
    """Run a step that was sent here, recorded as a run below the workflow's.

    Args:
        ticket: What is to be run.
        here: What there is here.
        log: Takes a line for Prefect's log.

    Raises:
        StepFailed: The step failed.
        ToolkitError: It could not begin.
    """
    attempt = 1 + len(give_up_lost(here.stores.runs, ticket.parent_run_id, ticket.label))
    with _code(ticket, here, log) as source:
        target = Target(
            entry_point=ticket.entry_point,
            workflow=ticket.workflow,
            parameters=ticket.extra,
            caller=source.directory,
            to_show=True,
        )
        plan = make_plan(source, target)
        step = plan.workflow.steps[ticket.step]
        ref = plan.environment(step)
        prepared = _prepare(ref, plan, ticket.elsewhere, here.stores, log)
        try:
            context = _context(ticket, plan, here, ref, prepared, log)
            invocation = Invocation(
                step=step,
                label=ticket.label,
                values=_moved(ticket, source),
                tags=ticket.tags,
                registers=ticket.registers,
            )
            with _stop_with_workflow(context, trial=ticket.label if TRIAL in ticket.tags else None):
                return StepRunner(context, invocation, log=log).run(attempt=attempt)
        finally:
            prepared.release()


def give_up_lost(runs: RunStore, parent_run_id: str, label: str) -> list[Run]:
    """Return the runs that tried an invocation before; one that still seems to go on has lost its worker, and FAILED.

    Call it when nobody runs the invocation.
    """
    found: list[Run] = []
    query = RunQuery(parent_run_id=parent_run_id)
    while True:
        page = runs.list_runs(query)
        found += [run for run in page.items if run.info.run_name == label]
        if page.next_page_token is None:
            break
        query = replace(query, page_token=page.next_page_token)
    for run in found:
        if not run.info.status.terminal:
            runs.update_run(
                run.info.run_id, status=RunStatus.FAILED, reason="worker_lost: its worker ended without a word"
            )
    return found


@contextmanager
def _code(ticket: Ticket, here: Here, log: Callable[[str], None]) -> Iterator[Source]:
    """Give the code: in place, where it is what was sent, else fetched, as a copy of the step's own."""
    directory = Path(ticket.directory)
    if directory.is_dir():
        source = fetch(str(directory), caller=directory)
        if source.digest == ticket.digest or ticket.elsewhere.code is None:
            yield source
            return
    if ticket.elsewhere.code is None:
        raise ProjectError(
            f"step {ticket.label!r} was sent to a process that does not see {directory}: name the cluster's address "
            "with --task-runner, so that the code is sent along"
        )
    fetched = get_code(ticket.elsewhere.code, here.stores, here.fetching)
    with working_copy(fetched, here.stores.home / "copies", log) as source:
        yield source


def _moved(ticket: Ticket, source: Source) -> dict[str, object]:
    """Return the values with paths into the project as they are here."""
    before, now = f"{ticket.directory}/", f"{source.directory}/"

    def moved(value: object) -> object:
        return now + value.removeprefix(before) if isinstance(value, str) and value.startswith(before) else value

    return {name: moved(value) for name, value in ticket.values.items()}


def _prepare(
    ref: EnvironmentRef | None, plan: Plan, elsewhere: Elsewhere, stores: Stores, report: Report
) -> PreparedEnvironment:
    if ref is not None and ref.docker is not None:
        from toolkit.flows.environments import docker  # noqa: PLC0415 - where containers are used

        return docker.prepare(
            ref, plan=plan, options=elsewhere.docker, artifact_root=stores.artifact_root, report=report
        )
    manager, spec = choose(ref, plan.project, elsewhere.env_manager)
    return prepare_declared(ref, spec, manager=manager, home=stores.home, project=plan.project, report=report)


def _context(
    ticket: Ticket,
    plan: Plan,
    here: Here,
    ref: EnvironmentRef | None,
    prepared: PreparedEnvironment,
    log: Callable[[str], None],
) -> RunContext:
    from toolkit.flows.mlflow_step import names_mlflow  # noqa: PLC0415 - where steps are sent to

    stores = here.stores
    needs_server = names_mlflow(prepared.lock) or prepared.container is not None
    variables = {
        "TOOLKIT_TRACKING_URI": stores.tracking_uri,
        "TOOLKIT_ARTIFACT_ROOT": stores.artifact_root,
        **stores.artifact_variables,
        "TOOLKIT_HOME": str(stores.home),
    }
    if ticket.elsewhere.env_manager:
        variables["TOOLKIT_ENV_MANAGER"] = ticket.elsewhere.env_manager
    return RunContext(
        plan=plan,
        stores=stores,
        leases=Leases(stores.runs, lease_ms=stores.lease_ms),
        parent=RecordedRun(stores, stores.runs.get_run(ticket.parent_run_id)),
        experiment=ticket.experiment,
        environments={ref: prepared},
        variables=variables,
        source_tags=ticket.source_tags,
        work=stores.home / "work",
        reporter=_Log(log),
        stop=Stop(),
        grace=ticket.grace,
        max_parallel=1,
        flow_run_id=ticket.flow_run_id,
        tracking_server=here.tracking_server(log, needs_server),
    )


@contextmanager
def _stop_with_workflow(context: RunContext, *, trial: str | None) -> Iterator[None]:
    """Ask the step to stop when its workflow is to stop, or has ended, as it does when its process died.

    A trial of a search, by its label, also stops when it is pruned.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_POLL):
            with suppress(StoreError):  # while the store is away the step goes on
                parent = context.parent.read()
                if STOP in parent.data.tags or parent.info.status.terminal:
                    context.stop.request(parent.data.tags.get(STOP) or f"its workflow has {parent.info.status}")
                    return
                own = context.run_ids.get(trial) if trial is not None else None
                if own is not None and PRUNED in context.stores.runs.get_run(own).data.tags:
                    context.stop.request("pruned")
                    return

    thread = threading.Thread(target=watch, name="toolkit-workflow-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


class _Log:
    """Tells a log what happens to the one step that is run here."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self.note = log

    def step_started(self, label: str) -> None:
        """Take the beginning of a step."""

    def output(self, label: str, line: str) -> None:
        """Take a line of output, which the log gets anyway."""

    def step_ended(self, outcome: StepOutcome) -> None:
        """Take the end of a step."""
