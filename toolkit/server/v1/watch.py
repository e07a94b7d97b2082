"""Runs that are listened to: each is read once, however many listen."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class Watched:
    """A run that somebody listens to, as it was when it was last looked at."""

    listeners: int = 0
    looked: float = float("-inf")
    told: bytes = b""
    steps: bytes = b""
    ended: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Watch:
    """The runs that are listened to: each is read once, whoever listens."""

    def __init__(self) -> None:
        self._runs: dict[str, Watched] = {}
        self.listeners = 0

    def join(self, key: str) -> Watched:
        """Begin to listen to a run, or to a run and its steps: each has a key of its own."""
        watched = self._runs.setdefault(key, Watched())
        watched.listeners += 1
        self.listeners += 1
        return watched

    def leave(self, key: str) -> None:
        """Listen no longer."""
        self.listeners -= 1
        self._runs[key].listeners -= 1
        if not self._runs[key].listeners:
            del self._runs[key]
