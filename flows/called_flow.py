"""A Prefect flow whose function calls tracked steps itself. Importing this module imports Prefect."""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, get_type_hints

import prefect
from prefect.context import FlowRunContext
from prefect.task_runners import ThreadPoolTaskRunner

from toolkit.errors import InvalidValue, Mark, RunFailed, StepFailed, ToolkitError
from toolkit.flows.calls import Calls
from toolkit.flows.context import RunContext
from toolkit.flows.launch import Body
from toolkit.flows.report import RunOutcome, StepOutcome
from toolkit.flows.tasks import StepTasks

_CALLS: ContextVar[Calls | None] = ContextVar("toolkit_calls", default=None)
_PROGRAM: ContextVar[FlowProgram | None] = ContextVar("toolkit_program", default=None)

Run = Callable[["FlowProgram", Mapping[str, object]], RunOutcome]
"""Runs a program with these parameters, as a tracked run."""


class CalledFlow(prefect.Flow[..., Any]):
    """A flow whose function calls steps; each of its runs is a tracked run, wherever it is begun.

    Args:
        function: The function.
        run: Runs it as a tracked run.
        max_parallel: How many steps may run at the same time.
        **options: Whatever `prefect.flow` takes.
    """

    def __init__(self, function: Callable[..., object], *, run: Run, max_parallel: int = 16, **options: Any) -> None:  # noqa: ANN401 - Prefect's own
        self._function = function
        self._run = run

        @functools.wraps(function)
        def inside(*args: object, **kwargs: object) -> object:
            bound = inspect.signature(function).bind(*args, **kwargs)
            bound.apply_defaults()
            program = _PROGRAM.get()
            if program is not None:
                return program.enter(bound.arguments)
            joined = FlowProgram(self)  # begun by a worker, or by another flow: the flow run is there already
            self._run(joined, bound.arguments)
            return joined.state

        _resolve_types(inside, function)
        runner: Any = ThreadPoolTaskRunner(max_workers=max_parallel)
        super().__init__(fn=inside, **{"task_runner": runner, "persist_result": False, **options})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as Prefect's, which has four overloads
        """Run the flow; return how it ended.

        Raises:
            RunFailed: It failed.
        """
        if FlowRunContext.get() is not None or _PROGRAM.get() is not None:
            return super().__call__(*args, **kwargs)
        bound = inspect.signature(self._function).bind_partial(*args, **kwargs)
        return self._run(FlowProgram(self), bound.arguments)

    @property
    def function(self) -> Callable[..., object]:
        """The function itself."""
        return self._function


def _resolve_types(inside: Any, function: Callable[..., object]) -> None:  # noqa: ANN401 - a function with attributes
    """Put types where their names stand: Prefect would look these up in this module."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise InvalidValue(f"a type of {function.__name__}'s arguments is not known when it runs: {error}") from error
    signature = inspect.signature(function)
    arguments = [one.replace(annotation=hints.get(name, one.annotation)) for name, one in signature.parameters.items()]
    inside.__annotations__ = hints
    inside.__signature__ = signature.replace(parameters=arguments)


class FlowProgram:
    """One run of a `CalledFlow`.

    Args:
        flow: The flow.
    """

    is_own_graph = True

    def __init__(self, flow: CalledFlow) -> None:
        self._flow = flow
        self.parameters: Mapping[str, object] = {}
        self.state: object = None
        self._body: Body | None = None
        self._joins = FlowRunContext.get() is not None

    @property
    def name(self) -> str:
        """The flow's name."""
        return self._flow.name

    def start(self, body: Body, run_name: str) -> None:
        """Run the flow, or its inside where a flow run is there already."""
        self._body = body
        if self._joins:
            self.state = self.enter(self.parameters)
            return
        token = _PROGRAM.set(self)
        try:
            self._flow.flow_run_name = lambda: run_name
            self._flow(**self.parameters, return_state=True)
        finally:
            self._flow.flow_run_name = None
            _PROGRAM.reset(token)

    def enter(self, parameters: Mapping[str, object]) -> object:
        """Be the inside of the flow; return its final state."""
        assert self._body is not None
        self.parameters = parameters
        return self._body(parameters)

    def run_steps(self, context: RunContext) -> list[StepOutcome]:
        """Call the function, and work until all steps that it has called have ended."""
        tasks = StepTasks(context)
        calls = Calls(context, tasks.submit)
        tasks.execution = calls
        token = _CALLS.set(calls)
        try:
            self._flow.function(**self.parameters)
        except StepFailed:
            if not context.stop.requested and not any(one.status == "FAILED" for one in calls.outcomes):
                raise
        except Exception as error:
            calls.give_up()
            calls.run()
            if isinstance(error, ToolkitError) and not context.stop.requested:
                raise
            if not context.stop.requested:
                raise self._explained(error) from error
        finally:
            _CALLS.reset(token)
        return calls.run()

    def _explained(self, error: Exception) -> RunFailed:
        """Say where in the flow's own file something went wrong."""
        file = self._flow.function.__code__.co_filename
        lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
        mark = Mark(file=file, line=lines[-1]) if lines else None
        return RunFailed(f"the flow raised {type(error).__name__}: {error}", mark=mark)


def current_calls() -> Calls | None:
    """Return the calls of the flow run that this is the inside of; ``None`` outside of one."""
    return _CALLS.get()
