"""Artifacts in a store of objects: S3, or any file system that fsspec knows.

This part is the same for all of them: keys, digests, local files. What differs is in an `Objects`: how an object is
written so that it appears whole or not at all, how it is read, and how often a request is tried.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from toolkit.artifacts.key import STAGING, is_key, key_parts
from toolkit.artifacts.store import StoredFile
from toolkit.artifacts.writing import missing, save
from toolkit.errors import ArtifactError, NotFound


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """An object in a list.

    Attributes:
        path: Its path.
        size: In bytes.
        modified: When it was stored, in milliseconds since 1970 UTC; 0 where that is not known.
    """

    path: str
    size: int
    modified: int = 0


class Objects(Protocol):
    """Bytes by path, at one place. A path is used as it is: no part of it is ever read as a pattern.

    Every method may be called from any thread, also in a child after a fork. What may work later raises
    `ArtifactUnavailable` once its patience is used up; any other failure raises `ArtifactError` at once.
    """

    def write(self, path: str, source: BinaryIO, size: int | None) -> int:
        """Store what a stream gives until its end; the object appears whole or not at all.

        Args:
            path: Where.
            source: The content, read once.
            size: How many bytes it will be, if that is known.

        Returns:
            How many bytes are there, as the store says.
        """
        ...

    def open(self, path: str) -> BinaryIO:
        """Open an object for reading. Raises `NotFound` if there is none."""
        ...

    def find(self, path: str) -> Listed | None:
        """Return what a list would say of an object; ``None`` if there is none."""
        ...

    def below(self, path: str) -> Iterator[Listed]:
        """Give the objects below a path, ordered by path."""
        ...

    def delete(self, path: str) -> None:
        """Remove an object, if it is there."""
        ...

    def clear(self, path: str, older_than: float, *, remove: bool) -> int:
        """Remove what writers left that died, if it is older than so many seconds; return how many there were.

        Args:
            path: The folder that the store keeps for what is being written.
            older_than: Seconds.
            remove: Whether to remove it; else it is only counted.
        """
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class RemoteArtifactStore:
    """A `toolkit.artifacts.store.ArtifactStore` over objects.

    Args:
        root: The root as a URI.
        prefix: Path of the root in ``objects``; empty for the whole of it.
        objects: Where the bytes go.
    """

    def __init__(self, root: str, prefix: str, objects: Objects) -> None:
        self.root = root.rstrip("/")
        self._prefix = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else prefix
        self._objects = objects

    def put_file(self, key: str, source: Path) -> StoredFile:
        """See `ArtifactStore.put_file`."""
        path = self._path(key)
        try:
            stream = source.open("rb")
        except FileNotFoundError:
            raise NotFound(f"there is no file {source} to store as artifact {key!r}") from None
        except OSError as error:
            raise ArtifactError(f"{source} cannot be read: {error.strerror}") from error
        with stream:
            return self._put(key, path, stream, source.stat().st_size)

    def put_stream(self, key: str, source: BinaryIO) -> StoredFile:
        """See `ArtifactStore.put_stream`."""
        return self._put(key, self._path(key), source, None)

    def open(self, key: str) -> BinaryIO:
        """See `ArtifactStore.open`."""
        try:
            return self._objects.open(self._path(key))
        except NotFound:
            raise missing(key) from None

    def get_file(self, key: str, target: Path, *, sha256: str | None = None) -> None:
        """See `ArtifactStore.get_file`. A transfer that is cut off goes on where it stopped."""
        with self.open(key) as source:
            save(source, key, target, sha256=sha256)

    def list(self, prefix: str = "") -> Iterator[StoredFile]:
        """See `ArtifactStore.list`. The digests are empty: the store does not know them."""
        path = self._path(prefix) if prefix else self._prefix.removesuffix("/")
        if prefix and (found := self._objects.find(path)) is not None:
            yield StoredFile(key=prefix, size=found.size, sha256="", modified=found.modified)
        start = len(self._prefix)
        for found in self._objects.below(path):
            if is_key(key := found.path[start:]):
                yield StoredFile(key=key, size=found.size, sha256="", modified=found.modified)

    def delete(self, key: str) -> None:
        """See `ArtifactStore.delete`."""
        self._objects.delete(self._path(key))

    def local_path(self, key: str) -> Path | None:
        """Return ``None``: nothing of it lies on this machine."""
        key_parts(key)
        return None

    def clear_staging(self, *, older_than: float, remove: bool = True) -> int:
        """Remove what writers left that died.

        Args:
            older_than: Only what is older than this many seconds.
            remove: Whether to remove it; else it is only counted.

        Returns:
            How many uploads there were.
        """
        return self._objects.clear(f"{self._prefix}{STAGING}", older_than, remove=remove)

    def close(self) -> None:
        """Release connections."""
        self._objects.close()

    def _path(self, key: str) -> str:
        key_parts(key)
        return f"{self._prefix}{key}"

    def _put(self, key: str, path: str, source: BinaryIO, size: int | None) -> StoredFile:
        hashing = _Hashing(source)
        stored = self._objects.write(path, hashing, size)  # type: ignore[arg-type]  # only read() is used
        if stored != hashing.size:
            raise ArtifactError(
                f"artifact {key!r} has {stored} bytes in the store where {hashing.size} were sent: send it again"
            )
        return StoredFile(key=key, size=stored, sha256=hashing.digest.hexdigest())


class _Hashing:
    """Reads a stream and hashes what it gives."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int) -> bytes:
        chunk = self._source.read(size)
        self.digest.update(chunk)
        self.size += len(chunk)
        return chunk
