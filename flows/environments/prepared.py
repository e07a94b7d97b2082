"""The record of an environment that is ready, and the form of its lock."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from toolkit.flows.environments.container import Container

Report: TypeAlias = Callable[[str], None]
"""Takes a short line of progress."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedEnvironment:
    """What a step's command runs in, ready to be used.

    Attributes:
        kind: What provides it.
        key: Identifies its content: of a uv or conda environment, 16 hexadecimal digits over all that it is made from;
            of a container, the first 16 of its image's id; of the running interpreter, ``local``.
        directory: The virtual environment; ``None`` where the interpreter is not in one, and for a container.
        python: Its Python's full version; empty where it has none, and for a container.
        lock: Every installed distribution, ``name==version`` or as uv writes it for one that comes from elsewhere, a
            line each, sorted, below comment lines that name Python and the platform.
        variables: Environment variables to set for the command; ``PATH`` has the environment's programs first.
        unset: Environment variables to remove for the command.
        reused: Whether it was there already.
        seconds: How long it took to get it.
        container: What a container is made from, where this is one.
        release: Gives up the claim that keeps it from being removed while it is used.
    """

    kind: Literal["uv", "local", "conda", "docker"]
    key: str
    directory: Path | None
    python: str
    lock: str
    variables: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    reused: bool = False
    seconds: float = 0.0
    container: Container | None = None
    release: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)


def machine() -> str:
    """Return the platform that compiled packages are for, such as ``linux-x86_64``."""
    return f"{sys.platform}-{platform.machine().lower()}"


def write_lock(python: str, distributions: Iterable[str]) -> str:
    """Return the text of a lock.

    Nothing in it depends on where or when the environment was made: equal locks mean equal environments.

    Args:
        python: Full version of Python.
        distributions: ``name==version`` and the like.
    """
    return "\n".join([f"# python {python}", f"# platform {machine()}", *sorted(distributions)]) + "\n"


def canonical(name: str) -> str:
    """Return a distribution's name in the one spelling that compares (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
