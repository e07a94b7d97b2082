"""Files that come in parts: kept apart until all are there, then stored as one, whole or not at all.

What is known of an upload is in a folder of the server's home, so each of its processes can take each part. Everything
here blocks: it is for threads.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from toolkit.artifacts.local import LocalArtifactStore
from toolkit.artifacts.store import StoredFile
from toolkit.errors import ArtifactError, InvalidValue, NotFound, StorageFull
from toolkit.server.artifacts.address import Address
from toolkit.server.artifacts.files import Files
from toolkit.server.artifacts.reading import AtEnd
from toolkit.server.artifacts.turns import Turns

MOST_PARTS = 10_000
MOST_OPEN = 256
"""Uploads in parts that are under way at the same time."""

KEPT = 24 * 3600.0
"""Seconds after its last part that an upload is removed which nobody ended."""

_ID = re.compile(r"[0-9a-f]{32}")
_ETAG = re.compile(r'"?([0-9a-f]{64})"?')
_ABOUT = "upload"
_DONE = "done"


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part, as the client that sent it says.

    Attributes:
        number: From 1.
        etag: What it was answered: the SHA-256 of the part.
    """

    number: int
    etag: str


class Parts:
    """The uploads in parts that are under way.

    Args:
        files: Where files go when all their parts are there.
        folder: For the parts.
    """

    def __init__(self, files: Files, folder: Path) -> None:
        self._files = files
        self._folder = folder
        self._store = LocalArtifactStore(folder, create=False)
        self._turns = Turns(folder / "turns")
        self._clear()

    def begin(self, address: Address, count: int) -> str:
        """Begin an upload in so many parts; return its id, which is a secret of whoever began it.

        Raises:
            Conflict: The run is deleted.
            Forbidden: The address is not where the owner's artifacts are.
            InvalidValue: There are too many parts, or none.
            NotFound: There is no such owner.
            StorageFull: Too many uploads are under way.
        """
        if not 1 <= count <= MOST_PARTS:
            raise InvalidValue(f"num_parts is {count}: wanted 1 to {MOST_PARTS}")
        self._files.check_writable(address)
        if self._clear() >= MOST_OPEN:
            raise StorageFull(f"{MOST_OPEN} uploads in parts are under way already: wait for one to end")
        upload = uuid.uuid4().hex
        about = json.dumps({"key": address.key, "parts": count}).encode()
        self._store.put_stream(f"{upload}/{_ABOUT}", io.BytesIO(about))
        return upload

    def check(self, upload: str, number: int) -> None:
        """Check that an upload takes a part of this number.

        Raises:
            InvalidValue: It has no such part.
            NotFound: There is no such upload, or it has ended.
        """
        _, count = self._about(upload)
        if not 1 <= number <= count:
            raise InvalidValue(f"part {number} is none of the {count} parts of this upload")
        if self._is_done(upload):
            raise _unknown(upload)

    def check_room(self, size: int) -> None:
        """Check that so many bytes more fit on the disk of the parts.

        Raises:
            StorageFull: Less than the reserve would stay free.
        """
        with suppress(OSError):
            if shutil.disk_usage(self._folder).free - size < self._files.limits.reserve:
                raise StorageFull("there is not enough space left for the upload: free some and try again")

    def store(self, upload: str, number: int, source: BinaryIO, sha256: str | None = None) -> StoredFile:
        """Store a part. The same again replaces it.

        Raises:
            ArtifactError: It cannot be stored.
            InvalidValue: It has another digest than announced.
            NotFound: The upload has ended.
            TooLarge: The parts together have more bytes than a file may have.
        """
        self.check(upload, number)
        stored = self._store.put_stream(f"{upload}/{number:05}", AtEnd(source, _nothing, sha256).as_file())
        try:
            self._files.check_size(sum(file.size for file in self._sent(upload)))
            self.check(upload, number)  # it may have ended meanwhile
        except BaseException:
            self._store.delete(stored.key)
            raise
        return stored

    def complete(self, upload: str, address: Address, parts: Sequence[Part]) -> None:
        """Store the file that the parts make, and list it. Doing it again is harmless: a client may ask again.

        Raises:
            ArtifactError: It cannot be stored.
            InvalidValue: A part did not come, is not as its client says, or is named twice.
            NotFound: There is no such upload.
        """
        with self._turns.one(upload) as turn:
            turn.take()
            self._check_address(upload, address)
            if self._is_done(upload):
                return
            with closing(_Joined(self._store, self._chosen(upload, parts))) as whole:
                self._files.store(address, whole.as_file())
            self._store.put_stream(f"{upload}/{_DONE}", io.BytesIO())
            for file in self._sent(upload):
                self._store.delete(file.key)

    def abort(self, upload: str, address: Address) -> None:
        """Forget an upload. One that was stored, and one that is not known, need nothing.

        Raises:
            NotFound: It is for another file.
        """
        with self._turns.one(upload if _ID.fullmatch(upload) else "") as turn:
            turn.take()
            with suppress(NotFound):
                self._about(upload)
                self._check_address(upload, address)
                if not self._is_done(upload):
                    shutil.rmtree(self._folder / upload, ignore_errors=True)

    def _sent(self, upload: str) -> list[StoredFile]:
        """Return the parts of an upload that are there."""
        marks = (f"{upload}/{_ABOUT}", f"{upload}/{_DONE}")
        return [file for file in self._store.list(upload) if file.key not in marks]

    def _chosen(self, upload: str, parts: Sequence[Part]) -> list[tuple[str, str]]:
        """Return the key and the digest of each part, in order."""
        if not parts:
            raise InvalidValue("the upload has no parts: name those that were sent")
        there = {file.key for file in self._sent(upload)}
        chosen = []
        for place, part in enumerate(sorted(parts, key=lambda part: part.number)):
            key, found = f"{upload}/{part.number:05}", _ETAG.fullmatch(part.etag)
            if part.number != place + 1:
                raise InvalidValue(f"the parts must be 1, 2, 3 and so on, each once: {part.number} is out of order")
            if key not in there:
                raise InvalidValue(f"part {part.number} did not come: send it, or begin again")
            if found is None:
                raise InvalidValue(f"part {part.number} has no etag: wanted what the server answered when it came")
            chosen.append((key, found[1]))
        return chosen

    def _about(self, upload: str) -> tuple[str, int]:
        """Return the key of the file that an upload is for, and how many parts it may have."""
        if not _ID.fullmatch(upload):
            raise _unknown(upload)
        try:
            with self._store.open(f"{upload}/{_ABOUT}") as source:
                told = json.load(source)
        except NotFound:
            raise _unknown(upload) from None
        return told["key"], told["parts"]

    def _check_address(self, upload: str, address: Address) -> None:
        if self._about(upload)[0] != address.key:
            raise _unknown(upload)

    def _is_done(self, upload: str) -> bool:
        return self._store.local_path(f"{upload}/{_DONE}") is not None

    def _clear(self) -> int:
        """Remove what nobody ended; return how many uploads are under way."""
        if not self._folder.is_dir():
            return 0
        with suppress(ArtifactError):
            self._store.clear_staging(older_than=KEPT)
        under_way = 0
        oldest = time.time() - KEPT
        with os.scandir(self._folder) as found:
            for entry in found:
                if not _ID.fullmatch(entry.name):
                    continue
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        shutil.rmtree(entry.path, ignore_errors=True)
                    elif not self._is_done(entry.name):
                        under_way += 1
        return under_way


class _Joined:
    """The parts of a file, read one after the other; each must be what its client sent.

    Args:
        store: Where they are.
        parts: Key and SHA-256 of each.
    """

    def __init__(self, store: LocalArtifactStore, parts: Sequence[tuple[str, str]]) -> None:
        self._store = store
        self._rest = list(reversed(parts))
        self._source: BinaryIO | None = None
        self._digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Return at most so many bytes; nothing at the end.

        Raises:
            InvalidValue: A part has another content than its client sent.
        """
        while True:
            if self._source is None:
                if not self._rest:
                    return b""
                self._source = self._store.open(self._rest[-1][0])
                self._digest = hashlib.sha256()
            chunk = self._source.read(size)
            if chunk:
                self._digest.update(chunk)
                return chunk
            self._source.close()
            self._source = None
            key, sha256 = self._rest.pop()
            if self._digest.hexdigest() != sha256:
                number = int(key.rpartition("/")[2])
                raise InvalidValue(f"part {number} is not the one that has this etag: send it again")

    def close(self) -> None:
        """Close what is open."""
        if self._source is not None:
            self._source.close()

    def as_file(self) -> BinaryIO:
        """Return it as stores take it: they only call `read`."""
        return cast(BinaryIO, self)


def _nothing() -> None:
    """Do nothing at the end of a part."""


def _unknown(upload: str) -> NotFound:
    return NotFound(f"there is no upload {upload[:40]!r} of this file: it has ended, or was never begun")
