"""A flow run that a worker began: a project's steps inside of it, as one tracked run. This imports Prefect."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.logging import get_run_logger
from prefect.states import Failed

from toolkit.errors import InvalidValue, ToolkitError
from toolkit.flows.compile import StaysHere
from toolkit.flows.context import RunContext
from toolkit.flows.deployed import Deployed, read_step
from toolkit.flows.elsewhere import Elsewhere
from toolkit.flows.launch import Body, run_graph
from toolkit.flows.report import RunOutcome, StepOutcome
from toolkit.flows.task_runner import make_runner, read_runner

Run = Callable[[Deployed, Mapping[str, object], "JoinedProgram", str, "LogReporter"], RunOutcome]
"""Runs what is deployed: takes the flow's parameters, the program to run it with, the run's name, and who is told."""


class JoinedProgram:
    """The steps of a plan inside of a flow run that is there already.

    Attributes:
        parameters: The plan's values.
        elsewhere: How steps are run by other processes, where they are.
        state: What the flow run ends in.
    """

    is_own_graph = False

    def __init__(self) -> None:
        self.parameters: Mapping[str, object] = {}
        self.elsewhere: Elsewhere | None = None
        self.state: object = None

    def start(self, body: Body, run_name: str) -> None:  # noqa: ARG002 - the flow run has its name
        """Be the inside of the flow run."""
        self.state = body(self.parameters)

    def run_steps(self, context: RunContext) -> list[StepOutcome]:
        """Run the steps; return how each ended."""
        return run_graph(context, self.elsewhere)


class LogReporter:
    """Tells Prefect's log of a flow run what happens; what steps print is in their task runs' logs."""

    def __init__(self, target: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        self._target = target

    def note(self, text: str) -> None:
        """Take a line about what is going on."""
        self._target.info("%s", text)

    def step_started(self, label: str) -> None:
        """Take the beginning of a step."""

    def output(self, label: str, line: str) -> None:
        """Take a line of a step's output."""

    def step_ended(self, outcome: StepOutcome) -> None:
        """Take the end of a step."""
        why = f": {outcome.reason}" if outcome.reason else ""
        level = logging.ERROR if outcome.status == "FAILED" else logging.INFO
        self._target.log(level, "%s", f"{outcome.label} {outcome.status}{why}")


def deployed_flow(flow_run_id: str, run: Run, *, max_parallel: int) -> Flow[..., Any]:
    """Return the flow that a flow run of a deployment of ours is to run: it takes the values that this one has.

    Args:
        flow_run_id: Prefect's id of the flow run.
        run: Runs what is deployed.
        max_parallel: How many steps may run at the same time.

    Raises:
        InvalidValue: The flow run is none of a deployment of ours.
    """
    with get_client(sync_client=True) as client:
        found = client.read_flow_run(UUID(flow_run_id))
        if found.deployment_id is None:
            raise InvalidValue(f"flow run {flow_run_id} has no deployment: run it with toolkit flows trigger")
        deployment = client.read_deployment(found.deployment_id)
        name = client.read_flow(deployment.flow_id).name
    project = read_step(deployment.pull_steps)
    if project is None:
        raise InvalidValue(f"deployment {deployment.name!r} does not say which project it runs: deploy it again")

    def run_deployed(**parameters: object) -> object:
        reporter = LogReporter(get_run_logger())
        program = JoinedProgram()
        try:
            run(project, parameters, program, found.name, reporter)
        except ToolkitError as error:  # one line, as on a terminal: Prefect would show the way through our code
            return Failed(message=str(error))
        return program.state

    run_deployed.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what inspect looks for
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in found.parameters]
    )
    return StaysHere(
        fn=run_deployed,
        name=name,
        version=deployment.version,
        task_runner=make_runner(read_runner(project.runner), max_parallel=max_parallel),
        validate_parameters=False,  # Prefect's server has checked them against the project's types
        persist_result=False,
    )
