"""Writing local files whole or not at all, and what the operating system says about files in our words."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from toolkit.artifacts.tree import new_file, open_folder
from toolkit.errors import ArtifactCorrupt, ArtifactError, Conflict, InvalidValue, NotFound, StorageFull

NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What the system says of a file that is not there, or only behind a link."""

_CHUNK = 1 << 20
_STRETCH = 8 << 20
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_IN_THE_WAY = (errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST, errno.ELOOP)


def save(source: BinaryIO, key: str, target: Path, *, sha256: str | None = None) -> None:
    """Write what a stream gives to a local file: beside it first, then moved to its name.

    Args:
        source: The content of an artifact.
        key: The artifact's key, for messages.
        target: The file; its folder is made if there is none.
        sha256: The digest that the content must have; ``None``: any.

    Raises:
        ArtifactCorrupt: The content has another digest. The target is not touched.
        ArtifactError: It cannot be written.
    """
    with writing(f"the copy of artifact {key!r}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_folder(target.parent.absolute(), []) as folder:
            partial = f".{uuid.uuid4().hex}.part"
            try:
                _, found = write(folder, partial, source, mode=0o666, flush=False)
                if sha256 is not None and found != sha256:
                    raise corrupt(key, found, sha256)
                os.replace(partial, target.name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(partial, dir_fd=folder)
                raise


def corrupt(key: str, found: str, wanted: str) -> ArtifactCorrupt:
    """Return the error for content that has another digest than the recorded one."""
    return ArtifactCorrupt(
        f"artifact {key!r} has the digest {found} where {wanted} is recorded: it was changed or damaged after it was "
        "stored"
    )


def missing(key: str) -> NotFound:
    """Return the error for an object that is not there, in MLflow's words."""
    return NotFound(f"No such artifact: '{key}'")


def write(folder: int, name: str, source: BinaryIO, *, mode: int, flush: bool) -> tuple[int, str]:
    """Write a stream to a new file in an open folder, flush it to the disk if asked; return size and SHA-256."""
    digest = hashlib.sha256()
    size = begun = 0
    with os.fdopen(new_file(folder, name, mode=mode), "wb", buffering=0) as file:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            view = memoryview(chunk)
            while view:
                view = view[file.write(view) :]
            if flush and size - begun >= _STRETCH:
                _begin_flush(file.fileno(), begun, size - begun)
                begun = size
        if flush:
            os.fsync(file.fileno())
    return size, digest.hexdigest()


def _begin_flush(file: int, start: int, length: int) -> None:
    """Let the system begin to write a stretch to the disk, so that little is left to wait for at the end.

    What Linux does when told that pages are no longer needed is to begin to write those that must be; it drops only
    those that need not.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, start, length, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def reading(key: str) -> Iterator[None]:
    """Turn what the operating system says about a file that is read into our errors."""
    try:
        yield
    except OSError as error:
        if error.errno in (*NOT_THERE, errno.ENAMETOOLONG):
            raise missing(key) from error
        raise ArtifactError(f"artifact {key!r} cannot be read: {error.strerror}") from error


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn what the operating system says about a file that is written into our errors."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StorageFull(f"{what} was not stored: there is no space left; free some and try again") from error
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidValue(f"{what} has a name that is longer than the file system allows") from error
        if error.errno in _IN_THE_WAY:
            raise Conflict(f"{what} was not stored: a file, folder or link is in its way ({error.strerror})") from error
        raise ArtifactError(f"{what} was not stored: {error.strerror}") from error
