"""Artifacts in a local folder.

A file is written under ``.staging``, hashed on the way, flushed to the disk, and only then moved to its name: readers
see the old file or the new one, whole; what a writer leaves that dies in the middle is in ``.staging``, where nobody
looks but `LocalArtifactStore.clear_staging`.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from toolkit.artifacts.key import STAGING, is_key, key_parts
from toolkit.artifacts.store import StoredFile
from toolkit.artifacts.tree import open_file, open_folder
from toolkit.artifacts.writing import NOT_THERE, missing, reading, save, write, writing
from toolkit.errors import ArtifactError, InvalidSetting, NotFound

_Entries = list[
    tuple[str, str, os.stat_result | None]
]  # out here, where ``list`` is the built-in and not the store's method

_READ_ONLY = 0o444
_ATTEMPTS = 100


def local_artifact_root(location: str) -> Path:
    """Return the folder that a ``file://`` URI or a plain path means.

    Raises:
        InvalidSetting: It has another scheme, or names another machine.
    """
    scheme = urlsplit(location).scheme if "://" in location or location.startswith("file:") else ""
    if not scheme:
        return Path(location).expanduser().absolute()
    if scheme != "file":
        raise InvalidSetting(
            f"artifact root {location!r} has the scheme {scheme!r}: supported now are file:// URIs and plain paths"
        )
    parts = urlsplit(location)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not parts.path.startswith("/"):
        raise InvalidSetting(
            f"artifact root {location!r} is no local folder: wanted one such as file:///path/to/artifacts"
        )
    return Path(unquote(parts.path))


class LocalArtifactStore:
    """A `toolkit.artifacts.store.ArtifactStore` in a folder of this machine.

    Links below the root are not followed, and not listed. Files are kept read-only.

    Args:
        root: The folder.
        create: Make it now if there is none; else when something is stored.

    Raises:
        ArtifactError: It cannot be made.
    """

    def __init__(self, root: Path, *, create: bool = True) -> None:
        self._folder = root.absolute()
        self.root = self._folder.as_uri()
        if create:
            self._make_folder()

    def _make_folder(self) -> None:
        with writing(f"the artifact root {str(self._folder)!r}"):
            (self._folder / STAGING).mkdir(parents=True, exist_ok=True)

    def put_file(self, key: str, source: Path) -> StoredFile:
        """See `ArtifactStore.put_file`."""
        key_parts(key)
        try:
            stream = source.open("rb")
        except FileNotFoundError:
            raise NotFound(f"there is no file {source} to store as artifact {key!r}") from None
        except OSError as error:
            raise ArtifactError(f"{source} cannot be read: {error.strerror}") from error
        with stream:
            return self.put_stream(key, stream)

    def put_stream(self, key: str, source: BinaryIO) -> StoredFile:
        """See `ArtifactStore.put_stream`."""
        parts = key_parts(key)
        if not self._folder.is_dir():
            self._make_folder()
        with writing(f"artifact {key!r}"), open_folder(self._folder, [STAGING], create=True) as staging:
            staged = uuid.uuid4().hex
            try:
                size, sha256 = write(staging, staged, source, mode=_READ_ONLY, flush=True)
                self._publish(staging, staged, parts)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(staged, dir_fd=staging)
                raise
        return StoredFile(key=key, size=size, sha256=sha256)

    def open(self, key: str) -> BinaryIO:
        """See `ArtifactStore.open`."""
        parts = key_parts(key)
        with reading(key), open_folder(self._folder, parts[:-1]) as folder:
            descriptor = open_file(folder, parts[-1])
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise missing(key)
            return os.fdopen(descriptor, "rb")

    def get_file(self, key: str, target: Path, *, sha256: str | None = None) -> None:
        """See `ArtifactStore.get_file`."""
        with self.open(key) as source:
            save(source, key, target, sha256=sha256)

    def list(self, prefix: str = "") -> Iterator[StoredFile]:
        """See `ArtifactStore.list`. The digests are empty: a folder does not know them."""
        if not prefix:
            yield from self._below([])
            return
        parts = key_parts(prefix)
        found = self._stat(parts)
        if found is not None:
            yield _listed(prefix, found)
        else:
            yield from self._below(parts)

    def delete(self, key: str) -> None:
        """See `ArtifactStore.delete`. Folders that it leaves empty go too."""
        parts = key_parts(key)
        try:
            with reading(key), open_folder(self._folder, parts[:-1]) as folder:
                if stat.S_ISDIR(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode):
                    return
                os.unlink(parts[-1], dir_fd=folder)
                os.fsync(folder)
        except NotFound:
            return
        for depth in range(len(parts) - 1, 0, -1):
            try:
                with open_folder(self._folder, parts[: depth - 1]) as folder:
                    os.rmdir(parts[depth - 1], dir_fd=folder)
            except OSError:  # not empty, or gone already
                return

    def local_path(self, key: str) -> Path | None:
        """See `ArtifactStore.local_path`."""
        parts = key_parts(key)
        try:
            with open_folder(self._folder, parts[:-1]) as folder:
                mode = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode
        except OSError:
            return None
        return self._folder.joinpath(*parts) if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else None

    def clear_staging(self, *, older_than: float, remove: bool = True) -> int:
        """Remove what writers left that died.

        Args:
            older_than: Only what nobody has written to for this many seconds.
            remove: Whether to remove it; else it is only counted.

        Returns:
            How many files were removed.
        """
        removed = 0
        oldest = time.time() - older_than
        with writing("the staging folder"), open_folder(self._folder, [STAGING], create=True) as staging:
            for name in os.listdir(staging):  # noqa: PTH208 - an open folder has no path
                with contextlib.suppress(FileNotFoundError):
                    if os.stat(name, dir_fd=staging, follow_symlinks=False).st_mtime <= oldest:
                        if remove:
                            os.unlink(name, dir_fd=staging)
                        removed += 1
        return removed

    def _publish(self, staging: int, staged: str, parts: Sequence[str]) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                with open_folder(self._folder, parts[:-1], create=True) as folder:
                    os.replace(staged, parts[-1], src_dir_fd=staging, dst_dir_fd=folder)
                    os.fsync(folder)
                    return
            except FileNotFoundError:  # a delete beside us took the folder away, as it had become empty
                if attempt == _ATTEMPTS - 1:
                    raise

    def _below(self, parts: Sequence[str]) -> Iterator[StoredFile]:
        """Give the files below a folder in the order of their whole keys."""
        for name, found in self._entries(parts):
            if found is None:
                yield from self._below([*parts, name])
            else:
                yield _listed("/".join([*parts, name]), found)

    def _entries(self, parts: Sequence[str]) -> Sequence[tuple[str, os.stat_result | None]]:
        """Return the names in a folder with what files are, ``None`` for folders.

        A folder is sorted as if its name ended in ``/``, as in the keys of what is below it.
        """
        entries: _Entries = []
        try:
            with open_folder(self._folder, parts) as folder, os.scandir(folder) as found:
                for entry in found:
                    if not is_key("/".join([*parts, entry.name])):
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        if entry.is_dir(follow_symlinks=False):
                            entries.append((f"{entry.name}/", entry.name, None))
                        elif entry.is_file(follow_symlinks=False):
                            entries.append((entry.name, entry.name, entry.stat(follow_symlinks=False)))
        except OSError as error:
            if error.errno in NOT_THERE:
                return []
            raise ArtifactError(f"the folder {'/'.join(parts)!r} cannot be listed: {error.strerror}") from error
        return [(name, found) for _, name, found in sorted(entries, key=lambda entry: entry[0])]

    def _stat(self, parts: Sequence[str]) -> os.stat_result | None:
        """Return what a file is, or ``None`` if there is no file."""
        try:
            with open_folder(self._folder, parts[:-1]) as folder:
                found = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
        except OSError:
            return None
        return found if stat.S_ISREG(found.st_mode) else None


def _listed(key: str, found: os.stat_result) -> StoredFile:
    return StoredFile(key=key, size=found.st_size, sha256="", modified=found.st_mtime_ns // 1_000_000)
