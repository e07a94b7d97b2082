"""How long a remote store is asked again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0


class Patience:
    """The attempts at one request: when the next one may begin, and when it is enough.

    Pauses double from 0.2 s to 5 s and are drawn at random between zero and that ("full jitter"), so that many
    clients that failed together do not come back together.

    Args:
        seconds: How long to go on after the last success.
        clock: Gives monotonic seconds.
        draw: Gives numbers in [0, 1).
    """

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.seconds = seconds
        self._clock = clock
        self._draw = draw
        self.restart()

    def restart(self) -> None:
        """Begin anew: something got on."""
        self._ends = self._clock() + self.seconds
        self._failures = 0

    @property
    def left(self) -> float:
        """Seconds that are left; at least a moment."""
        return max(self._ends - self._clock(), 0.001)

    def pause(self) -> float | None:
        """Return how long to wait before the next attempt, in seconds; ``None`` when it is enough."""
        longest = min(_FIRST_PAUSE * 2.0**self._failures, _LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 16)
        wait = longest * self._draw()
        return wait if wait < self._ends - self._clock() else None
