"""The contract of an artifact store, and the grammar of artifact paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A file that was stored.

    Attributes:
        key: Its key in the store.
        size: In bytes.
        sha256: Digest of the content, 64 hexadecimal digits.
        modified: When it was stored, in milliseconds since 1970 UTC, in a list; 0 where that is not known.
    """

    key: str
    size: int
    sha256: str
    modified: int = 0


class ArtifactStore(Protocol):
    """Bytes by key under one configured root.

    A key is a clean relative path with ``/`` between its parts (`toolkit.artifacts.key.check_key` is the rule); any
    other raises `InvalidValue`. An object becomes visible whole or not at all: a reader sees the old one or the new
    one, a writer that dies leaves nothing visible. Missing objects raise `NotFound`; a store that fails raises
    `ArtifactError`. Methods may be called from any thread.
    """

    root: str
    """The root as a URI, such as ``file:///home/me/.toolkit/artifacts``."""

    def put_file(self, key: str, source: Path) -> StoredFile:
        """Store a copy of a local file, hashing it on the way."""
        ...

    def put_stream(self, key: str, source: BinaryIO) -> StoredFile:
        """Store what a stream gives until its end, hashing it on the way."""
        ...

    def open(self, key: str) -> BinaryIO:
        """Open an object for reading."""
        ...

    def get_file(self, key: str, target: Path, *, sha256: str | None = None) -> None:
        """Write an object to a local file, atomically.

        Raises:
            ArtifactCorrupt: ``sha256`` was given and the content has another digest. The target is not touched.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[StoredFile]:
        """Give the objects at or below a key, ordered by key; ``sha256`` is empty where the store does not know it."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...

    def local_path(self, key: str) -> Path | None:
        """Return where an object (or a folder of objects) lies on this machine, for reading only; else ``None``."""
        ...
