"""Many files at once, between a run's artifacts and a folder: a few in parallel, each counted when it is there.

A transfer that fails goes on with the files that it can move, and says at the end which one failed first and why, and
how many there were. What was stored before stays, and is listed: a file is on a run's list exactly when its bytes are
safe.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from toolkit.artifacts.key import check_key
from toolkit.errors import ArtifactError, Conflict, InvalidValue, NotFound, ToolkitError

_T = TypeVar("_T")
_R = TypeVar("_R")

BATCH = 500
"""How many stored files are listed together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """How far a transfer has come.

    Attributes:
        files: Files that are there.
        total: Files that there will be.
        size: Bytes of those that are there.
    """

    files: int = 0
    total: int
    size: int = 0


Report = Callable[[Moved], None]


def in_parallel(
    work: Callable[[_T], _R], items: Sequence[_T], *, workers: int, size: Callable[[_R], int], report: Report | None
) -> Iterator[_R]:
    """Do something with each of many items, a few at a time; give results as they come.

    Args:
        work: What to do; it runs in several threads.
        items: With what.
        workers: With how many at a time.
        size: Bytes that a result stands for.
        report: Called in this thread after each.

    Raises:
        ToolkitError: Some failed, after all that can be done was done: the first failure, and how many there were.
    """
    moved = Moved(total=len(items))
    failures: list[ToolkitError] = []
    rest = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="toolkit-artifacts") as pool:
        under_way: set[Future[_R]] = {pool.submit(work, item) for item in islice(rest, 2 * workers)}
        try:
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                under_way |= {pool.submit(work, item) for item in islice(rest, len(done))}
                for future in done:
                    try:
                        result = future.result()
                    except ToolkitError as error:
                        failures.append(error)
                        continue
                    moved = replace(moved, files=moved.files + 1, size=moved.size + size(result))
                    yield result
                    if report is not None:
                        report(moved)
        except BaseException:  # Ctrl-C, too: begin nothing more
            for future in under_way:
                future.cancel()
            raise
    if failures:
        raise _together(failures, len(items))


def files_below(folder: Path) -> list[tuple[Path, str]]:
    """Return the files below a local folder with their paths in it, ordered by path.

    Links to files and folders are followed. A link that leads back to a folder that it is in, or to nothing, is an
    error, as is a name that no artifact can have: nothing is left out in silence. Sockets and pipes are left out.

    Raises:
        ArtifactError: A folder cannot be read, or a link leads to nothing or in a circle.
        InvalidValue: A name cannot be an artifact's.
        NotFound: There is no such folder.
    """
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder} to log")
    return sorted(_walk(folder, "", ()), key=lambda found: found[1])


def _walk(folder: Path, prefix: str, inside: tuple[tuple[int, int], ...]) -> Iterator[tuple[Path, str]]:
    try:
        own = folder.stat()
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names, as bytes that are no text stay visible in them
    except OSError as error:
        raise ArtifactError(f"the folder {folder} cannot be read: {error.strerror}") from error
    if (own.st_dev, own.st_ino) in inside:
        raise ArtifactError(
            f"{folder} is a link that leads back to a folder that it is in: remove it, or log its parts"
        )
    for name in names:
        path = folder / name
        try:
            key = check_key(f"{prefix}{name}")
        except InvalidValue as error:
            raise InvalidValue(f"the file {str(path)!r} cannot be logged: {error}") from None
        if path.is_dir():
            yield from _walk(path, f"{key}/", (*inside, (own.st_dev, own.st_ino)))
        elif path.is_file():
            yield path, key
        elif path.is_symlink():
            raise ArtifactError(f"{path} is a link that leads to nothing: remove it, or log what it should lead to")


def targets(paths: Iterable[str], folder: Path) -> dict[str, Path]:
    """Return where each artifact of a list is written to: below a folder, and nowhere else.

    Raises:
        InvalidValue: A path is none of an artifact's, such as one with ``..``.
        Conflict: Two paths are one file to the file system of the folder (which may not tell letters' cases apart), or
            a link below the folder leads elsewhere.
    """
    result = {path: folder / check_key(path) for path in paths}
    if not _tells_cases_apart(folder):
        seen: dict[str, str] = {}
        for path in result:
            other = seen.setdefault(path.casefold(), path)
            if other != path:
                raise Conflict(f"{other!r} and {path!r} are one file in {folder}: get them one by one, elsewhere")
    for parent in {parent for target in result.values() for parent in target.parents}:
        if parent != folder and parent.is_relative_to(folder) and parent.is_symlink():
            raise Conflict(f"{parent} is a link: nothing is written through it; remove it, or give another folder")
    return result


def _tells_cases_apart(folder: Path) -> bool:
    """Tell whether a file system takes ``a`` and ``A`` for two files."""
    place = next((each for each in (folder, *folder.parents) if each.is_dir()), folder)
    name = place.name
    if name.swapcase() == name:
        return True
    try:
        return not place.with_name(name.swapcase()).samefile(place)
    except OSError:
        return True


def _together(failures: Sequence[ToolkitError], total: int) -> ToolkitError:
    first = failures[0]
    if len(failures) > 1:
        others = f" ({len(failures)} of {total} files failed; this is the first)"
        first.message += others
        first.args = (first.message,)
    return first
