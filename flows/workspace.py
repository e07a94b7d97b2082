"""The directory that a step's command runs in.

A command whose entry point declares ``outputs`` or ``metrics`` runs in a workspace of its own: a folder of links to the
project's files, in which the declared files are missing. So steps that run at the same time, or two runs of one
project, cannot take each other's files for their own. Any other command runs in the project's directory, as in MLflow.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from toolkit.errors import ProjectError
from toolkit.spec.project import EntryPoint


class Workspace:
    """Where one command runs.

    Args:
        project: The project's directory.
        entry_point: What runs.
        folder: Where to make the workspace, if there is need of one.
        seen_at: Where the command sees the project's files, if that is another place: links point there. A container
            has its own paths.
        linked: Whether the project's files are to be seen in the workspace; else it only takes what is left.
    """

    def __init__(
        self,
        *,
        project: Path,
        entry_point: EntryPoint,
        folder: Path,
        seen_at: Path | None = None,
        linked: bool = True,
    ) -> None:
        self._project = project
        self._entry_point = entry_point
        self._seen_at = seen_at or project
        self._linked = linked
        self._made = entry_point.leaves_files
        self.directory = folder if self._made else project

    @property
    def is_made(self) -> bool:
        """Whether it is a folder of its own, and not the project's directory."""
        return self._made

    def make(self) -> None:
        """Make the links."""
        if not self._made:
            return
        self.directory.mkdir(parents=True)
        if self._linked:
            declared = [_parts(self._entry_point, path) for path in self._declared()]
            _link(self._project, self.directory, declared, self._seen_at)

    def file(self, path: str) -> Path:
        """Return where a declared file is."""
        return self.directory.joinpath(*_parts(self._entry_point, path))

    def leftovers(self) -> list[Path]:
        """Return the files and folders that the command left and that are not declared."""
        if not self._made:
            return []
        declared = {_parts(self._entry_point, path) for path in self._declared()}
        return sorted(_unlinked(self.directory, self.directory, declared))

    def remove(self) -> None:
        """Remove it, unless it is the project's directory."""
        if self._made:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _declared(self) -> Iterable[str]:
        return (*self._entry_point.outputs.values(), *self._entry_point.metrics)


def _parts(entry_point: EntryPoint, path: str) -> tuple[str, ...]:
    """Return the parts of a declared path.

    Raises:
        ProjectError: It points out of the directory.
    """
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise ProjectError(
            f"entry point {entry_point.name!r} declares the file {path!r}: wanted a path inside the directory that "
            "the command runs in",
            mark=entry_point.mark,
        )
    return pure.parts


def _link(source: Path, target: Path, declared: list[tuple[str, ...]], seen_at: Path) -> None:
    """Fill ``target`` with links to what ``source`` holds, but for the declared paths."""
    names = {parts[0] for parts in declared}
    if source.is_dir():
        for entry in source.iterdir():
            if entry.name not in names:
                (target / entry.name).symlink_to(seen_at / entry.name)
    for name in sorted(names):
        below = [parts[1:] for parts in declared if parts[0] == name]
        if all(below):  # no declared path ends here: a real folder, so that what is written below it stays apart
            (target / name).mkdir()
            _link(source / name, target / name, below, seen_at / name)


def _unlinked(root: Path, folder: Path, declared: set[tuple[str, ...]]) -> Iterable[Path]:
    for entry in folder.iterdir():
        parts = entry.relative_to(root).parts
        if entry.is_symlink() or parts in declared or entry.name == "__pycache__":
            continue
        if any(path[: len(parts)] == parts for path in declared):
            yield from _unlinked(root, entry, declared)
        else:
            yield entry
