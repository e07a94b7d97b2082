"""Walking a folder without ever leaving it: each step is relative to an open folder, and no link is followed.

So a link that somebody swaps in between a check and a use wins nothing: there is no check, and the use refuses it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: a named pipe must not hold us up
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def open_folder(root: Path, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """Give a descriptor of the folder at ``parts`` below ``root``.

    Args:
        root: Where to begin; it may itself be a link.
        parts: Names, one a level.
        create: Make the folders that are missing, safe against power loss.

    Raises:
        FileNotFoundError: A folder is missing.
        NotADirectoryError: A part is something else than a folder, or a link.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            below = _step(folder, part, create)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def _step(folder: int, part: str, create: bool) -> int:
    try:
        return os.open(part, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not create:
            raise
    with contextlib.suppress(FileExistsError):  # somebody was faster
        os.mkdir(part, dir_fd=folder)
        os.fsync(folder)
    return os.open(part, _FOLDER, dir_fd=folder)


def open_file(folder: int, name: str) -> int:
    """Return a descriptor of a file in an open folder, for reading. A link is refused with ``ELOOP``."""
    return os.open(name, _FILE, dir_fd=folder)


def new_file(folder: int, name: str, *, mode: int) -> int:
    """Return a descriptor of a file that is made in an open folder, for writing; the umask is taken off ``mode``."""
    return os.open(name, _NEW_FILE, mode, dir_fd=folder)
