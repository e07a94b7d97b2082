"""Being told when a module of a library has been imported, before or after it was asked for.

`toolkit.autolog()` must not import the libraries that a script does not use. So a finder goes to the front of
``sys.meta_path``: it finds nothing itself, but has the watchers told when a module that one of them wants is there.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Protocol, cast


class Watcher(Protocol):
    """Something that waits for modules."""

    def watches(self, module: str) -> bool:
        """Tell whether a module is one of those, by its full name."""
        ...

    def imported(self, module: ModuleType) -> None:
        """Be told that one has been imported; raises nothing."""
        ...


_lock = threading.Lock()
_watchers: list[Watcher] = []


def watch(watcher: Watcher) -> None:
    """Have a watcher told of the modules that are there, and of those that will be."""
    with _lock:
        if watcher not in _watchers:
            _watchers.append(watcher)
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and watcher.watches(name):
            watcher.imported(module)


def forget(watcher: Watcher) -> None:
    """Have a watcher told no more."""
    with _lock:
        if watcher in _watchers:
            _watchers.remove(watcher)
        if not _watchers and _FINDER in sys.meta_path:
            sys.meta_path.remove(_FINDER)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not any(watcher.watches(name) for watcher in _watchers):
            return None
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find else None
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)
                return cast(importlib.machinery.ModuleSpec, spec)
        return None


class _Loader(importlib.abc.Loader):
    """A loader that tells the watchers of what it has loaded, and else is another one."""

    def __init__(self, inner: Any) -> None:  # noqa: ANN401 - loaders have methods that their class does not name
        self._inner = inner

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the other one's
        return getattr(self._inner, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        spec.loader = self._inner
        try:
            return self._inner.create_module(spec)  # type: ignore[no-any-return]
        finally:
            spec.loader = self

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._inner
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        self._inner.exec_module(module)
        for watcher in tuple(_watchers):  # one may be taken off meanwhile
            if watcher.watches(module.__name__):
                watcher.imported(module)


_FINDER = _Finder()
