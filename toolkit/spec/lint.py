"""What lint says: collected while a file is read."""

from __future__ import annotations

from collections.abc import Iterable

from toolkit.errors import Mark, ProjectError
from toolkit.spec import project
from toolkit.spec.document import Node
from toolkit.spec.suggestion import hint


class Findings:
    """The warnings of one file, in the order in which they were found."""

    def __init__(self) -> None:
        self._warnings: list[project.Warning] = []

    def add(self, message: str, mark: Mark | None, *, rule: str) -> None:
        """Note a warning, by the name of its rule."""
        self._warnings.append(project.Warning(message=message, mark=mark, rule=rule))

    def unknown_keys(self, node: Node, known: Iterable[str], what: str) -> None:
        """Warn about keys that mean nothing here; MLflow ignores them, and so do we."""
        names = tuple(known)
        for key, mark in node.key_marks.items():
            if key not in names:
                guess = hint(key, names)
                close = f"; {guess}" if guess.endswith("?") else ""
                self.add(f"{what} has the unknown key {key!r}, which is ignored{close}", mark, rule="unknown-key")

    def duplicates(self, node: Node) -> None:
        """Warn about keys that stand in a mapping twice; the last one counts, as in MLflow."""
        for key, mark in node.duplicates:
            self.add(f"the key {key!r} stands there twice, the last one counts", mark, rule="duplicate-key")

    @property
    def warnings(self) -> tuple[project.Warning, ...]:
        """All of them, by their place."""
        return tuple(sorted(self._warnings, key=lambda w: (w.mark.line, w.mark.column) if w.mark else (0, 0)))


def refuse_unknown_keys(node: Node, known: Iterable[str], what: str) -> None:
    """Refuse keys that mean nothing, in those parts of a file that are ours.

    Raises:
        ProjectError: There is one.
    """
    names = tuple(known)
    for key, mark in node.key_marks.items():
        if key not in names:
            raise ProjectError(f"{what} has the unknown key {key!r}: {hint(key, names)}", mark=mark)


def refuse_duplicates(node: Node) -> None:
    """Refuse keys that stand in a mapping twice, at any depth.

    Raises:
        ProjectError: There is one.
    """
    for inner in node.walk():
        for key, mark in inner.duplicates:
            raise ProjectError(f"the key {key!r} stands there twice: keep one", mark=mark)
