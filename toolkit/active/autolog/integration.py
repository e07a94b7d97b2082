"""What watches one library: its options, what it replaces in the library's modules, and how that is undone."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar

from packaging.version import InvalidVersion, Version

from toolkit.active.autolog import hook
from toolkit.active.autolog.options import Options
from toolkit.active.autolog.patches import Patches
from toolkit.active.autolog.training import Training, logger, warn

O = TypeVar("O", bound=Options)  # noqa: E741 - the options of an integration


class Integration(ABC, Generic[O]):
    """Watches a library once it is enabled; the library is not imported for that.

    Attributes:
        flavor: Name of the flavor that it stands for.
        packages: Distributions that hold the library; the first that is installed counts.
        oldest: The oldest release that is known to work.
        modules: Top-level modules whose parts it wants to see.
        kind: Its class of options.
    """

    flavor: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    oldest: ClassVar[str]
    modules: ClassVar[tuple[str, ...]]
    kind: type[O]

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._patches = Patches()
        self._options: O | None = None
        self._own = False
        self._too_old: bool | None = None

    @property
    def options(self) -> O | None:
        """How trainings are logged; ``None``: not at all."""
        return self._options

    def enable(self, options: O) -> None:
        """Watch the library, as its own ``autolog()`` says."""
        with self._lock:
            self._options, self._own = options, True
        hook.watch(self)

    def enable_as_all(self, options: Options) -> None:
        """Watch the library as all are; what its own ``autolog()`` has said counts for more."""
        with self._lock:
            if self._own:
                return
            self._options = self.kind(**{each.name: getattr(options, each.name) for each in fields(Options)})
        hook.watch(self)

    def disable(self) -> None:
        """Watch no longer, and put the library's functions back."""
        with self._lock:
            self._options, self._own = None, False
            hook.forget(self)
            self._patches.undo()

    def begin(self) -> Training | None:
        """Return a training to enter; ``None`` if nothing of it is to be logged."""
        options = self._options
        return None if options is None else Training.begin(self.flavor, options)

    def watches(self, module: str) -> bool:
        """Tell whether a module is a part of the library."""
        return module.partition(".")[0] in self.modules

    def imported(self, module: ModuleType) -> None:
        """Replace what is to be replaced in a module of the library."""
        with self._lock:
            options = self._options
            if options is None or (options.disable_for_unsupported_versions and self._is_too_old(options)):
                return
            try:
                self.patch(module)
            except Exception as error:  # noqa: BLE001 - an import must not fail for what watches it
                warn(self.flavor, f"{module.__name__} is not watched", error, silent=options.silent)

    @abstractmethod
    def patch(self, module: ModuleType) -> None:
        """Replace what is to be replaced in a module, which has been imported."""

    def replace(self, owner: Any, name: str, instead: Any) -> None:  # noqa: ANN401 - see Patches.replace
        """Replace a function of a module or class; see `Patches.replace`."""
        self._patches.replace(owner, name, instead)

    def _is_too_old(self, options: O) -> bool:
        """Tell whether the library is older than any that is tested, and say so the first time."""
        if self._too_old is None:
            found = next((each for each in map(_installed, self.packages) if each is not None), None)
            self._too_old = found is not None and found[1] < Version(self.oldest)
            if found is not None and self._too_old and not options.silent:
                logger.warning("%s %s is not watched: the oldest that is watched is %s", *found, self.oldest)
        return self._too_old


def _installed(package: str) -> tuple[str, Version] | None:
    """Return a package's name and release; ``None``: it is not there, or its release is no number."""
    try:
        return package, Version(version(package))
    except (PackageNotFoundError, InvalidVersion):
        return None
