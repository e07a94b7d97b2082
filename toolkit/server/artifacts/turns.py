"""One at a time for each key, among the threads of a process and the processes of a machine."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where one process serves
    fcntl = None  # type: ignore[assignment]

_FILES = 256


class Turn:
    """The turn of one of those who want the same key.

    Args:
        lock: What is taken among threads.
        file: What is taken among processes; several keys share one.
    """

    def __init__(self, lock: threading.Lock, file: Path) -> None:
        self._lock = lock
        self._file = file
        self._taken = False
        self._descriptor: int | None = None

    def take(self) -> None:
        """Wait until it has come. It lasts until the block ends that gave this."""
        if self._taken:
            return
        self._lock.acquire()
        self._taken = True
        self._descriptor = _locked(self._file, alone=True)

    def end(self) -> None:
        """Let the next one have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._taken:
            self._taken = False
            self._lock.release()


def _locked(file: Path, *, alone: bool) -> int | None:
    """Return a descriptor that holds a lock until it is closed; ``None`` where there are no locks."""
    if fcntl is None:
        return None
    with suppress(OSError):  # a home that cannot be written: threads are kept apart all the same
        descriptor = _opened(file)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
    return None


def _opened(file: Path) -> int:
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:  # the first one
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


class Turns:
    """Turns by key; a key that nobody wants takes no memory.

    Args:
        folder: For the files that processes lock; processes that share it wait for each other.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._wanted: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def one(self, key: str) -> Iterator[Turn]:
        """Give a turn for a block, which it may take at any time in it."""
        with self._guard:
            lock, count = self._wanted.get(key, (threading.Lock(), 0))
            self._wanted[key] = (lock, count + 1)
        turn = Turn(lock, self._file(key))
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

    @contextmanager
    def none(self, key: str) -> Iterator[None]:
        """Keep everybody's turn from coming for a block; any number of readers may do so at a time."""
        descriptor = _locked(self._file(key), alone=False)
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _file(self, key: str) -> Path:
        return self._folder / f"{zlib.crc32(key.encode()) % _FILES:02x}"
