"""The spool: files on their way to an artifact store that is not on this machine.

Logging a file copies it here and returns; threads send it, and list it once it is there whole. So a store that is away
or slow neither stops nor slows a training. What a process could not send stays, and is sent by the next one or by
``toolkit sync``. Each process has a folder of its own, with a lock that it holds as long as it lives; an item is a
file ``<number>`` and, once that is whole, ``<number>.json``, which says where it belongs.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from toolkit.artifacts.local import LocalArtifactStore
from toolkit.artifacts.store import ArtifactStore
from toolkit.errors import ArtifactUnavailable, NotAcknowledged, UserError
from toolkit.ids import now_ms
from toolkit.tracking.journal_file import lock_folder
from toolkit.tracking.records import ArtifactEntry
from toolkit.tracking.store import RunStore

logger = logging.getLogger("toolkit.spool")

_WORKERS = 4
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds between attempts
_TICK = 0.1  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A file to be sent.

    Attributes:
        place: The run store that lists it, without password.
        root: Root of the artifact store, as a URI.
        run_id: Its run.
        key: Its key in the artifact store.
        path: Its path among the run's artifacts.
        size: In bytes.
        sha256: Digest of its content.
        created: When it was logged, milliseconds since 1970 UTC.
    """

    place: str
    root: str
    run_id: str
    key: str
    path: str
    size: int
    sha256: str
    created: int

    @property
    def entry(self) -> ArtifactEntry:
        """The file as it is listed."""
        return ArtifactEntry(path=self.path, size=self.size, sha256=self.sha256, created=self.created)


class Spool:
    """What this process has logged and the artifact store does not have yet. Its methods may be called by any thread.

    A child after a fork begins a spool of its own.

    Args:
        root: Folder of all spools.
        artifacts: Where files go.
        runs: Where they are listed.
        place: The run store by name, without password.
    """

    def __init__(self, root: Path, artifacts: ArtifactStore, runs: RunStore, *, place: str) -> None:
        self._root = root
        self._artifacts = artifacts
        self._runs = runs
        self._place = place
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
        files.put_stream(f"{number}.json", io.BytesIO(json.dumps(asdict(item)).encode()))
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
                folder = self._root / f"{os.getpid()}-{uuid.uuid4().hex[:16]}"
                folder.mkdir(parents=True, mode=0o700)
                self._lock = lock_folder(folder)
                self._folder, self._files = folder, LocalArtifactStore(folder)
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
        """Send what can be sent; give up when the store takes nothing for ``timeout`` seconds. Return what is left."""
        if self._folder is None:
            return 0
        try:
            self.flush(timeout)
        except NotAcknowledged as error:
            logger.warning("%s", error)
        with self._turn:
            self._closing = True
            self._changed.notify_all()
        left = self.waiting
        if not left:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
        self._reset()
        return left

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
        try:
            send(folder, number, item, self._artifacts, self._runs)
        except UserError as error:
            logger.warning("the file %s of run %s is not stored: %s", item.path, item.run_id, error)
            set_aside(self._root, folder, number)
        except Exception as error:  # noqa: BLE001 - whatever a store does, the training goes on
            if self._failed_since is None:
                self._failed_since = time.monotonic()
                logger.warning("%s: the file %s waits in %s, and is sent later", error, item.path, folder)
            self._failure = error
            return False
        self._failure = self._failed_since = None
        return True

    def _pause(self, attempts: int) -> None:
        deadline = time.monotonic() + min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2 ** min(attempts - 1, 10))
        while time.monotonic() < deadline and not self._closing:
            time.sleep(_TICK)


def send(folder: Path, number: int, item: Item, artifacts: ArtifactStore, runs: RunStore) -> None:
    """Bring an item where it belongs, list it, and remove it from its folder.

    Raises:
        ToolkitError: As the stores.
    """
    data = folder / str(number)
    stored = artifacts.put_file(item.key, data)
    if stored.sha256 != item.sha256:
        raise ArtifactUnavailable(f"{data} is not what it was when it was logged: its digest is {stored.sha256}")
    runs.record_artifacts(item.run_id, [item.entry])
    (folder / f"{number}.json").unlink(missing_ok=True)
    data.unlink(missing_ok=True)


def set_aside(root: Path, folder: Path, number: int) -> None:
    """Keep an item that is refused for good, out of the way."""
    target = root / "rejected" / f"{folder.name}-{number}"
    with contextlib.suppress(OSError):
        target.mkdir(parents=True, exist_ok=True)
        for name in (f"{number}.json", str(number)):
            (folder / name).replace(target / name)


def leftovers(root: Path, place: str) -> Iterator[tuple[Path, int, Item]]:
    """Give the items that processes which are gone have left for a run store; each spool is locked meanwhile.

    A folder is removed when nothing of it is left.
    """
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir()):
        if folder.name == "rejected" or not folder.is_dir() or any(spool._folder == folder for spool in list(_spools)):
            continue
        lock = lock_folder(folder)
        if lock is None:
            continue
        try:
            for manifest in sorted(folder.glob("*.json"), key=lambda path: int(path.stem)):
                item = Item(**json.loads(manifest.read_text(encoding="utf-8")))
                if item.place == place:
                    yield folder, int(manifest.stem), item
            if not any(folder.glob("*.json")):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def send_left(root: Path, artifacts: ArtifactStore, runs: RunStore, place: str) -> tuple[int, int]:
    """Send what processes that are gone have left; return how many files were sent, and how many are refused for good.

    Raises:
        ArtifactError: The artifact store cannot take them now.
        StoreError: The run store cannot.
    """
    sent = refused = 0
    for folder, number, item in leftovers(root, place):
        if item.root != artifacts.root:
            logger.warning("the file %s waits for %s, which is not the artifact root now", item.path, item.root)
            continue
        try:
            send(folder, number, item, artifacts, runs)
            sent += 1
        except UserError as error:
            logger.warning("the file %s of run %s is not stored: %s", item.path, item.run_id, error)
            set_aside(root, folder, number)
            refused += 1
    return sent, refused


_spools: weakref.WeakSet[Spool] = weakref.WeakSet()


def _after_fork() -> None:
    """Let each spool of a forked child begin anew: files and threads are the parent's."""
    for spool in list(_spools):
        spool._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
