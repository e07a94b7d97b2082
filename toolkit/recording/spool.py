"""The spool: files on their way to an artifact store that is not on this machine.

Logging a file copies it here and returns; threads send it, and list it once it is there whole. So a store that is away
or slow neither stops nor slows a training. What a process could not send stays, and is sent by the next one or by
``toolkit sync``.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from toolkit.artifacts.local import LocalArtifactStore
from toolkit.artifacts.store import ArtifactStore
from toolkit.errors import ArtifactError, NotAcknowledged, NotFound, ToolkitError
from toolkit.ids import now_ms
from toolkit.recording.spool_folder import (
    Item,
    SpoolLeftovers,
    forget_folders,
    is_for_good,
    is_replaced,
    make_folder,
    numbers,
    release,
    remove,
    send,
    set_aside,
)
from toolkit.tracking.records import ArtifactEntry
from toolkit.tracking.store import RunStore

logger = logging.getLogger("toolkit.spool")

_WORKERS = 4
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds between attempts
_EARLY_WAIT = 10.0  # seconds without a success, before the interpreter ends
_TICK = 0.1  # seconds
_PATIENCE = 60.0  # seconds to wait for a run that another process may still bring
_OTHERS_TIMEOUT = 2.0  # seconds for what others have left, at the end of a script that has sent no file itself


class Spool:
    """What this process has logged and the artifact store does not have yet. Its methods may be called by any thread.

    A child after a fork begins a spool of its own.

    Args:
        root: Folder of all spools.
        artifacts: Where files go.
        runs: Where they are listed.
        place: The run store by name, without password.
        expected: Tells whether a run that is not in the store may still come, by another process's journal.
    """

    def __init__(
        self,
        root: Path,
        artifacts: ArtifactStore,
        runs: RunStore,
        *,
        place: str,
        expected: Callable[[], bool] = lambda: False,
    ) -> None:
        self._root = root
        self._artifacts = artifacts
        self._runs = runs
        self._place = place
        self._expected = expected
        self._reset()
        _spools.add(self)

    def _reset(self) -> None:
        self._folder: Path | None = None
        self._lock: int | None = None
        self._files: LocalArtifactStore | None = None
        self._turn = threading.RLock()  # entered itself: a signal may raise inside of a condition, which would keep it
        self._changed = threading.Condition(self._turn)
        self._queue: list[tuple[int, Item]] = []
        self._under_way = 0
        self._keys_under_way: set[str] = set()
        self._next = 0
        self._workers = 0
        self._closing = False
        self._failure: Exception | None = None
        self._failed_since: float | None = None

    @property
    def waiting(self) -> int:
        """How many files the store does not have yet."""
        return len(self._queue) + self._under_way

    def put_file(self, source: Path, *, run_id: str, key: str, path: str) -> ArtifactEntry:
        """Take a copy of a local file, to be sent as the artifact ``path`` of a run.

        Raises:
            ArtifactError: It cannot be read, or there is no space for a copy.
            NotFound: There is no such file.
        """
        return self._take(lambda files, name: files.put_file(name, source).sha256, run_id, key, path)

    def put_stream(self, source: BinaryIO, *, run_id: str, key: str, path: str) -> ArtifactEntry:
        """Take what a stream gives until its end; as `put_file`."""
        return self._take(lambda files, name: files.put_stream(name, source).sha256, run_id, key, path)

    def _take(self, put: Callable[[LocalArtifactStore, str], str], run_id: str, key: str, path: str) -> ArtifactEntry:
        folder, files = self._open()
        with self._turn:
            number = self._next
            self._next += 1
        digest = put(files, str(number))
        item = Item(
            place=self._place,
            root=self._artifacts.root,
            run_id=run_id,
            key=key,
            path=path,
            size=(folder / str(number)).stat().st_size,
            sha256=digest,
            created=now_ms(),
        )
        files.put_stream(f"{number}.json", io.BytesIO(item.encode()))
        with self._turn:
            self._queue.append((number, item))
            if self._workers < min(_WORKERS, self.waiting):
                self._workers += 1
                threading.Thread(target=self._send_all, name="toolkit-spool", daemon=True).start()
            self._changed.notify_all()
        return item.entry

    def _open(self) -> tuple[Path, LocalArtifactStore]:
        with self._turn:
            if self._folder is None or self._files is None:
                try:
                    folder, self._lock = make_folder(self._root)
                except OSError as error:
                    raise ArtifactError(f"the spool {self._root} cannot be made: {error.strerror}") from error
                self._folder, self._files = folder, LocalArtifactStore(folder)
                _send_before_shutdown()
            return self._folder, self._files

    def flush(self, timeout: float | None = None) -> None:
        """Return when all files that were logged are where they belong, and listed.

        Args:
            timeout: Seconds to wait at most while the store does not take them; as long as it does, waiting goes on.

        Raises:
            NotAcknowledged: They are not.
        """
        with self._turn:
            while self.waiting:
                failed = self._failed_since
                if timeout is not None and failed is not None and time.monotonic() - failed >= timeout:
                    raise self._unfinished()
                self._changed.wait(_TICK)

    def _unfinished(self) -> NotAcknowledged:
        return NotAcknowledged(
            f"{self.waiting} logged files are not in {self._artifacts.root} yet ({self._failure}): they are kept in "
            f"{self._folder} and sent when it can be reached; toolkit sync sends them too",
            waiting=self.waiting,
        )

    def close(self, timeout: float) -> int:
        """Send what can be sent; give up when the store takes nothing for ``timeout`` seconds. Return what is left.

        When nothing is, what processes that are gone have left is sent too, as far as there is time.
        """
        if self._folder is None:
            self._send_leftovers(min(timeout, _OTHERS_TIMEOUT))
            return 0
        try:
            self.flush(timeout)
        except NotAcknowledged as error:
            logger.warning("%s", error)
        with self._turn:
            self._closing = True
            self._changed.notify_all()
        left = len(numbers(self._folder))
        if self._lock is not None:
            release(self._folder, self._lock)
        self._reset()
        if not left:
            self._send_leftovers(timeout)
        return left

    def _send_leftovers(self, timeout: float) -> None:
        """Send what others have left, in a thread that the process does not wait for when it ends."""
        if not self._root.is_dir() or not any(self._root.iterdir()):
            return
        left = SpoolLeftovers(self._root, self._artifacts, self._runs, self._place, expected=self._expected)

        def send_all() -> None:
            try:
                left.send_all(time.monotonic() + timeout)
            except Exception as error:  # noqa: BLE001 - the script is done; its files wait for the next one
                logger.debug("what earlier processes have left waits: %s", error)

        thread = threading.Thread(target=send_all, name="toolkit-spool-leftovers", daemon=True)
        thread.start()
        thread.join(timeout)

    # -- sending -------------------------------------------------------------------------------------

    def _send_all(self) -> None:
        folder, changed = self._folder, self._changed
        assert folder is not None
        attempts = 0
        while True:
            with changed:
                while self._changed is changed and (place := self._next_place()) is None and not self._closing:
                    changed.wait()
                if self._changed is not changed or self._closing or place is None:
                    return
                number, item = self._queue.pop(place)
                self._under_way += 1
                self._keys_under_way.add(item.key)
            sent = self._try(folder, number, item)
            with changed:
                if self._changed is not changed:  # closed meanwhile
                    return
                self._under_way -= 1
                self._keys_under_way.discard(item.key)
                if not sent:
                    self._queue.insert(0, (number, item))
                changed.notify_all()
            attempts = 0 if sent else attempts + 1
            if not sent:
                self._pause(attempts)

    def _next_place(self) -> int | None:
        """Return where in the queue the next file is that can be sent: what replaces another comes after it."""
        places = (n for n, (_, item) in enumerate(self._queue) if item.key not in self._keys_under_way)
        return next(places, None)

    def _try(self, folder: Path, number: int, item: Item) -> bool:
        """Send an item; return whether it need not be tried again."""
        try:
            if self._failed_since is not None and is_replaced(
                item, self._runs
            ):  # it waited: others may have been faster
                remove(folder, number)
            else:
                send(folder, number, item, self._artifacts, self._runs)
        except Exception as error:  # noqa: BLE001 - whatever a store does, the training goes on
            return self._failed(error, folder, number, item)
        self._failure = self._failed_since = None
        return True

    def _failed(self, error: Exception, folder: Path, number: int, item: Item) -> bool:
        if isinstance(error, NotFound) and self._expected():
            if now_ms() - item.created >= _PATIENCE * 1000:
                logger.warning("%s: the file %s waits in %s for a later process", error, item.path, folder)
                self._failure = self._failed_since = None
                return True
        elif isinstance(error, ToolkitError) and is_for_good(error):
            logger.warning("the file %s of run %s is not stored: %s", item.path, item.run_id, error)
            set_aside(self._root, folder, number)
            self._failure = self._failed_since = None
            return True
        if self._failed_since is None:
            self._failed_since = time.monotonic()
            logger.warning("%s: the file %s waits in %s, and is sent later", error, item.path, folder)
        self._failure = error
        return False

    def _pause(self, attempts: int) -> None:
        deadline = time.monotonic() + min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2 ** min(attempts - 1, 10))
        while time.monotonic() < deadline and not self._closing:
            time.sleep(_TICK)


_spools: weakref.WeakSet[Spool] = weakref.WeakSet()


@functools.cache
def _send_before_shutdown() -> None:
    """See to it that files are sent before the interpreter closes its pools of threads, at its end.

    Clients of S3 and the like need those pools, and the callbacks of `atexit` come after that. The standard library has
    no public name for what comes before; where there is none, files wait for the next process.
    """
    import concurrent.futures.thread  # noqa: F401, PLC0415 - it registers its own first: what comes last is called first

    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        with contextlib.suppress(RuntimeError):  # the end has begun
            register(_send_all_spools)


def _send_all_spools() -> None:
    for spool in list(_spools):
        with contextlib.suppress(NotAcknowledged):  # what is left is told at the very end
            spool.flush(_EARLY_WAIT)


def _after_fork() -> None:
    """Let each spool of a forked child begin anew: files and threads are the parent's."""
    forget_folders()
    for spool in list(_spools):
        spool._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
