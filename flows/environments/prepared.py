"""The record of an environment that is ready, and the form of its lock."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

Report: TypeAlias = Callable[[str], None]
"""Takes a short line of progress."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedEnvironment:
    """What a step's command runs in, ready to be used.

    Attributes:
        kind: What provides it.
        key: Identifies its content: of a uv environment, 16 hexadecimal digits over all that it is made from; of the
            running interpreter, ``local``.
        directory: The virtual environment; ``None`` where the interpreter is not in one.
        python: Its Python's full version.
        lock: Every installed distribution, ``name==version`` or as uv writes it for one that comes from elsewhere, a
            line each, sorted, below comment lines that name Python and the platform.
        variables: Environment variables to set for the command; ``PATH`` has the environment's programs first.
        unset: Environment variables to remove for the command.
        reused: Whether it was there already.
        seconds: How long it took to get it.
    """

    kind: Literal["uv", "local"]
    key: str
    directory: Path | None
    python: str
    lock: str
    variables: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    reused: bool = False
    seconds: float = 0.0


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
