"""The journal's files: append-only, each record framed by its length and CRC-32, one folder a process.

A folder holds ``about.json`` (whose journal it is, and for which store), ``lock`` (held by the process as long as it
lives) and segments ``00000001.segment`` and so on. A segment is a file of a fixed size, its space allocated beforehand
and mapped into memory: appending is a copy into the page cache, which outlives the process however it ends, and costs
no system call. A segment begins with a header (magic, number of its first record, number of the first record that is
not acknowledged); a record is its length, the CRC-32 of its bytes, and the bytes; a length of 0 is the end. A segment
whose records are all acknowledged is removed, and with the last one the folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import mmap
import os
import shutil
import struct
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from toolkit.errors import JournalClosed, JournalError, JournalFull

SEGMENT_SIZE = 8 * 1024 * 1024
FIRST_SEGMENT_SIZE = 1024 * 1024
_MAGIC = b"TKJ1"
_HEADER = struct.Struct("<4sIQQ")  # magic, reserved, number of the first record, number of the first unacknowledged one
_ACKNOWLEDGED = struct.Struct("<Q")
_ACKNOWLEDGED_AT = 16
_FRAME = struct.Struct("<II")  # length, CRC-32
_CROWDED = 0.8  # of the limit
_FREE = 4 * SEGMENT_SIZE
_END = bytes(_FRAME.size)
REJECTED = "rejected"
"""Folder beside the journals: what stores refuse for good, and what cannot be read."""

_LOCK, _ABOUT = "lock", "about.json"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records that were read.

    Attributes:
        first: Number of the first one, from 0 in a journal.
        payloads: Their bytes.
        segment: Index of the segment that reading goes on in.
        offset: Where in it.
    """

    first: int
    payloads: Sequence[bytes]
    segment: int
    offset: int

    @property
    def end(self) -> int:
        """Number of the record after the last one."""
        return self.first + len(self.payloads)


class _Segment:
    """One mapped file."""

    def __init__(self, path: Path, *, size: int = 0, first: int = 0) -> None:
        """Map the file at ``path``; with a ``size``, make it, beginning with record number ``first``."""
        self.path = path
        flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if size else 0)
        handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            if size:
                os.posix_fallocate(handle, 0, size)  # no page of the map may lack its space on the disk
            self.map = mmap.mmap(handle, 0)
        except BaseException:
            if size:
                path.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        if size:
            _HEADER.pack_into(self.map, 0, _MAGIC, 0, first, first)
        magic, _, self.first, acknowledged = _HEADER.unpack_from(self.map, 0)
        if magic != _MAGIC:
            raise JournalError(f"{path} is no segment of a journal")
        self.acknowledged = max(self.first, acknowledged)
        self.tail = (_HEADER.size, 0)
        """Where the next record goes, and how many there are: one value, so that a signal finds both or neither new."""

    def acknowledge(self, number: int) -> None:
        self.acknowledged = number
        _ACKNOWLEDGED.pack_into(self.map, _ACKNOWLEDGED_AT, number)

    def remove(self) -> None:
        self.map.close()
        self.path.unlink(missing_ok=True)


class JournalFile:
    """One journal on disk. `append` may be called by any thread; the other methods by one.

    Attributes:
        name: The journal's own name, unlike any other's.
        folder: Where it is.
        store: The store that its records are for, without password.
        written: Number of the record after the last one.
        torn: Whether it ended in a record that was not whole.
        damaged: How many bytes of it hold something that cannot be read.
        crowded: What will soon keep it from growing, where something will; else empty.
    """

    def __init__(self, folder: Path, store: str, *, limit: int, lock: int) -> None:
        """Use `create` or `adopt`."""
        self.folder = folder
        self.name = folder.name
        self.store = store
        self.torn = False
        self.damaged = 0
        self.crowded = ""
        self._limit = limit
        self._lock_handle = lock
        self._segments: list[_Segment] = []
        self._removed = 0  # how many segments came before the first of the list
        self._made = 0  # number in the name of the segment that was made last
        self._read = (0, _HEADER.size)  # index of a segment, and where in it the first unacknowledged record is
        self._turn = threading.RLock()
        self._mine: Callable[[], bool] = cast(Any, self._turn)._is_owned
        self._closed = False
        self._late: list[bytes] = []

    @classmethod
    def create(cls, root: Path, name: str, store: str, *, limit: int) -> JournalFile:
        """Begin a journal below ``root``.

        Raises:
            OSError: The folder cannot be made or locked.
        """
        folder = root / name
        folder.mkdir(parents=True, mode=0o700)
        lock = None
        try:
            lock = lock_folder(folder)
            if lock is None:
                raise JournalError(f"{folder} is another process's journal")
            about = {"store": store, "pid": os.getpid()}
            (folder / _ABOUT).write_text(json.dumps(about) + "\n", encoding="utf-8")
        except BaseException:
            remove_folder(folder)
            if lock is not None:
                os.close(lock)
            raise
        return cls(folder, store, limit=limit, lock=lock)

    @classmethod
    def adopt(cls, folder: Path) -> JournalFile | None:
        """Open a journal that its process has left; ``None`` if the process lives, or another one adopted it.

        Raises:
            JournalError: The folder holds no journal that can be read.
            FileNotFoundError: It holds none at all, or no longer.
            OSError: It cannot be opened.
        """
        lock = lock_folder(folder, create=False)
        if lock is None:
            return None
        try:
            journal = cls(folder, read_about(folder), limit=0, lock=lock)
            journal._map_segments()
        except BaseException:
            os.close(lock)
            raise
        return journal

    # -- writing -------------------------------------------------------------------------------------

    def append(self, payload: bytes) -> None:
        """Add a record. It outlives the process as soon as this returns.

        Raises:
            JournalFull: The journal has reached its limit.
            OSError: The disk is full, or fails.
        """
        if self._mine():  # a signal's handler logs, in the middle of this very method
            self._late.append(payload)
            return
        with self._turn:
            self._put(payload)
        while self._late:
            self.append(self._late.pop(0))

    def _put(self, payload: bytes) -> None:
        if self._closed:
            raise JournalClosed
        record = _FRAME.pack(len(payload), zlib.crc32(payload)) + payload
        segment = self._segments[-1] if self._segments else None
        if segment is None or segment.tail[0] + len(record) + _FRAME.size > len(segment.map):
            segment = self._add_segment(len(record))
        start, count = segment.tail
        end = start + len(record)
        segment.map[start : end + _FRAME.size] = record + _END  # what was broken off by a signal is written over
        segment.tail = (end, count + 1)

    def _add_segment(self, record: int) -> _Segment:
        wanted = SEGMENT_SIZE if self._made else FIRST_SEGMENT_SIZE
        size = max(wanted, _HEADER.size + record + _FRAME.size)
        if self.size + size > self._limit:
            raise JournalFull(f"the journal {self.folder} has reached its limit of {self._limit} bytes")
        self._made += 1  # before the file is there: a signal may come at any time
        segment = _Segment(self.folder / f"{self._made:08}.segment", size=size, first=self.written)
        self._segments.append(segment)
        self._look_ahead()
        return segment

    def _look_ahead(self) -> None:
        if self.size >= _CROWDED * self._limit:
            self.crowded = f"it has {self.size} of at most {self._limit} bytes (TOOLKIT_JOURNAL_LIMIT)"
        elif (free := shutil.disk_usage(self.folder).free) < _FREE:
            self.crowded = f"there are only {free} bytes free on its disk"
        else:
            self.crowded = ""

    def sync(self) -> None:
        """Bring what is written to the disk itself, so that it also outlives the machine."""
        for segment in list(self._segments):
            with contextlib.suppress(ValueError, OSError):  # closed meanwhile; or the disk fails, which sending tells
                segment.map.flush()

    # -- reading -------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(len(segment.map) for segment in list(self._segments))

    @property
    def written(self) -> int:
        """Number of the record after the last one."""
        segments = self._segments
        return segments[-1].first + segments[-1].tail[1] if segments else 0

    @property
    def acknowledged(self) -> int:
        """Number of the first record that is not acknowledged."""
        segments = self._segments
        return segments[0].acknowledged if segments else self.written

    @property
    def waiting(self) -> int:
        """How many records are not acknowledged."""
        return self.written - self.acknowledged

    def take(self, count: int, size: int) -> Chunk:
        """Read records from the first unacknowledged one on: at most ``count``, and about ``size`` bytes."""
        with self._turn:
            segments, end = list(self._segments), self.written
        index, offset = self._read
        first = number = self.acknowledged
        payloads: list[bytes] = []
        while number < end and len(payloads) < count and size > 0:
            segment = segments[index - self._removed]
            if offset >= segment.tail[0]:
                index, offset = index + 1, _HEADER.size
                continue
            length, _ = _FRAME.unpack_from(segment.map, offset)
            start = offset + _FRAME.size
            offset = start + length
            payloads.append(segment.map[start:offset])
            size -= length
            number += 1
        return Chunk(first, payloads, index, offset)

    def acknowledge(self, chunk: Chunk) -> None:
        """Drop the records of a chunk: the store has them."""
        self._read = (chunk.segment, chunk.offset)
        with self._turn:
            while len(self._segments) > 1 and self._segments[1].first <= chunk.end:
                self._segments.pop(0).remove()
                self._removed += 1
            if self._segments:
                self._segments[0].acknowledge(chunk.end)
            if self._read[0] < self._removed:
                self._read = (self._removed, _HEADER.size)

    def close(self, *, keep: bool = False) -> int:
        """Let go of the journal; return how many records wait in it.

        Its folder is removed if there are none; what cannot be read of it is kept in ``rejected`` beside it.
        """
        with self._turn:
            if self._closed:
                return 0
            for payload in self._late:
                self._put(payload)
            self._closed = True
            waiting = self.waiting
            for segment in self._segments:
                segment.map.close()
        if self.damaged and not waiting and not keep:
            self._set_aside()
        elif not waiting and not keep:
            remove_folder(self.folder)
        os.close(self._lock_handle)
        return waiting

    def _set_aside(self) -> None:
        with contextlib.suppress(OSError):
            target = self.folder.parent / REJECTED
            target.mkdir(mode=0o700, exist_ok=True)
            self.folder.rename(target / self.name)

    def _map_segments(self) -> None:
        for path in sorted(self.folder.glob("*.segment")):
            try:
                segment = _Segment(path)
            except (JournalError, ValueError, struct.error):
                self.torn = True  # it died while this segment was being made, or
                self.damaged += _content(path.read_bytes())
                continue
            if self._segments and segment.first != self.written:
                self.damaged += _content(segment.map[:])  # what comes after damage is not known to follow it
                segment.map.close()
                continue
            self._scan(segment)
            self._segments.append(segment)
        if self._segments:
            self._seek()

    def _scan(self, segment: _Segment) -> None:
        offset, count, end = _HEADER.size, 0, len(segment.map)
        while offset + _FRAME.size <= end:
            length, crc = _FRAME.unpack_from(segment.map, offset)
            if length == 0:
                break
            payload = segment.map[offset + _FRAME.size : offset + _FRAME.size + length]
            if len(payload) != length or zlib.crc32(payload) != crc:
                self.torn = True
                rest = offset + _FRAME.size + length if len(payload) == length else offset
                self.damaged += _content(segment.map[rest:])
                break
            offset += _FRAME.size + length
            count += 1
            segment.tail = (offset, count)

    def _seek(self) -> None:
        """Find the first unacknowledged record."""
        while len(self._segments) > 1 and self._segments[0].acknowledged >= self._segments[1].first:
            self._segments.pop(0).remove()
        segment = self._segments[0]
        offset = _HEADER.size
        for _ in range(min(segment.acknowledged, self.written) - segment.first):
            offset += _FRAME.size + _FRAME.unpack_from(segment.map, offset)[0]
        self._read = (0, offset)


def _content(data: bytes) -> int:
    """Return how many bytes there are up to the last one that is not zero."""
    return len(data.rstrip(b"\0"))


def read_about(folder: Path) -> str:
    """Return the store that the journal in a folder is for.

    Raises:
        JournalError: It does not say so.
        FileNotFoundError: There is none, or no longer.
    """
    try:
        store = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))["store"]
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JournalError(f"{folder} holds no journal: {error}") from error
    return str(store)


def began(folder: Path) -> int:
    """Return when a journal began, in nanoseconds since 1970 UTC; 0 if it is gone."""
    try:
        return (folder / _ABOUT).stat().st_mtime_ns
    except OSError:
        return 0


def remove_folder(folder: Path) -> None:
    """Remove a journal's folder; what says whose it is goes last, so that another can finish what was broken off."""
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir(), key=lambda path: path.name == _ABOUT):
            path.unlink(missing_ok=True)
        folder.rmdir()


def is_in_use(folder: Path) -> bool:
    """Tell whether a process has the journal in a folder open (another one than this)."""
    try:
        lock = lock_folder(folder)
    except OSError:
        return False
    if lock is not None:
        os.close(lock)
    return lock is None


def lock_folder(folder: Path, *, create: bool = True) -> int | None:
    """Return the open lock of a process's folder; ``None`` if another process holds it.

    Args:
        folder: The folder.
        create: Whether to make the lock's file if there is none.

    The lock is of the kind that a process has, not a file: a child that is forked does not have it.
    """
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return None
        raise
    return handle
