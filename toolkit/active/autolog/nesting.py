"""Which training the code is inside of: what a training trains on its way is not logged once more.

The training is a context variable, so that threads train without knowing of each other. Threads that a library starts
for its own work know nothing of it, either: `carried` takes it along into the tasks of joblib's workers. This module
imports nothing, since workers that are processes of their own import it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_inside: ContextVar[object | None] = ContextVar("toolkit_training", default=None)


def inside() -> object | None:
    """Return the training that the code is inside of, something else that it must not disturb, or ``None``."""
    return _inside.get()


@contextmanager
def entered(training: object) -> Iterator[None]:
    """Be inside a training for the length of a block."""
    token = _inside.set(training)
    try:
        yield
    finally:
        _inside.reset(token)


class Nested:
    """A function that is called as a part of a training, wherever that is."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - what the function returns
        """Call it."""
        with entered(self):
            return self.function(*args, **kwargs)


Task = tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]


def carried(tasks: Iterable[Task], wanted: Callable[[Callable[..., Any]], bool]) -> Iterator[Task]:
    """Return tasks, those whose function is wanted as parts of a training; they are taken when they are asked for."""
    for function, args, kwargs in tasks:
        yield (Nested(function) if wanted(function) else function), args, kwargs
