"""Artifacts in a local folder.

A file is written under ``.staging``, hashed on the way, flushed to the disk, and only then moved to its name: readers
see the old file or the new one, whole; what a writer leaves that dies in the middle is in ``.staging``, where nobody
looks but `LocalArtifactStore.clear_staging`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from toolkit.artifacts.key import check_key
from toolkit.artifacts.store import StoredFile
from toolkit.artifacts.tree import new_file, open_file, open_folder
from toolkit.errors import ArtifactCorrupt, ArtifactError, Conflict, InvalidSetting, InvalidValue, NotFound

STAGING = ".staging"

_Entries = list[
    tuple[str, str, os.stat_result | None]
]  # out here, where ``list`` is the built-in and not the store's method

_CHUNK = 1 << 20
_READ_ONLY = 0o444
_ATTEMPTS = 100
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_IN_THE_WAY = (errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST, errno.ELOOP)


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
        root: The folder; it is made if there is none.

    Raises:
        ArtifactError: It cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root.absolute()
        self.root = self._folder.as_uri()
        with _writing(f"the artifact root {str(self._folder)!r}"):
            (self._folder / STAGING).mkdir(parents=True, exist_ok=True)

    def put_file(self, key: str, source: Path) -> StoredFile:
        """See `ArtifactStore.put_file`."""
        _parts(key)
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
        parts = _parts(key)
        with _writing(f"artifact {key!r}"), open_folder(self._folder, [STAGING], create=True) as staging:
            staged = uuid.uuid4().hex
            try:
                size, sha256 = _write(staging, staged, source, mode=_READ_ONLY, flush=True)
                self._publish(staging, staged, parts)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(staged, dir_fd=staging)
                raise
        return StoredFile(key=key, size=size, sha256=sha256)

    def open(self, key: str) -> BinaryIO:
        """See `ArtifactStore.open`."""
        parts = _parts(key)
        with _reading(key), open_folder(self._folder, parts[:-1]) as folder:
            descriptor = open_file(folder, parts[-1])
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise _missing(key)
            return os.fdopen(descriptor, "rb")

    def get_file(self, key: str, target: Path, *, sha256: str | None = None) -> None:
        """See `ArtifactStore.get_file`."""
        with self.open(key) as source, _writing(f"the copy of artifact {key!r}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            with open_folder(target.parent.absolute(), []) as folder:
                partial = f".{uuid.uuid4().hex}.part"
                try:
                    _, found = _write(folder, partial, source, mode=0o666, flush=False)
                    if sha256 is not None and found != sha256:
                        raise ArtifactCorrupt(
                            f"artifact {key!r} has the digest {found} where {sha256} is recorded: it was changed or "
                            "damaged after it was stored"
                        )
                    os.replace(partial, target.name, src_dir_fd=folder, dst_dir_fd=folder)
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.unlink(partial, dir_fd=folder)
                    raise

    def list(self, prefix: str = "") -> Iterator[StoredFile]:
        """See `ArtifactStore.list`. The digests are empty: a folder does not know them."""
        if not prefix:
            yield from self._below([])
            return
        parts = _parts(prefix)
        found = self._stat(parts)
        if found is not None:
            yield _listed(prefix, found)
        else:
            yield from self._below(parts)

    def delete(self, key: str) -> None:
        """See `ArtifactStore.delete`. Folders that it leaves empty go too."""
        parts = _parts(key)
        try:
            with _reading(key), open_folder(self._folder, parts[:-1]) as folder:
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
        parts = _parts(key)
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
        with _writing("the staging folder"), open_folder(self._folder, [STAGING], create=True) as staging:
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
                    if not _is_key("/".join([*parts, entry.name])):
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        if entry.is_dir(follow_symlinks=False):
                            entries.append((f"{entry.name}/", entry.name, None))
                        elif entry.is_file(follow_symlinks=False):
                            entries.append((entry.name, entry.name, entry.stat(follow_symlinks=False)))
        except OSError as error:
            if error.errno in _NOT_THERE:
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


def _parts(key: str) -> list[str]:
    parts = check_key(key).split("/")
    if parts[0] == STAGING:
        raise InvalidValue(f"artifact key {key!r} begins with {STAGING!r}, which the store keeps for itself")
    return parts


def _is_key(key: str) -> bool:
    try:
        _parts(key)
    except InvalidValue:  # a name that other programs made; no key can mean it
        return False
    return True


def _write(folder: int, name: str, source: BinaryIO, *, mode: int, flush: bool) -> tuple[int, str]:
    """Write a stream to a new file in an open folder, flush it to the disk if asked; return size and SHA-256."""
    digest = hashlib.sha256()
    size = 0
    with os.fdopen(new_file(folder, name, mode=mode), "wb", buffering=0) as file:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            view = memoryview(chunk)
            while view:
                view = view[file.write(view) :]
        if flush:
            os.fsync(file.fileno())
    return size, digest.hexdigest()


@contextlib.contextmanager
def _reading(key: str) -> Iterator[None]:
    """Turn what the operating system says about a file that is read into our errors."""
    try:
        yield
    except OSError as error:
        if error.errno in (*_NOT_THERE, errno.ENAMETOOLONG):
            raise _missing(key) from error
        raise ArtifactError(f"artifact {key!r} cannot be read: {error.strerror}") from error


@contextlib.contextmanager
def _writing(what: str) -> Iterator[None]:
    """Turn what the operating system says about a file that is written into our errors."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise ArtifactError(f"{what} was not stored: there is no space left; free some and try again") from error
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidValue(f"{what} has a name that is longer than the file system allows") from error
        if error.errno in _IN_THE_WAY:
            raise Conflict(f"{what} was not stored: a file, folder or link is in its way ({error.strerror})") from error
        raise ArtifactError(f"{what} was not stored: {error.strerror}") from error


def _missing(key: str) -> NotFound:
    return NotFound(f"No such artifact: '{key}'")
