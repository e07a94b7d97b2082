"""Which files a project does not count as its own: what its ignore files say, with Git's rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

GIT = ".gitignore"
OWN = ".toolkitignore"


class Ignored:
    """The ignore files of a folder and of the folders in it.

    The nearest file has the last word, and what is in a folder that is ignored is ignored, as in Git.

    Args:
        directory: The project's directory.
        names: Names of the files that count, the weaker first.
    """

    def __init__(self, directory: Path, names: Sequence[str]) -> None:
        self._directory = directory
        self._names = names
        self._specs: dict[str, list[GitIgnoreSpec]] = {}
        self._folders: dict[str, bool] = {"": False}

    def holds(self, path: str) -> bool:
        """Tell whether a path is ignored.

        Args:
            path: Relative to the directory, with ``/``; a folder's ends in ``/``.
        """
        folder = path.endswith("/")
        name = path.rstrip("/")
        if folder:
            return self._folder(name)
        return self._folder(name.rpartition("/")[0]) or self._says(name, "")

    def _folder(self, name: str) -> bool:
        if name not in self._folders:
            self._folders[name] = self._folder(name.rpartition("/")[0]) or self._says(name, "/")
        return self._folders[name]

    def _says(self, path: str, end: str) -> bool:
        for base in _folders_above(path):
            below = path[len(base) + 1 if base else 0 :] + end
            for spec in self._of(base):
                verdict = spec.check_file(below).include
                if verdict is not None:
                    return verdict
        return False

    def _of(self, folder: str) -> list[GitIgnoreSpec]:
        """Return what the ignore files of a folder say, the stronger first."""
        if folder not in self._specs:
            self._specs[folder] = [
                spec for name in reversed(self._names) if (spec := _read(self._directory / folder / name)) is not None
            ]
        return self._specs[folder]


def _folders_above(path: str) -> Iterator[str]:
    """Yield the folders that a path is in, the nearest first; the last is empty."""
    while path:
        path = path.rpartition("/")[0]
        yield path


def _read(file: Path) -> GitIgnoreSpec | None:
    try:
        if file.is_symlink():
            return None  # as Git: it may lead anywhere
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - most projects need it not

    return GitIgnoreSpec.from_lines(text.splitlines())
