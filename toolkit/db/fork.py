"""Forking beside open SQLite files.

SQLite notes in its process's memory which locks that process holds, and the system does not hand locks down to a child.
So a child that is forked while a connection is open believes in locks that nobody has: it may wait for ever for a
writer that it only remembers, and the parent may delete the log that it writes to. Hence a fork waits for the
transactions of other threads to end, closes the idle connections, and lets everybody on; the cost is to open them
again. (``subprocess`` is not concerned: what it starts remembers nothing.)
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Protocol

_LONGEST_WAIT = 10.0  # seconds; a transaction of ours takes milliseconds


class Forkable(Protocol):
    """Something that holds connections."""

    def release_idle(self) -> None:
        """Close the connections that nobody uses."""
        ...

    def renew_locks(self) -> None:
        """Forget the locks of threads, in a child that does not have those threads."""
        ...


class _Gate:
    """Counts the threads inside transactions, and holds up new ones while a fork goes on."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # entered itself: a signal may raise inside of a condition, which would keep it
        self.changed = threading.Condition(self.lock)
        self.inside = 0
        self.shut = False
        self.depth = threading.local()  # a thread that is inside may go in again

    def enter(self) -> None:
        depth: int = getattr(self.depth, "value", 0)
        if depth == 0:
            with self.lock:
                while self.shut:
                    self.changed.wait()
                self.inside += 1
        self.depth.value = depth + 1

    def leave(self) -> None:
        self.depth.value -= 1
        if self.depth.value == 0:
            with self.lock:
                self.inside -= 1
                self.changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more, and wait for the other threads to come out."""
        mine = 1 if getattr(self.depth, "value", 0) else 0
        deadline = time.monotonic() + _LONGEST_WAIT
        with self.lock:
            self.shut = True
            while self.inside > mine and (left := deadline - time.monotonic()) > 0:
                self.changed.wait(left)

    def open(self) -> None:
        with self.lock:
            self.shut = False
            self.changed.notify_all()


_gate = _Gate()
_watched: weakref.WeakSet[Forkable] = weakref.WeakSet()


def watch(holder: Forkable) -> None:
    """Make forks safe for a holder of connections, as long as it lives."""
    _watched.add(holder)


@contextlib.contextmanager
def no_fork() -> Iterator[None]:
    """Keep this process's forks waiting."""
    gate = _gate  # in a forked child there will be another
    gate.enter()
    try:
        yield
    finally:
        gate.leave()


def _before() -> None:
    _gate.close()
    for holder in list(_watched):
        holder.release_idle()


def _after_in_parent() -> None:
    _gate.open()


def _after_in_child() -> None:
    global _gate  # the old one counts threads that do not exist here
    _gate = _Gate()
    for holder in list(_watched):
        holder.renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
