"""The body of a request on its way from the event loop to a thread: a bounded stretch of it at a time."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import BinaryIO, cast

MOST_HELD = 4 << 20
"""Bytes that wait for the thread, at most; then the client waits."""


_ENOUGH = 128 << 10  # bytes that are given out as they came: to join more of them costs more than it saves


class Cut(Exception):
    """The client went away before the body had ended."""


class Pipe:
    """A stream that the event loop fills and a thread reads.

    Args:
        loop: The loop that fills it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._room = asyncio.Event()
        self._changed = threading.Condition()
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._fault: Exception | None = None
        self._closed = False
        self._waited_for = False

    async def feed(self, piece: bytes) -> None:
        """Add a piece; wait while too much is held already. What comes after `close` is dropped."""
        with self._changed:
            if self._closed or not piece:
                return
            self._pieces.append(piece)
            self._held += len(piece)
            self._changed.notify()
            if self._held <= MOST_HELD:
                return
            self._waited_for = True
            self._room.clear()
        await self._room.wait()

    def end(self, fault: Exception | None = None) -> None:
        """Say that nothing more comes; with a fault, the reader raises it instead of seeing an end."""
        with self._changed:
            self._ended, self._fault = True, fault
            self._changed.notify()

    def close(self) -> None:
        """Say that nobody reads any more."""
        with self._changed:
            self._closed = True
            self._pieces.clear()
            self._held = 0
        self._room.set()

    def read(self, size: int) -> bytes:
        """Return what is there, at most ``size`` bytes; nothing only at the end. For a thread.

        Raises:
            Cut: The body did not come to its end.
        """
        with self._changed:
            while not self._pieces and not self._ended:
                self._changed.wait()
            if self._fault is not None:
                raise self._fault
            taken, count = [], 0
            while self._pieces and count < _ENOUGH and count + len(self._pieces[0]) <= size:
                piece = self._pieces.popleft()
                taken.append(piece)
                count += len(piece)
            if not taken and self._pieces:
                piece = self._pieces.popleft()
                self._pieces.appendleft(piece[size:])
                taken.append(piece[:size])
                count = size
            self._held -= count
            if self._waited_for and self._held <= MOST_HELD // 2:
                self._waited_for = False
                self._loop.call_soon_threadsafe(self._room.set)
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def as_file(self) -> BinaryIO:
        """Return it as stores take it: they only call `read`."""
        return cast(BinaryIO, self)
