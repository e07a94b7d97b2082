"""Zip archives: unpacked so that nothing in one can write outside of its folder or fill the disk.

Names are checked before the first file is written, sizes while files are written: what an archive says of itself is
not believed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from toolkit.errors import ProjectError, TooLarge

MOST_FILES = 100_000
"""How many files and folders an archive may hold."""

_BAD_NAME = re.compile(r"[\x00-\x1f\x7f\\]")
_DRIVE = re.compile(r"[A-Za-z]:")
_LONGEST_LINK = 4_096
_CHUNK = 1 << 20
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
_SKIPPED = frozenset({".git", "__MACOSX"})
"""Folders that are left out: what Git would read from the one is commands, the other is nobody's."""


class BadArchive(ProjectError):
    """The archive cannot be unpacked."""


def unpack(archive: Path, target: Path, *, limit: int, shown: str | None = None) -> None:
    """Unpack a zip file into a new folder.

    Symbolic links are made last, and only those that stay inside.

    Args:
        archive: The zip file.
        target: The folder; it must not exist.
        limit: Bytes that all files together may have.
        shown: How messages call the archive.

    Raises:
        BadArchive: It is no zip file, is damaged or encrypted, or a member would lie outside.
        TooLarge: There are more than ``limit`` bytes, or more than 100,000 members.
    """
    name = shown or str(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = list(_members(opened, name, limit))
            target.mkdir(parents=True)
            _write(opened, members, target, name, limit)
    except _DAMAGED as error:
        if isinstance(error, ProjectError | TooLarge):
            raise
        raise BadArchive(f"{name} is no zip file, or is damaged: {str(error) or type(error).__name__}") from None
    except OSError as error:
        if error.errno == errno.EINVAL:  # it says that something begins before its own beginning
            raise BadArchive(f"{name} is no zip file, or is damaged") from None
        raise BadArchive(f"{name} cannot be unpacked: {error.strerror or error}") from None


def top(target: Path) -> Path:
    """Return the one folder that an archive holds, if it holds nothing else (as archives of repositories do)."""
    entries = list(target.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() and not entries[0].is_symlink() else target


def _members(opened: zipfile.ZipFile, name: str, limit: int) -> Iterator[tuple[zipfile.ZipInfo, tuple[str, ...]]]:
    """Yield the members to unpack, each with the parts of its path, after checking all that they say of themselves."""
    infos = opened.infolist()
    if len(infos) > MOST_FILES:
        raise TooLarge(f"{name} holds {len(infos)} files: wanted at most {MOST_FILES}")
    if (total := sum(info.file_size for info in infos)) > limit:
        raise _too_large(name, total, limit)
    seen: set[tuple[str, ...]] = set()
    for info in infos:
        parts = _parts(info, name)
        if not _SKIPPED.isdisjoint(parts) or not parts:
            continue
        if info.flag_bits & 1:
            raise BadArchive(f"{name} is encrypted: unpack it and give the directory")
        if not info.is_dir() and parts in seen:
            raise BadArchive(f"{name} holds {info.filename!r} twice")
        seen.add(parts)
        yield info, parts


def _parts(info: zipfile.ZipInfo, name: str) -> tuple[str, ...]:
    """Return the parts of a member's path."""
    path = info.orig_filename
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    outside = path.startswith("/") or ".." in parts or _BAD_NAME.search(path) or any(map(_DRIVE.match, parts))
    if outside:
        raise BadArchive(f"{name} holds {path[:200]!r}, which lies outside of it: it is not unpacked")
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        raise BadArchive(f"{name} holds {path[:200]!r}, which is no file, folder or link: it is not unpacked")
    return parts


def _write(
    opened: zipfile.ZipFile,
    members: list[tuple[zipfile.ZipInfo, tuple[str, ...]]],
    target: Path,
    name: str,
    limit: int,
) -> None:
    left = limit
    links: list[tuple[Path, str]] = []
    for info, parts in members:
        path = target.joinpath(*parts)
        if info.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(info) as stream:
            mode = info.external_attr >> 16
            if stat.S_ISLNK(mode):
                links.append((path, _link(stream.read(_LONGEST_LINK + 1), parts, name)))
                continue
            with path.open("xb") as file:
                left -= _copy(stream, file, left, _too_large(name, None, limit))
                os.fchmod(file.fileno(), 0o755 if mode & stat.S_IXUSR else 0o644)
    for path, text in links:
        path.symlink_to(text)


def _copy(stream: IO[bytes], file: BinaryIO, left: int, too_large: TooLarge) -> int:
    """Copy a member, but not more than what is left of the limit; return its size."""
    size = 0
    while chunk := stream.read(_CHUNK):
        size += len(chunk)
        if size > left:
            raise too_large
        file.write(chunk)
    return size


def _link(content: bytes, parts: tuple[str, ...], name: str) -> str:
    """Return what a link points to, if that is inside of the archive.

    ``..`` may stand at the beginning only, where it means folders that we have made: after a name, which may be a link
    itself, it could mean any.
    """
    text = os.fsdecode(content)
    pieces = [piece for piece in text.split("/") if piece not in ("", ".")]
    ups = next((n for n, piece in enumerate(pieces) if piece != ".."), len(pieces))
    if (
        text.startswith("/")
        or "\0" in text
        or len(content) > _LONGEST_LINK
        or ".." in pieces[ups:]
        or ups >= len(parts)
    ):
        raise BadArchive(f"{name} holds the link {'/'.join(parts)!r}, which leads out of it: it is not unpacked")
    return text


def _too_large(name: str, size: int | None, limit: int) -> TooLarge:
    has = "more" if size is None else f"{size / 1e6:,.0f} MB"
    return TooLarge(
        f"{name} unpacks to {has}: wanted at most {limit / 1e6:,.0f} MB; raise TOOLKIT_SOURCE_LIMIT if you trust it"
    )
