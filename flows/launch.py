"""Running a plan: environments and services first, then the flow, with one end state for flow and run.

Nothing is recorded before all that can fail beforehand has been done: a wrong project, an environment that cannot be
built or a server that does not start leave no run behind.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict

from toolkit.errors import ServiceError, ToolkitError
from toolkit.flows import repository
from toolkit.flows.context import RunContext
from toolkit.flows.environments.environment import (
    DockerOptions,
    Manager,
    PreparedEnvironment,
    Report,
    choose,
    prepare_declared,
)
from toolkit.flows.environments.recorded import RecordedEnvironments
from toolkit.flows.execution import Execution
from toolkit.flows.mlflow_step import names_mlflow
from toolkit.flows.plan import Plan
from toolkit.flows.provenance import DIFF_PATH, LONGEST_DIFF, SNAPSHOT_PATH, source_tags
from toolkit.flows.recorded_graph import GRAPH, GRAPH_PATH, graph_tag, graph_text
from toolkit.flows.report import OneAtATime, Reporter, RunOutcome, StepOutcome
from toolkit.flows.resume import REQUEST, REQUEST_PATH, RESUMED_FROM, Resumed, request_tag, request_text
from toolkit.flows.services import PrefectServer
from toolkit.flows.source import snapshot
from toolkit.flows.step_cache import CacheOptions, StepCache
from toolkit.flows.stop import Stop, stop_on_signals
from toolkit.ids import random_run_name
from toolkit.recording import context as tag
from toolkit.recording.lease import Leases
from toolkit.recording.process import host_name
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.spec.project import EnvironmentRef, Step
from toolkit.tracking.records import Experiment, RunStatus

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from toolkit.flows.elsewhere import Elsewhere
    from toolkit.flows.elsewhere_tasks import ElsewhereTasks
    from toolkit.flows.tasks import StepTasks


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchOptions:
    """How to run a plan.

    Attributes:
        experiment: Gives the experiment that its runs go to, making it where need be; called when all is prepared.
        run_name: Name of the parent run; default: a random one.
        parent_run_id: Run that it is a part of (a step that runs a project).
        env_manager: What steps run in; ``None``: uv where an environment is declared, or conda for what uv cannot
            provide; else the running interpreter. A ``docker_env`` is run in a container whatever this says.
        docker: What is asked of containers besides what the project declares.
        grace: Seconds between SIGTERM and SIGKILL.
        max_parallel: How many steps may run at the same time.
        cache: What of the cache is wanted.
        resumed: The run that this one goes on from.
        elsewhere: How steps are run by other processes; ``None``: by threads of this one.
        recorded: What steps run in, where it is that of an earlier run.
        tags: Tags of the parent run besides its own.
    """

    experiment: Callable[[], Experiment]
    run_name: str | None = None
    parent_run_id: str | None = None
    env_manager: Manager | None = None
    docker: DockerOptions = field(default_factory=DockerOptions)
    grace: float = 5.0
    max_parallel: int = 16
    cache: CacheOptions = field(default_factory=CacheOptions)
    resumed: Resumed | None = None
    elsewhere: Elsewhere | None = None
    recorded: RecordedEnvironments | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


TrackingAddress: TypeAlias = Callable[[Report, bool], str | None]
"""Returns the address of a tracking server that answers: takes who is told, and whether to start one."""


Body: TypeAlias = "Callable[[Mapping[str, object]], State[Any]]"
"""The inside of a flow: takes the parameters' values, returns the flow's final state."""


class Program(Protocol):
    """A flow that calls its steps itself, where one is not compiled from the plan.

    Attributes:
        is_own_graph: Whether it, and not the project's file, says which steps run.
    """

    is_own_graph: bool

    def start(self, body: Body, run_name: str) -> None:
        """Run the flow under this name; it calls ``body``."""
        ...

    def run_steps(self, context: RunContext) -> list[StepOutcome]:
        """Run the steps; return how each ended."""
        ...


class _How(TypedDict):
    """How steps are run, as a run records it."""

    env_manager: str | None
    docker: DockerOptions


class _Once:
    """What is begun by the first who needs it."""

    def __init__(self, begin: Callable[[bool], Future[str | None]]) -> None:
        self._begin = begin
        self._begun: Future[str | None] | None = None

    def future(self, *, start: bool) -> Future[str | None]:
        """Return what was begun."""
        if self._begun is None:
            self._begun = self._begin(start)
        return self._begun


class Launch:
    """One run of a plan.

    Args:
        plan: What to run.
        options: How.
        stores: Where to record it.
        leases: What keeps its runs alive.
        reporter: Who is told.
        program: What runs instead of the plan's own graph: a flow that calls its steps itself.
    """

    def __init__(
        self,
        plan: Plan,
        options: LaunchOptions,
        *,
        stores: Stores,
        leases: Leases,
        reporter: Reporter,
        program: Program | None = None,
    ) -> None:
        self._plan = plan
        self._program = program
        self._options = options
        self._stores = stores
        self._leases = leases
        self._reporter = OneAtATime(reporter)
        self._stop = Stop()
        self._run_name = options.run_name or random_run_name()
        self._environments: dict[EnvironmentRef | None, PreparedEnvironment] = {}
        self._server: PrefectServer | None = None
        self._tracking_server: str | None = None
        self._outcome: RunOutcome | None = None
        self._error: BaseException | None = None
        self._experiment: Experiment | None = None
        self._began = time.monotonic()

    def run(
        self,
        ensure_server: Callable[[Callable[[str], None]], PrefectServer],
        tracking_server: TrackingAddress = lambda _, __: None,
    ) -> RunOutcome:
        """Prepare all, run the flow, and return how it ended.

        Args:
            ensure_server: Starts Prefect's server where it does not run.
            tracking_server: Returns the address of a server that speaks MLflow's API for the stores. It is asked to
                start one where the environment of a step has a client of MLflow's.

        Raises:
            EnvironmentBuildError: An environment cannot be built. Nothing was recorded.
            ServiceError: Prefect's server did not start. Nothing was recorded.
        """
        try:
            return self._prepare_and_run(ensure_server, tracking_server)
        finally:
            for prepared in self._environments.values():
                prepared.release()

    def _prepare_and_run(
        self, ensure_server: Callable[[Callable[[str], None]], PrefectServer], tracking_server: TrackingAddress
    ) -> RunOutcome:
        with ThreadPoolExecutor(3, thread_name_prefix="toolkit-prepare") as pool:
            tracking = _Once(lambda start: pool.submit(tracking_server, self._reporter.note, start))
            server = pool.submit(ensure_server, self._reporter.note)
            environments = pool.submit(self._prepare_environments, tracking)
            from toolkit.flows import prefect_session  # noqa: F401, PLC0415 - most of a second, while the others work

            self._server = server.result()
            environments.result()
            self._tracking_server = tracking.future(start=False).result()
        return self._run_flow(self._server)

    # -- before the run ----------------------------------------------------------------------------

    def _prepare_environments(self, tracking: _Once) -> None:
        for name in self._plan.workflow.steps:
            ref = self._plan.environment(self._plan.workflow.steps[name])
            if ref not in self._environments:
                prepared = self._environments[ref] = self._prepare(ref, tracking)
                if names_mlflow(prepared.lock):
                    tracking.future(start=True)

    def _prepare(self, ref: EnvironmentRef | None, tracking: _Once) -> PreparedEnvironment:
        if ref is not None and ref.docker is not None:
            return self._prepare_container(ref, tracking)
        if (recorded := self._options.recorded) is not None:
            prepared = recorded.prepare(
                ref, project=self._plan.project, home=self._stores.home, report=self._reporter.note
            )
            if prepared is not None:
                return prepared
        manager, spec = choose(ref, self._plan.project, self._options.env_manager)
        if spec is not None and names_mlflow(spec.dependencies):
            tracking.future(start=True)  # now, beside the building of the environment
        return prepare_declared(
            ref,
            spec,
            manager=manager,
            home=self._stores.home,
            project=self._plan.project,
            report=self._reporter.note,
        )

    def _prepare_container(self, ref: EnvironmentRef, tracking: _Once) -> PreparedEnvironment:
        from toolkit.flows.environments import docker  # noqa: PLC0415 - where containers are used

        def prepare(wanted: EnvironmentRef) -> PreparedEnvironment:
            return docker.prepare(
                wanted,
                plan=self._plan,
                options=self._options.docker,
                artifact_root=self._stores.artifact_root,
                report=self._reporter.note,
            )

        recorded = self._options.recorded
        prepared = prepare(ref) if recorded is None else recorded.image(ref, prepare)
        tracking.future(start=True)  # a container does not see the files that runs are recorded in
        return prepared

    # -- the flow ----------------------------------------------------------------------------------

    def _run_flow(self, server: PrefectServer) -> RunOutcome:
        from toolkit.flows import prefect_session as session  # noqa: PLC0415 - imports Prefect
        from toolkit.flows.compile import compile_flow, flow_arguments  # noqa: PLC0415 - the same

        self._experiment = self._options.experiment()
        session.hush_console()
        try:
            with session.prefect_settings(server.api_url):
                if self._program is not None:
                    self._program.start(self._body, self._run_name)
                else:
                    elsewhere = self._options.elsewhere
                    flow = compile_flow(
                        self._plan,
                        self._body,
                        max_parallel=self._options.max_parallel,
                        run_name=self._run_name,
                        runner=None if elsewhere is None else elsewhere.runner,
                    )
                    flow(**flow_arguments(self._plan), return_state=True)
        except session.PREFECT_FAILURES as error:
            self._explain(server, error)
        if self._error is not None:
            raise self._error
        if self._outcome is None:
            raise ToolkitError("Prefect ended the flow before it began; see its page in Prefect's UI for the reason")
        return self._outcome

    @property
    def _where(self) -> Experiment:
        assert self._experiment is not None
        return self._experiment

    def _explain(self, server: PrefectServer, error: BaseException) -> None:
        """Say what it means that Prefect's server failed: nothing for a run that has ended, and its end otherwise."""
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if self._outcome is None and self._error is None:
            raise ServiceError(
                f"Prefect's server at {server.api_url} failed while the flow ran ({why}): "
                "see `toolkit status`, and run again"
            ) from error
        if self._outcome is not None:
            self._outcome = replace(self._outcome, prefect_told=False)
        self._reporter.note(f"Prefect's server was not told how the flow ended ({why}); the run is recorded")

    def _body(self, parameters: Mapping[str, object]) -> State[Any]:
        """Run the steps; called by the flow, with the parameters that it was given.

        What goes wrong here is kept: Prefect would only tell that something did.
        """
        try:
            return self._steps_as_a_run(parameters)
        except BaseException as error:
            self._error = error
            raise

    def _steps_as_a_run(self, parameters: Mapping[str, object]) -> State[Any]:
        """Open the parent run, run the steps, and end it."""
        from prefect.runtime import flow_run  # noqa: PLC0415 - Prefect is imported by now

        from toolkit.flows.prefect_session import CancelWatch  # noqa: PLC0415 - the same

        flow_run_id = str(flow_run.get_id())
        with stop_on_signals(self._stop):
            parent = self._open_parent(flow_run_id, parameters)
            context = self._run_context(parent, flow_run_id)
            try:
                with CancelWatch(flow_run_id, self._stop, self._reporter.note):
                    self._snapshot(parent)
                    outcomes = self._run_steps(context)
            except BaseException as error:
                self._stop.request(f"{type(error).__name__}: {error}")
                parent.end(RunStatus.FAILED, f"{type(error).__name__}: {error}"[:1000])
                raise
            return self._finish(parent, outcomes, flow_run_id)

    def _open_parent(self, flow_run_id: str, parameters: Mapping[str, object]) -> RecordedRun:
        plan = self._plan
        tags = {
            **source_tags(plan.source),
            tag.ENTRY_POINT: plan.workflow.name,
            tag.PROJECT_BACKEND: "prefect",
            tag.HOST: host_name(),
            "toolkit.workflow": plan.flow_name,
            "prefect.flow_run_id": flow_run_id,
            **self._request(),
            **(graph_tag(plan) if self._asks else {}),
            **self._options.tags,
        }
        if self._options.resumed is not None:
            tags[RESUMED_FROM] = self._options.resumed.run.info.run_id
        if self._server and self._server.ui_url:
            tags["prefect.flow_run_url"] = _flow_run_url(self._server, flow_run_id)
        parent = RecordedRun.start(
            self._stores,
            self._leases,
            experiment_id=self._where.experiment_id,
            name=self._run_name,
            parent_run_id=self._options.parent_run_id,
            tags=tags,
            params={name: "" if value is None else value for name, value in {**parameters, **plan.extra}.items()},
        )
        self._reporter.note(f"run {parent.info.run_name} ({parent.run_id})")
        if "prefect.flow_run_url" in tags:
            self._reporter.note(f"Prefect: {tags['prefect.flow_run_url']}")
        if REQUEST not in tags and self._asks:
            parent.log_text(request_text(plan, **self._how), REQUEST_PATH)
        if GRAPH not in tags and self._asks:
            parent.log_text(graph_text(plan), GRAPH_PATH)
        return parent

    def _request(self) -> dict[str, str]:
        """Return the tag that lets the run be asked for again; none where a program, and not the project, says what."""
        return request_tag(self._plan, **self._how) if self._asks else {}

    @property
    def _asks(self) -> bool:
        return self._program is None or not self._program.is_own_graph

    @property
    def _how(self) -> _How:
        return {"env_manager": self._options.env_manager, "docker": self._options.docker}

    def _run_context(self, parent: RecordedRun, flow_run_id: str) -> RunContext:
        assert self._server is not None
        variables = {
            "TOOLKIT_TRACKING_URI": self._stores.tracking_uri,
            "TOOLKIT_ARTIFACT_ROOT": self._stores.artifact_root,
            **self._stores.artifact_variables,
            "TOOLKIT_HOME": str(self._stores.home),
            "PREFECT_API_URL": self._server.api_url,
        }
        if self._options.env_manager:
            variables["TOOLKIT_ENV_MANAGER"] = self._options.env_manager
        return RunContext(
            plan=self._plan,
            stores=self._stores,
            leases=self._leases,
            parent=parent,
            experiment=self._where.name,
            environments=self._environments,
            variables=variables,
            source_tags=source_tags(self._plan.source),
            work=self._stores.home / "work",
            reporter=self._reporter,
            stop=self._stop,
            grace=self._options.grace,
            max_parallel=self._options.max_parallel,
            flow_run_id=flow_run_id,
            tracking_server=self._tracking_server,
            cache=self._cache(parent),
        )

    def _cache(self, parent: RecordedRun) -> StepCache:
        resumed = self._options.resumed
        if resumed is not None and (change := resumed.code_change(self._plan)):
            self._reporter.note(
                f"the code has changed since run {resumed.run.info.run_id[:8]} ({change}): what that finished is taken"
                " over as it is, the rest runs with the code as it is now"
            )
        return StepCache(
            self._plan,
            self._stores,
            parent,
            lock=self._lock_of,
            note=self._reporter.note,
            options=self._options.cache,
            resumed=resumed,
        )

    def _lock_of(self, step: Step) -> str:
        """Return all that says what a step's command runs in."""
        ref = self._plan.environment(step)
        container = f"# {ref.docker} {self._options.docker}\n" if ref is not None and ref.docker is not None else ""
        return container + self._environments[ref].lock

    def _snapshot(self, parent: RecordedRun) -> None:
        """Keep the project's files with the run, unless a commit says it all."""
        source = self._plan.source
        if source.commit and not source.dirty:
            return
        with tempfile.TemporaryDirectory(prefix="toolkit-") as folder:
            target = Path(folder) / "snapshot.zip"
            snapshot(source, target)
            parent.log_file(target, SNAPSHOT_PATH)
            if source.commit:
                self._log_diff(parent, Path(folder) / "changes.diff")

    def _log_diff(self, parent: RecordedRun, target: Path) -> None:
        """Keep what is not as committed, for people: the snapshot has the files."""
        try:
            size = repository.diff(self._plan.source.directory, target, limit=LONGEST_DIFF)
        except repository.Unreadable as error:
            self._reporter.note(f"no diff is recorded: {error}")
            return
        if size:
            parent.log_file(target, DIFF_PATH)

    def _run_steps(self, context: RunContext) -> list[StepOutcome]:
        if self._program is not None:
            return self._program.run_steps(context)
        return run_graph(context, self._options.elsewhere)

    def _finish(self, parent: RecordedRun, outcomes: list[StepOutcome], flow_run_id: str) -> State[Any]:
        """Give the run its final state; return the flow's, which is the same."""
        from prefect.states import Cancelled, Completed, Failed  # noqa: PLC0415 - Prefect is imported by now

        status, reason = _verdict(outcomes, self._stop)
        self._log_results(parent, outcomes)
        parent.end(status, reason)
        self._outcome = RunOutcome(
            run_id=parent.run_id,
            run_name=parent.info.run_name,
            experiment_id=self._where.experiment_id,
            experiment=self._where.name,
            status=status,
            reason=reason,
            exit_code={RunStatus.FINISHED: 0, RunStatus.FAILED: 1}.get(status, self._stop.exit_code),
            seconds=time.monotonic() - self._began,
            steps=outcomes,
            flow_run_id=flow_run_id,
            flow_run_url=_flow_run_url(self._server, flow_run_id) if self._server and self._server.ui_url else None,
        )
        state = {RunStatus.FINISHED: Completed, RunStatus.FAILED: Failed}.get(status, Cancelled)
        return state(message=reason or f"run {parent.run_id}")

    def _log_results(self, parent: RecordedRun, outcomes: list[StepOutcome]) -> None:
        """Put the steps' final metrics on the parent run, so that whole runs can be compared.

        ``<step>.<metric>``; the bare name for an entry point alone. Steps with ``foreach`` are left to their own runs;
        of a search there is the best trial.
        """
        metrics: dict[str, float] = {}
        steps = self._plan.workflow.steps
        for outcome in outcomes:
            if outcome.status == "FINISHED" and outcome.trial is None and not steps[outcome.step].foreach:
                prefix = "" if self._plan.single else f"{outcome.step}."
                own = {key: value for key, value in outcome.metrics.items() if not key.startswith("system/")}
                metrics |= {prefix + key: value for key, value in own.items()}
        if metrics:
            parent.log_metrics(metrics)


def run_graph(context: RunContext, elsewhere: Elsewhere | None = None) -> list[StepOutcome]:
    """Run the steps of a plan inside of a flow run; return how each ended.

    Args:
        context: What all steps share.
        elsewhere: How they are run by other processes; ``None``: by threads of this one.
    """
    tasks: StepTasks | ElsewhereTasks
    if elsewhere is None:
        from toolkit.flows.tasks import StepTasks  # noqa: PLC0415 - imports Prefect

        tasks = StepTasks(context)
    else:
        from toolkit.flows.elsewhere_tasks import ElsewhereTasks  # noqa: PLC0415 - imports Prefect

        tasks = ElsewhereTasks(context, elsewhere)
    execution = Execution(context, tasks.submit)
    tasks.execution = execution
    return execution.run()


def _verdict(outcomes: list[StepOutcome], stop: Stop) -> tuple[RunStatus, str | None]:
    """Return the state of the whole, and why."""
    if stop.requested:
        return RunStatus.KILLED, stop.reason
    failed = [outcome for outcome in outcomes if outcome.status in ("FAILED", "KILLED") and outcome.trial is None]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        return RunStatus.FAILED, f"{failed[0].reason or failed[0].label}{more}"[:1000]
    return RunStatus.FINISHED, None


def _flow_run_url(server: PrefectServer | None, flow_run_id: str) -> str:
    assert server is not None
    return f"{server.ui_url}/runs/flow-run/{flow_run_id}"
