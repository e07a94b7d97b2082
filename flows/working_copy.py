"""A copy of fetched code for one run: what the code writes beside itself is nobody else's, and the kept tree stays."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from toolkit.errors import ProjectError
from toolkit.flows.source import Source


@contextmanager
def working_copy(source: Source, work: Path, report: Callable[[str], None], *, keep: bool = False) -> Iterator[Source]:
    """Give a source that a run may write into: a copy of what was fetched, or a directory of the user's as it is.

    The copy is removed in the end, unless the run left files in it: then the report says where they are.

    Args:
        source: The project's code.
        work: Folder of such copies.
        report: Told what is kept.
        keep: Whether it stays in any case.
    """
    if not source.fetched:
        yield source
        return
    with _folder(source, work) as folder:
        top = folder / source.root.name
        before: dict[str, tuple[int, int]] | None = None
        try:
            _copy_tree(source.root, top)
            before = _state(top)
            yield replace(source, root=top, directory=top / source.directory.relative_to(source.root))
        finally:
            left = (
                [] if before is None else sorted(path for path, now in _state(top).items() if before.get(path) != now)
            )
            if keep and before is not None:
                report(f"kept: {folder.rename(work / f'kept-{secrets.token_hex(6)}') / top.name}")
            elif left:
                kept = folder.rename(work / f"left-{secrets.token_hex(6)}") / top.name
                names = ", ".join(left[:5]) + (", …" if len(left) > 5 else "")
                report(f"the run left {names} beside its code; kept in {kept}")


@contextmanager
def _folder(source: Source, work: Path) -> Iterator[Path]:
    """Give a folder that is nobody else's for a while, and remove it.

    One version has the same folder in run after run, as long as they do not meet: an environment that points into its
    project can be used again.
    """
    work.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(os.fsencode(source.root)).hexdigest()[:12]
    folder = work / f"source-{key}"
    lock = FileLock(work / f".source-{key}.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        folder = folder.with_name(f"{folder.name}-{secrets.token_hex(4)}")
    try:
        shutil.rmtree(folder, ignore_errors=True)  # of a run that died
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a folder.

    Raises:
        ProjectError: There is no room for it, or it cannot be read.
    """
    try:
        shutil.copytree(source, target, symlinks=True, copy_function=_copy)
    except OSError as error:  # shutil.Error, with a list of them, is one
        first = error.args[0][0][2] if isinstance(error, shutil.Error) and error.args[0] else error
        raise ProjectError(f"{source} cannot be copied to {target}, where the run was to work: {first}") from None


def _copy(source: str, target: str) -> str:
    """Copy a file; Git's objects, which are never changed, get a second name instead."""
    if "/.git/" in source and "/objects/" in source:
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without links
            return str(shutil.copy2(source, target))
        return target
    return str(shutil.copy2(source, target))


def _state(top: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of each file, but for what Python and Git make."""
    found = {}
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if name not in (".git", "__pycache__")]
        for name in files:
            path = Path(folder, name)
            status = path.lstat()
            found[path.relative_to(top).as_posix()] = (status.st_size, status.st_mtime_ns)
    return found
