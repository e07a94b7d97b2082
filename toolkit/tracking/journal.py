"""The journal: what is logged goes to a local file and returns at once; one thread brings it to the store.

A store that is away, slow, full or answers nonsense neither stops nor slows whoever logs: the entries wait in the file,
outlive the process, and are sent when the store is back, by this process, by the next one, or by ``toolkit sync``.
Every entry is applied once: the store keeps, in the same transaction, how far it has come in each journal.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import queue
import random
import threading
import time
import uuid
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import toolkit.db.fork  # noqa: F401 - see the end of this file
from toolkit.errors import JournalClosed, JournalError, NotAcknowledged, NotFound, StoreError, ToolkitError
from toolkit.tracking.entries import Begun, Entry, Rejection
from toolkit.tracking.journal_codec import decode, encode
from toolkit.tracking.journal_file import (
    REJECTED,
    Chunk,
    JournalFile,
    began,
    is_in_use,
    lock_folder,
    read_about,
    remove_folder,
)
from toolkit.tracking.store import RunStore

logger = logging.getLogger("toolkit.journal")

DEFAULT_LIMIT = 1024**3

_CHUNK_RECORDS = 8_000
_CHUNK_BYTES = 4 * 1024 * 1024
_LINGER = 0.02  # seconds to wait for more before sending a few
_SHORTEST_PAUSE, _LONGEST_PAUSE, _URGENT_PAUSE = 0.25, 30.0, 0.5  # seconds between attempts
_SYNC_EVERY = 1.0  # seconds
_WARN_EVERY = 60.0  # seconds
_OPEN_EVERY = 1.0  # seconds between attempts to begin a journal, where that fails
_LOOK_EVERY = 10.0  # seconds between looks at what others have left
_SHELL_AGE = 60.0  # seconds
_POLL = 0.05  # seconds
_PATIENCE = 60.0  # seconds to wait for a run that another process of this machine may still bring
_FORK_TIMEOUT = 2.0  # seconds
_QUIET = 0.1  # seconds
_ANNOUNCE_TIMEOUT = 1.0  # seconds
_JOIN = 5.0  # seconds for the thread to come out of the store at the end


class _Bell:
    """Wakes a thread. Ringing it is safe wherever a signal's handler may raise."""

    def __init__(self) -> None:
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ring(self) -> None:
        if self._rings.empty():
            self._rings.put(None)

    def clear(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._rings.get_nowait()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it rings."""
        with contextlib.suppress(queue.Empty):
            self._rings.get(timeout=timeout)


class Journal:
    """What this process has logged and the store has not acknowledged. Its methods may be called by any thread.

    A child after a fork begins a journal of its own, and so does who logs after `close`.

    Args:
        root: Folder of all journals.
        store: Where entries go.
        place: The store by name, without password: what its journals are known by.
        limit: Most bytes on disk.
    """

    def __init__(self, root: Path, store: RunStore, *, place: str, limit: int = DEFAULT_LIMIT) -> None:
        self._root = root
        self._store = store
        self._place = place
        self._limit = limit
        self._reset()
        _journals.add(self)

    def _reset(self) -> None:
        self._sender: _Sender | None = None
        self._opening = threading.Lock()
        self._announced = self._failed_at = self._warned = -math.inf
        self._not_opened: OSError | JournalError | None = None
        self._told = 0
        self.dropped = 0
        """How many entries were dropped, because the journal could not take them."""

    # -- logging -------------------------------------------------------------------------------------

    def add(self, entry: Entry) -> None:
        """Keep an entry and see to its sending. Never raises, and waits for nothing but the disk."""
        try:
            payload = encode(entry)
            while True:
                sender = self._sender or self._open()
                try:
                    sender.add(payload)
                except JournalClosed:  # by another thread, just now
                    if self._sender is sender:
                        self._sender = None
                else:
                    return
        except (OSError, JournalError, ValueError) as error:
            self._drop(error)

    def _open(self) -> _Sender:
        with self._opening:
            if self._sender is None:
                if self._not_opened is not None and time.monotonic() - self._failed_at < _OPEN_EVERY:
                    raise self._not_opened
                name = f"{os.getpid()}-{uuid.uuid4().hex[:16]}"
                try:
                    file = JournalFile.create(self._root, name, self._place, limit=self._limit)
                except (OSError, JournalError) as error:
                    self._not_opened, self._failed_at = error, time.monotonic()
                    raise
                _ours.add(file.folder)
                self._sender = _Sender(self._root, self._store, self._place, file)
            return self._sender

    def _drop(self, error: Exception) -> None:
        self.dropped += 1
        what = (error.strerror if isinstance(error, OSError) else None) or str(error)
        now = time.monotonic()
        if now - self._warned >= _WARN_EVERY:
            self._warned = now
            logger.warning(
                "what is logged now is lost (%d entries so far): %s; make space in %s, raise TOOLKIT_JOURNAL_LIMIT, or "
                "bring the store back",
                self.dropped,
                what,
                self._root,
            )

    # -- waiting -------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many entries the store has not acknowledged."""
        return self._sender.file.waiting if self._sender else 0

    @property
    def away(self) -> bool:
        """Whether the store could not be written when that was last tried."""
        return self._sender is not None and self._sender.failure is not None

    @property
    def folder(self) -> Path | None:
        """Where they are; ``None`` if nothing was logged yet."""
        return self._sender.file.folder if self._sender else None

    def flush(self, timeout: float | None = None) -> None:
        """Return when the store has acknowledged all that was logged before.

        Args:
            timeout: Seconds to wait at most; ``None``: as long as it takes.

        Raises:
            NotAcknowledged: It has not within the time, or the journal could not take some of it; the error says how
                much, and why.
        """
        if self._sender is not None:
            self._sender.flush(timeout)
        lost, self._told = self.dropped - self._told, self.dropped
        if lost:
            raise NotAcknowledged(f"{lost} logged entries were lost: the journal in {self._root} could not take them")

    def announce(self) -> None:
        """Wait a moment for what was just logged to arrive, so that other processes see it too.

        Not while the store is away, and not where such things come thick and fast: those arrive a little later.
        """
        now = time.monotonic()
        quiet = now - self._announced > _QUIET
        self._announced = now
        if quiet and self._sender is not None and not self.away:
            with contextlib.suppress(NotAcknowledged):
                self._sender.flush(_ANNOUNCE_TIMEOUT)

    def close(self, timeout: float = 10.0) -> int:
        """Send what can be sent within ``timeout`` seconds; return how many entries are left, for a later process."""
        sender, self._sender = self._sender, None
        waiting = sender.close(timeout) if sender is not None else 0
        if self.dropped:
            logger.warning("%d logged entries were lost: the journal could not take them", self.dropped)
        return waiting


class _Sender:
    """The file of a journal, and the thread that sends what is in it.

    No conditions and events: those are Python code, in whose middle a signal may raise, and then their lock stays held,
    and the process hangs when it ends.
    """

    def __init__(self, root: Path, store: RunStore, place: str, file: JournalFile) -> None:
        self.file = file
        self.failure: Exception | None = None
        self._root = root
        self._store = store
        self._place = place
        self._wake = _Bell()
        self._flushing: set[_Bell] = set()  # of who waits for an acknowledgement
        self._ended: list[bool] = []  # not empty when the thread has ended; to ask it could be interrupted, and say so
        self._idle = self._closing = self._crowded = False
        self._known: set[str] = set()  # runs that are in the store, or begin in this journal
        self._missing_since: float | None = None
        self._leftovers: Leftovers | None = None
        self._look_at = 0.0
        self._begun: list[bool] = []
        self._starting = threading.RLock()
        self._thread = threading.Thread(target=self._send_all, name="toolkit-journal", daemon=True)

    def add(self, payload: bytes) -> None:
        self.file.append(payload)
        if self._thread.ident is None:
            self._start()
        if self._idle:
            self._idle = False
            self._wake.ring()
        if self.file.crowded and not self._crowded:
            self._crowded = True
            logger.warning(
                "the journal %s is nearly full: %s; what is logged after that is lost, unless %s can be written again",
                self.file.folder,
                self.file.crowded,
                self._place,
            )

    def _start(self) -> None:
        # Not if the interpreter ends, and a later process sends it; nor if a signal came in the middle of this.
        with self._starting, contextlib.suppress(RuntimeError, KeyError):
            if self._thread.ident is None:
                self._thread.start()

    def flush(self, timeout: float | None) -> None:
        """See `Journal.flush`."""
        if self._thread is threading.current_thread():
            return
        goal = self.file.written
        deadline = None if timeout is None else time.monotonic() + timeout
        bell = _Bell()
        try:
            self._flushing.add(bell)
            self._wake.ring()
            while self.file.acknowledged < goal:
                left = None if deadline is None else deadline - time.monotonic()
                if (left is not None and left <= 0) or self._thread.ident is None or self._ended:
                    raise self._unfinished()
                bell.wait(min(left or 1.0, 1.0))
        finally:
            self._flushing.discard(bell)

    def _unfinished(self) -> NotAcknowledged:
        cause = f" ({self.failure})" if self.failure else ""
        return NotAcknowledged(
            f"{self.file.waiting} logged entries are not in {self._place} yet{cause}: they are kept in "
            f"{self.file.folder} and sent when it can be reached; toolkit sync sends them too",
            waiting=self.file.waiting,
        )

    def close(self, timeout: float) -> int:
        """See `Journal.close`."""
        deadline = time.monotonic() + timeout
        try:
            self.flush(timeout)
        except NotAcknowledged as error:
            logger.warning("%s", error)
        self._closing = True
        self._wake.ring()
        if self._thread.ident is not None:
            self._thread.join(_JOIN)
            if self._thread.is_alive():  # in the middle of a store that does not answer: the file stays in use
                return self.file.waiting
        waiting = self.file.close()
        _ours.discard(self.file.folder)
        if not waiting:
            self._send_leftovers(deadline)
        return waiting

    def _send_leftovers(self, deadline: float) -> None:
        """Send what others have left, such as children that ended at once."""
        leftovers = Leftovers(self._root, self._store, self._place)
        try:
            while time.monotonic() < deadline and leftovers.step():
                pass
        except Exception as error:  # noqa: BLE001 - it stays where it is, for a later process
            logger.debug("what others have left cannot be sent now: %s", error)
        leftovers.close()

    # -- the thread ----------------------------------------------------------------------------------

    @property
    def _urgent(self) -> bool:
        """Whether somebody waits for an acknowledgement."""
        return bool(self._flushing)

    def _send_all(self) -> None:
        if self._begun:  # a start that a signal broke off was made up for
            return
        self._begun.append(True)
        file = self.file
        attempts, synced = 0, time.monotonic()
        while not (self._closing and (file.waiting == 0 or attempts or self._missing_since)):
            try:
                busy = self._send_some()
                attempts = self._recovered(attempts)
            except Exception as error:  # noqa: BLE001 - whatever a store does, the training goes on
                attempts = self._failed(error, attempts)
                self._pause(attempts)
                busy = True
            now = time.monotonic()
            if attempts and now - synced >= _SYNC_EVERY:
                file.sync()
                synced = now
            if not busy and not self._help():
                self._rest()
        if self._leftovers is not None:
            self._leftovers.close()
        self._ended.append(True)

    def _send_some(self) -> bool:
        waiting = self.file.waiting
        if waiting == 0:
            return False
        if waiting < _CHUNK_RECORDS and not self._urgent and not self._closing:
            self._wake.clear()
            self._wake.wait(_LINGER)
        chunk = self.file.take(_CHUNK_RECORDS, _CHUNK_BYTES)
        entries = [_decoded(payload) for payload in chunk.payloads]
        if self._must_wait(entries):
            if not self._help():
                time.sleep(_POLL)
            return True
        send(self._store, self.file, chunk, entries, self._root)
        for bell in list(self._flushing):
            bell.ring()
        return True

    def _must_wait(self, entries: Sequence[Entry | JournalError]) -> bool:
        """Tell whether there is an entry of a run that another process began, and has not brought to the store yet."""
        if not _missing(self._store, entries, self._known):
            self._missing_since = None
            return False
        now = time.monotonic()
        self._missing_since = self._missing_since or now
        others = (folder for folder in journal_folders(self._root) if folder != self.file.folder)
        return now - self._missing_since < _PATIENCE and any(_place(folder) == self._place for folder in others)

    def _help(self) -> bool:
        """Send a chunk of what others have left, if there is time for that; return whether there may be more."""
        if self._urgent or self._closing:
            return False
        if self._leftovers is None:
            if time.monotonic() < self._look_at:
                return False
            self._leftovers = Leftovers(self._root, self._store, self._place)
        try:
            more = self._leftovers.step()
        except Exception as error:  # noqa: BLE001 - it is not ours, and stays where it is
            logger.debug("what others have left cannot be sent now: %s", error)
            more = False
        if not more:
            self._leftovers.close()
            self._leftovers = None
            self._look_at = time.monotonic() + _LOOK_EVERY
        return more

    def _rest(self) -> None:
        self._wake.clear()
        self._idle = True
        if self.file.waiting == 0 and not self._closing:
            self._wake.wait(_LOOK_EVERY)
        self._idle = False

    def _recovered(self, attempts: int) -> int:
        if attempts:
            logger.warning("%s can be reached again: what waited is being sent", self._place)
            self.failure = None
        return 0

    def _failed(self, error: Exception, attempts: int) -> int:
        self.failure = error
        if attempts == 0:
            logger.warning(
                "%s cannot be written (%s): logging goes on, and what is logged waits in %s",
                self._place,
                error,
                self.file.folder,
            )
        return attempts + 1

    def _pause(self, attempts: int) -> None:
        longest = _URGENT_PAUSE if self._urgent else _LONGEST_PAUSE
        pause = min(longest, _SHORTEST_PAUSE * 2 ** min(attempts - 1, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
        deadline = time.monotonic() + pause
        while (left := deadline - time.monotonic()) > 0 and not self._closing:
            if self._urgent and left > _URGENT_PAUSE:
                return
            time.sleep(min(left, 0.1))


def _missing(store: RunStore, entries: Sequence[Entry | JournalError], known: set[str]) -> bool:
    """Tell whether there are entries of runs that the store does not have; those that it has become ``known``."""
    there = [entry for entry in entries if not isinstance(entry, JournalError)]
    known.update(entry.run_id for entry in there if isinstance(entry, Begun))
    missing = False
    for run_id in {entry.run_id for entry in there} - known:
        try:
            store.get_run(run_id)
        except NotFound:
            missing = True
        else:
            known.add(run_id)
    return missing


class Leftovers:
    """Sends, chunk by chunk, what processes that are gone have left for a store.

    Args:
        root: Folder of all journals.
        store: Where entries go.
        place: The store by name.
    """

    def __init__(self, root: Path, store: RunStore, place: str) -> None:
        self._root = root
        self._store = store
        self._place = place
        self._folders: Iterator[Path] | None = None
        self._open: JournalFile | None = None
        self.sent = 0
        """How many entries were sent."""
        self.rejected = 0
        """How many of them the store refused."""
        self.later = 0
        """How many wait for a run that a running process has not brought yet."""
        self._known: set[str] = set()

    def step(self) -> bool:
        """Send one chunk; return whether there may be more.

        Raises:
            ToolkitError: The store cannot take them now.
        """
        if self._open is None and not self._adopt_next():
            return False
        file = self._open
        assert file is not None
        chunk = file.take(_CHUNK_RECORDS, _CHUNK_BYTES)
        if chunk.payloads:
            entries = [_decoded(payload) for payload in chunk.payloads]
            if _missing(self._store, entries, self._known) and self._may_come(file.folder):
                self._leave(file)
                return True
            self.rejected += send(self._store, file, chunk, entries, self._root)
            self.sent += len(chunk.payloads)
        if file.waiting == 0:
            self._open = None
            file.close()
            if file.damaged:
                logger.warning(
                    "%d bytes of the journal %s cannot be read: it is kept in %s",
                    file.damaged,
                    file.folder,
                    self._root / REJECTED,
                )
        return True

    def _may_come(self, folder: Path) -> bool:
        """Tell whether another process of this machine may still bring a run that the journal in a folder writes to."""
        others = (other for other in journal_folders(self._root) if other != folder)
        return any(_place(other) == self._place and (other in _ours or is_in_use(other)) for other in others)

    def _leave(self, file: JournalFile) -> None:
        self.later += file.waiting
        self._open = None
        file.close(keep=True)

    def _adopt_next(self) -> bool:
        if self._folders is None:
            folders = [folder for folder in journal_folders(self._root) if _place(folder) == self._place]
            remove_shells(self._root)
            self._folders = iter(sorted(folders, key=began))  # who forks comes before what it has forked
        for folder in self._folders:
            if (adopted := _adopt(folder)) is not None:
                if adopted.torn and not adopted.damaged:
                    logger.warning("the last record of %s was cut off in the middle, and dropped", folder)
                self._open = adopted
                return True
        return False

    def close(self) -> None:
        """Let go of a journal that is not sent whole."""
        if self._open is not None:
            self._open.close(keep=True)
            self._open = None


def _adopt(folder: Path) -> JournalFile | None:
    if folder in _ours:
        return None
    try:
        return JournalFile.adopt(folder)
    except FileNotFoundError:  # another process has just sent it
        return None
    except (JournalError, OSError) as error:
        logger.warning("%s cannot be read: %s", folder, error)
        return None


def _place(folder: Path) -> str | None:
    try:
        return read_about(folder)
    except (JournalError, OSError):
        return None


def remove_shells(root: Path) -> None:
    """Remove folders of journals that were never begun, or whose removal was broken off; not those just made."""
    for folder in journal_folders(root):
        with contextlib.suppress(OSError):  # it is gone
            if folder in _ours or time.time() - folder.stat().st_mtime <= _SHELL_AGE or any(folder.glob("*.segment")):
                continue
            lock = lock_folder(folder)
            if lock is not None:
                remove_folder(folder)
                os.close(lock)


def journal_folders(root: Path) -> list[Path]:
    """Return the folders of all journals below ``root``, whoever's they are."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name != REJECTED)


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalState:
    """A journal on disk.

    Attributes:
        folder: Where it is.
        place: The store that it is for.
        in_use: Whether its process still runs, and so sends it by itself.
    """

    folder: Path
    place: str
    in_use: bool


def journal_states(root: Path) -> list[JournalState]:
    """Return the journals below ``root`` that can be read."""
    return [
        JournalState(folder=folder, place=place, in_use=folder in _ours or is_in_use(folder))
        for folder in journal_folders(root)
        if (place := _place(folder)) is not None
    ]


def send(store: RunStore, file: JournalFile, chunk: Chunk, entries: Sequence[Entry | JournalError], root: Path) -> int:
    """Apply a chunk and acknowledge it; return how many of its entries the store refuses for good.

    Those are kept beside the journals in ``rejected``, with the reason.

    Raises:
        ToolkitError: The store cannot take them now.
    """
    readable = [None if isinstance(entry, JournalError) else entry for entry in entries]
    try:
        rejections = [*store.apply(readable, journal=file.name, first=chunk.first)]
    except StoreError as error:
        if refused := getattr(error, "rejections", ()):  # of the part that was written before it failed
            _keep_rejected(root, file.name, refused, [])
        raise
    unreadable = [
        (payload, entry)
        for payload, entry in zip(chunk.payloads, entries, strict=True)
        if isinstance(entry, JournalError)
    ]
    if rejections or unreadable:
        _keep_rejected(root, file.name, rejections, unreadable)
    file.acknowledge(chunk)
    return len(rejections) + len(unreadable)


def _decoded(payload: bytes) -> Entry | JournalError:
    try:
        return decode(payload)
    except JournalError as error:
        return error


def _keep_rejected(
    root: Path, name: str, rejections: Sequence[Rejection], unreadable: Sequence[tuple[bytes, JournalError]]
) -> None:
    folder = root / REJECTED
    kept = [(encode(rejection.entry), rejection.error) for rejection in rejections]
    for rejection in rejections:
        logger.warning("run %s: %s", rejection.entry.run_id, rejection.error)
    lines = [_rejected_line(payload, error) for payload, error in [*kept, *unreadable]]
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / f"{name}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as error:
        logger.warning("refused entries cannot be kept in %s: %s", folder, error.strerror)


def _rejected_line(payload: bytes, error: ToolkitError) -> str:
    return json.dumps({"reason": str(error), "entry": payload.hex()}) + "\n"


_journals: weakref.WeakSet[Journal] = weakref.WeakSet()
_ours: set[Path] = set()
"""Folders that this process has open: its locks keep out everybody but itself."""


def _before_fork() -> None:
    """Let a child find the runs that it is going to write to."""
    for journal in list(_journals):
        if journal.waiting and not journal.away:
            with contextlib.suppress(NotAcknowledged):
                journal.flush(_FORK_TIMEOUT)


def _after_fork() -> None:
    """Let each journal of a forked child begin anew: files and threads are the parent's."""
    _ours.clear()
    for journal in list(_journals):
        journal._reset()


if hasattr(os, "register_at_fork"):
    # Registered after the database's own, and so called before it: that one waits until nobody writes.
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
