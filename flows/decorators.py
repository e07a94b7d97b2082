"""``@toolkit.flow`` and ``@toolkit.task``: Prefect's decorators that also track.

Each takes every argument of Prefect's own. The flow's call is a run, each task's call a child of it; arguments become
parameters, and what is returned metrics and artifacts (see `toolkit.recording.capture`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ParamSpec, TypeVar

import prefect
from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run, task_run

from toolkit.errors import InvalidValue
from toolkit.flows.prefect_session import prefect_settings
from toolkit.recording import context as tag
from toolkit.recording import current
from toolkit.recording.capture import argument_params, log_result
from toolkit.recording.context import script_tags
from toolkit.recording.run import RecordedRun
from toolkit.tracking.records import RunStatus

P = ParamSpec("P")
R = TypeVar("R")


class TrackedFlow(prefect.Flow[P, R]):
    """A Prefect flow whose calls are runs. Called by itself, it uses the server that ``toolkit up`` starts."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as Prefect's, which has four overloads
        """Run the flow; arguments and result as Prefect's."""
        if FlowRunContext.get() is not None:
            return super().__call__(*args, **kwargs)
        with ExitStack() as stack:
            api_url = current.prefect_api_url()
            if api_url:
                stack.enter_context(prefect_settings(api_url))
            return super().__call__(*args, **kwargs)


def flow(function: Callable[P, R] | None = None, /, **options: Any) -> Any:  # noqa: ANN401 - as Prefect's
    """Make a function a Prefect flow whose calls are tracked runs.

    Args:
        function: The function, where the decorator is used without parentheses.
        **options: Whatever `prefect.flow` takes.
    """
    if function is None:
        return functools.partial(flow, **options)
    _refuse_async(function, "flow")
    return TrackedFlow(fn=_tracked(function, _flow_tags), **{"name": function.__name__.replace("_", "-"), **options})


def task(function: Callable[P, R] | None = None, /, **options: Any) -> Any:  # noqa: ANN401 - as Prefect's
    """Make a function a Prefect task whose calls are tracked runs, children of the flow's.

    Args:
        function: The function, where the decorator is used without parentheses.
        **options: Whatever `prefect.task` takes.
    """
    if function is None:
        return functools.partial(task, **options)
    _refuse_async(function, "task")
    return prefect.task(_tracked(function, _task_tags), **options)


def _refuse_async(function: Callable[..., object], kind: str) -> None:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidValue(
            f"{function.__name__} is asynchronous, and @toolkit.{kind} takes plain functions: make it one, or use "
            f"Prefect's own @{kind} and log with toolkit.start_run"
        )


def _tracked(function: Callable[P, R], tags: Callable[[], dict[str, str]]) -> Callable[P, R]:
    """Return the function inside of a run of its own, a child of the active one."""

    @functools.wraps(function)
    def inside_run(*args: P.args, **kwargs: P.kwargs) -> R:
        parent = current.active_run()
        run = RecordedRun.start(
            current.stores(),
            current.leases(),
            experiment_id=parent.info.experiment_id if parent else current.experiment_id(),
            name=function.__name__,
            parent_run_id=parent.run_id if parent else current.parent_run_id(),
            tags={**script_tags(), tag.ENTRY_POINT: function.__name__, **tags()},
            params=argument_params(function, args, kwargs),
        )
        try:
            with current.inside(run):
                result = function(*args, **kwargs)
                log_result(run, function, result, _log_model)
        except BaseException as error:
            killed = isinstance(error, KeyboardInterrupt | TerminationSignal)
            run.end(RunStatus.KILLED if killed else RunStatus.FAILED, f"{type(error).__name__}: {error}"[:1000])
            raise
        run.end(RunStatus.FINISHED)
        return result

    return inside_run


def _log_model(run: RecordedRun, name: str, value: object) -> bool:
    """Log what a function returned if it is a model; what knows of models is loaded with the first that may be one."""
    from toolkit.registry.returned_model import log_returned  # noqa: PLC0415 - see above

    return log_returned(run, name, value)


def _flow_tags() -> dict[str, str]:
    identity = flow_run.get_id()
    return {tag.PROJECT_BACKEND: "prefect", **({"prefect.flow_run_id": str(identity)} if identity else {})}


def _task_tags() -> dict[str, str]:
    identity = task_run.get_id()
    return {tag.PROJECT_BACKEND: "prefect", **({"prefect.task_run_id": str(identity)} if identity else {})}
