"""Digests of files and of whole folders."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from toolkit.errors import ArtifactError, NotFound

_FOLDER_VERSION = b"toolkit-folder-1\n"


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, as 64 hexadecimal digits.

    Raises:
        NotFound: There is no such file.
        ArtifactError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error


def folder_digest(folder: Path) -> str:
    """Return the SHA-256 of a folder: of the sorted names in it, what each is, and the digest of each content.

    Two folders have the same digest exactly when the same files are in them: the same paths, the same content, the
    same executable bit. Times and owners do not count, nor do empty folders. A symbolic link counts as its target's
    name and is not followed. A version stands in front, so that a later rule gives other digests.

    Raises:
        NotFound: There is no such folder.
        ArtifactError: Something in it cannot be read.
    """
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder}")
    total = hashlib.sha256(_FOLDER_VERSION)
    try:
        for name, path in sorted((os.fsencode(path.relative_to(folder).as_posix()), path) for path in _files(folder)):
            kind, digest = _content(path)
            total.update(b"%d:%s%s%s" % (len(name), name, kind, digest))
    except OSError as error:
        raise ArtifactError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    return total.hexdigest()


def _content(path: Path) -> tuple[bytes, bytes]:
    """Return one letter for what a file is, and the digest of its content."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return b"l", hashlib.sha256(os.fsencode(path.readlink())).digest()
    return b"x" if mode & stat.S_IXUSR else b"f", bytes.fromhex(file_digest(path))


def _files(folder: Path) -> Iterator[Path]:
    """Give the files and links below a folder."""

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=refuse):
        for name in files:
            path = Path(place, name)
            if stat.S_ISREG(mode := path.lstat().st_mode) or stat.S_ISLNK(mode):  # no sockets, pipes, devices
                yield path
        for name in folders:
            if (path := Path(place, name)).is_symlink():
                yield path
