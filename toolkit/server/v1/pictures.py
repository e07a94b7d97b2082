"""Pictures of the store that clients read: each is a transaction, held by a thread of its own until it is ended."""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from toolkit.errors import NotFound, StoreBusy
from toolkit.tracking.store import RunStore

T = TypeVar("T")

MOST = 16
"""Pictures at a time: each holds a connection to the database."""

IDLE = 60.0
"""Seconds without a read after which a picture is ended: it keeps the database from cleaning up."""


class Pictures:
    """The pictures of a store.

    Args:
        store: The store.
        idle: Seconds without a read after which one is ended.
    """

    def __init__(self, store: RunStore, *, idle: float = IDLE) -> None:
        self._store = store
        self._idle = idle
        self._lock = threading.Lock()
        self._open: dict[str, _Picture] = {}

    def make(self) -> str:
        """Make one and return its name.

        Raises:
            StoreBusy: There are too many.
            StoreError: The store cannot be read.
        """
        with self._lock:
            self._open = {name: each for name, each in self._open.items() if not each.ended}
            if len(self._open) >= MOST:
                raise StoreBusy(f"{MOST} pictures of the store are being read: try again when one is done")
            name = secrets.token_urlsafe(16)
            picture = self._open[name] = _Picture(self._store, self._idle)
        picture.ready()
        return name

    def read(self, name: str, call: Callable[[RunStore], T]) -> T:
        """Return what a call of the store as it was returns.

        Raises:
            NotFound: There is no such picture, or not any more.
        """
        with self._lock:
            picture = self._open.get(name)
        if picture is None:
            raise _gone()
        return picture.read(call)

    def end(self, name: str) -> None:
        """End one; one that is not there is no error."""
        with self._lock:
            picture = self._open.pop(name, None)
        if picture is not None:
            picture.end()

    def close(self) -> None:
        """End all."""
        for name in list(self._open):
            self.end(name)


def _gone() -> NotFound:
    return NotFound(f"this picture of the store is over: one ends when nothing is read of it for {IDLE:.0f} s")


_Job = tuple[Callable[[RunStore], Any], "Future[Any]"]


class _Picture:
    def __init__(self, store: RunStore, idle: float) -> None:
        self.ended = False
        self._idle = idle
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ready: Future[None] = Future()
        threading.Thread(target=self._hold, args=(store,), name="toolkit-picture", daemon=True).start()

    def ready(self) -> None:
        self._ready.result()

    def read(self, call: Callable[[RunStore], T]) -> T:
        future: Future[T] = Future()
        with self._lock:
            if self.ended:
                raise _gone()
            self._jobs.put((call, future))
        return future.result()

    def end(self) -> None:
        self._jobs.put(None)

    def _hold(self, store: RunStore) -> None:
        try:
            with store.picture() as view:
                view.list_experiments(limit=1)  # SQLite takes the picture when it is first read
                self._ready.set_result(None)
                self._serve(view)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the picture gets the failure
            if not self._ready.done():
                self._ready.set_exception(error)
        finally:
            self._end()

    def _serve(self, view: RunStore) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=self._idle)
            except queue.Empty:
                return
            if job is None:
                return
            call, future = job
            try:
                future.set_result(call(view))
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                future.set_exception(error)

    def _end(self) -> None:
        with self._lock:
            self.ended = True
        while not self._jobs.empty():
            if (job := self._jobs.get()) is not None:
                job[1].set_exception(_gone())
