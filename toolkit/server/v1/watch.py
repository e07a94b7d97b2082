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
    ended: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Watch:
    """The runs that are listened to: each is read once, whoever listens."""

    def __init__(self) -> None:
        self._runs: dict[str, Watched] = {}
        self.listeners = 0

    def join(self, run_id: str) -> Watched:
        """Begin to listen."""
        watched = self._runs.setdefault(run_id, Watched())
        watched.listeners += 1
        self.listeners += 1
        return watched

    def leave(self, run_id: str) -> None:
        """Listen no longer."""
        self.listeners -= 1
        self._runs[run_id].listeners -= 1
        if not self._runs[run_id].listeners:
            del self._runs[run_id]
