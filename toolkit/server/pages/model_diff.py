"""What two versions of a model say differently in their files: their code, and what else people write."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from toolkit.errors import NotFound, ToolkitError
from toolkit.server.pages.model_files import listed, text_of

if TYPE_CHECKING:
    from toolkit.registry.records import ModelVersion
    from toolkit.server.pages.asked import Asked

_KINDS = frozenset((".py", ".txt", ".yaml", ".yml", ".json", ".toml", ".cfg", ".ini", ".md", ".sh", ".r", ".sql"))
_ELSEWHERE = frozenset(("MLmodel", "requirements.txt", "registered_model_meta"))
"""Files that differ always, or that another table tells of."""
_EXAMPLES = ("input_example", "serving_input_example")
_FILES, _LARGEST, _LINES = 20, 64 * 1024, 400


@dataclass(frozen=True, kw_only=True, slots=True)
class FileDiff:
    """What differs in a file.

    Attributes:
        path: The file.
        what: ``added``, ``removed`` or ``changed``.
        lines: The lines, each with the class of how it is shown.
        more: How many are not shown.
    """

    path: str
    what: str
    lines: Sequence[tuple[str, str]] = ()
    more: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Diff:
    """What differs between the files of two versions.

    Attributes:
        before: The number of the older version.
        after: The number of the newer.
        files: The files that differ.
        looked: How many files were held against each other.
        commits: The commits of their runs, where both are known.
    """

    before: int
    after: int
    files: Sequence[FileDiff]
    looked: int
    commits: tuple[str, str] | None = None


def diff(asked: Asked, versions: Sequence[ModelVersion]) -> Diff | None:
    """Return what differs between the files of the oldest and the newest of some versions; None for fewer than two."""
    if len(versions) < 2:
        return None
    before, after = min(versions, key=lambda each: each.version), max(versions, key=lambda each: each.version)
    ours, theirs = _texts(asked, before), _texts(asked, after)
    paths = sorted({*ours, *theirs})[:_FILES]
    found = [
        _file(path, *(_text(asked, each, path, sizes) for each, sizes in ((before, ours), (after, theirs))))
        for path in paths
    ]
    commits = [_commit(asked, each) for each in (before, after)]
    return Diff(
        before=before.version,
        after=after.version,
        files=[each for each in found if each is not None],
        looked=len(paths),
        commits=(commits[0], commits[1]) if all(commits) else None,
    )


def _texts(asked: Asked, version: ModelVersion) -> dict[str, int]:
    """Return the files of a version that people write, with their sizes."""
    found, _ = listed(asked, version)
    return {
        path: size
        for path, size in found
        if PurePosixPath(path).suffix.lower() in _KINDS
        and PurePosixPath(path).name not in _ELSEWHERE
        and not PurePosixPath(path).name.startswith(_EXAMPLES)
        and size <= _LARGEST
    }


def _text(asked: Asked, version: ModelVersion, path: str, sizes: dict[str, int]) -> str | None:
    if path not in sizes:
        return None
    try:
        return text_of(asked, version, path)
    except (ToolkitError, UnicodeDecodeError):  # it is not there any more, or no text
        return None


def _file(path: str, before: str | None, after: str | None) -> FileDiff | None:
    if before == after:
        return None
    what = "added" if before is None else "removed" if after is None else "changed"
    told = difflib.unified_diff((before or "").splitlines(), (after or "").splitlines(), "before", "after", lineterm="")
    lines = [(_class(line), line) for line in list(told)[2:]]
    return FileDiff(path=path, what=what, lines=lines[:_LINES], more=max(0, len(lines) - _LINES))


def _class(line: str) -> str:
    return {"+": "gi", "-": "gd", "@": "c"}.get(line[:1], "")


def _commit(asked: Asked, version: ModelVersion) -> str:
    if not version.run_id:
        return ""
    try:
        return asked.stores.runs.get_run(version.run_id).data.tags.get("mlflow.source.git.commit", "")
    except NotFound:  # it was removed for good
        return ""
