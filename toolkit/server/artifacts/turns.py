"""One at a time for each key."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turn:
    """The turn of one of those who want the same key."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._taken = False

    def take(self) -> None:
        """Wait until it has come. It lasts until the block ends that gave this."""
        if not self._taken:
            self._lock.acquire()
            self._taken = True

    def end(self) -> None:
        """Let the next one have it."""
        if self._taken:
            self._taken = False
            self._lock.release()


class Turns:
    """Turns by key; a key that nobody wants takes no memory."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._wanted: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def one(self, key: str) -> Iterator[Turn]:
        """Give a turn for a block, which it may take at any time in it."""
        with self._guard:
            lock, count = self._wanted.get(key, (threading.Lock(), 0))
            self._wanted[key] = (lock, count + 1)
        turn = Turn(lock)
        try:
            yield turn
        finally:
            turn.end()
            with self._guard:
                lock, count = self._wanted[key]
                if count == 1:
                    del self._wanted[key]
                else:
                    self._wanted[key] = (lock, count - 1)
