"""Functions and methods of libraries that are replaced by ones that log, and put back again."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

Call = Callable[..., Any]


class Patches:
    """What one integration has replaced. A thing is replaced once; `undo` puts everything back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done: dict[tuple[int, str], tuple[Any, str, Any, Any]] = {}
        self._ours: set[int] = set()

    def replace(self, owner: Any, name: str, instead: Call) -> None:  # noqa: ANN401 - a module, a class or a descriptor
        """Replace a function of a module, or a method that a class defines itself. What is no function is left alone.

        Args:
            owner: The module or the class.
            name: Name of the function.
            instead: Called in its place, with the original before the arguments.
        """
        here = vars(owner).get(name)
        if callable(getattr(here, "fn", None)) and hasattr(here, "check"):  # scikit-learn's available_if
            owner, name, here = here, "fn", here.fn
        if not isinstance(here, FunctionType):
            return
        with self._lock:
            if (id(owner), name) in self._done or id(here) in self._ours:
                return
            wrapper = _wrapper(here, instead)
            if isinstance(owner, ModuleType):  # pickle finds a function by its module and name
                wrapper.__module__, wrapper.__qualname__ = owner.__name__, name
            setattr(owner, name, wrapper)
            self._done[id(owner), name] = (owner, name, here, wrapper)
            self._ours.add(id(wrapper))

    def undo(self) -> None:
        """Put the originals back, but where somebody else has replaced ours in turn."""
        with self._lock:
            for owner, name, original, wrapper in self._done.values():
                if vars(owner).get(name) is wrapper:
                    setattr(owner, name, original)
            self._done.clear()
            self._ours.clear()


def _wrapper(original: Call, instead: Call) -> Any:  # noqa: ANN401 - a function that takes an attribute
    @functools.wraps(original)
    def wrapper(*args: object, **kwargs: object) -> Any:  # noqa: ANN401 - what the original returns
        return instead(original, *args, **kwargs)

    return wrapper
