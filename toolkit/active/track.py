"""``@toolkit.track``: track a plain function, without Prefect."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar, overload

from toolkit.active.session import start_run, step_run
from toolkit.recording import current
from toolkit.recording.capture import argument_params, log_result
from toolkit.recording.run import RecordedRun

P = ParamSpec("P")
R = TypeVar("R")


@overload
def track(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def track(
    *, name: str | None = None, tags: Mapping[str, object] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def track(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    tags: Mapping[str, object] | None = None,
) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
    """Make each call of a function a run: arguments become parameters, what it returns metrics and artifacts.

    A call inside a run becomes a child of it.

    Args:
        function: The function, where the decorator is used without parentheses.
        name: Name of the runs; default: the function's.
        tags: Tags of the runs.
    """
    if function is None:
        return lambda wrapped: track_call(wrapped, name=name, tags=tags)
    return track_call(function, name=name, tags=tags)


def _log_model(run: RecordedRun, name: str, value: object) -> bool:
    """Log what a function returned if it is a model; what knows of models is loaded with the first that may be one."""
    from toolkit.registry.returned_model import log_returned  # noqa: PLC0415 - see above

    return log_returned(run, name, value)


def track_call(function: Callable[P, R], *, name: str | None, tags: Mapping[str, object] | None) -> Callable[P, R]:
    """Return the function wrapped in a run."""

    @functools.wraps(function)
    def tracked(*args: P.args, **kwargs: P.kwargs) -> R:
        parent = current.context_run() or step_run()
        with start_run(
            run_name=name or function.__name__,
            nested=True,
            parent_run_id=parent.run_id if parent else None,
            tags=tags,
        ):
            run = current.context_run()
            assert run is not None
            run.log_params(argument_params(function, args, kwargs))
            result = function(*args, **kwargs)
            log_result(run, function, result, _log_model)
            return result

    return tracked
