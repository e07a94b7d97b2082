"""Progress of work that takes long: a line now and then, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from toolkit.cli.render import say


class Pace:
    """Says how far the work is: every second or so on a terminal, and seldom where a log is written."""

    def __init__(self) -> None:
        self._every = 2.0 if sys.stderr.isatty() else 10.0
        self._next = time.monotonic() + self._every

    def say(self, text: Callable[[], str]) -> None:
        """Print a line, if it is time for one."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._every
            say(f"{text()} …")
