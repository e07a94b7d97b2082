"""The samples that services leave: collected into the artifact store, and read again.

A service on this machine writes files below ``$TOOLKIT_HOME/deployments/<name>/samples/<release>``. What is whole is
moved to ``deployments/<name>/samples/<release>`` of the artifact root; both places together are what there is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.deployments.serving.sample_files import DONE, FILE_SECONDS, OPEN
from toolkit.errors import InvalidValue, NotFound

if TYPE_CHECKING:
    from toolkit.artifacts.store import ArtifactStore

LEFT = 3 * FILE_SECONDS
"""Seconds after which a file that nobody writes to is what a process left that was killed."""

_LONGEST = 64 * 2**20  # of a file that is read; ours are far smaller
_FOLDER = "samples"
_ROOT = "deployments"

Row = dict[str, Any]


def folder_of(home: Path, deployment: str, release: int) -> Path:
    """Return where the services of a release on this machine leave their samples.

    Args:
        home: Toolkit's home.
        deployment: The deployment's name.
        release: The release's number.
    """
    return home / _ROOT / deployment / _FOLDER / str(release)


def key_of(deployment: str, release: int) -> str:
    """Return below which key of the artifact store they are collected; arguments as in `folder_of`."""
    return f"{_ROOT}/{deployment}/{_FOLDER}/{release}"


def collect(home: Path, artifacts: ArtifactStore) -> int:
    """Move the whole files of all deployments of this machine to the artifact store; return how many.

    Several may do it at once. A file goes from here when it is there.

    Raises:
        InvalidValue: The store takes none.
        ArtifactError: The store fails; what could not be moved stays.
    """
    if not takes(artifacts):
        raise InvalidValue(
            f"samples stay in {home / _ROOT}: the server hands on artifacts of runs and models only. With "
            "TOOLKIT_ARTIFACT_ROOT, such as s3://bucket/folder, they are collected there"
        )
    moved = 0
    for file in _files(home):
        whole = _whole(file)
        if whole is None:
            continue
        deployment, release = whole.parts[-4], whole.parts[-2]
        try:
            artifacts.put_file(f"{_ROOT}/{deployment}/{_FOLDER}/{release}/{whole.name}", whole)
        except (NotFound, FileNotFoundError):
            continue  # another has moved it
        whole.unlink(missing_ok=True)
        moved += 1
    return moved


def takes(artifacts: ArtifactStore) -> bool:
    """Tell whether a store takes samples: a server that hands artifacts on takes those of runs and models only."""
    from toolkit.artifacts.proxy import ROOT  # noqa: PLC0415 - not in the supervisor, which asks no store

    return not artifacts.root.startswith(ROOT)


def waiting(home: Path) -> bool:
    """Tell whether there is something to collect."""
    return any(file.name.endswith(DONE) or _is_left(file) for file in _files(home))


def _files(home: Path) -> Iterator[Path]:
    yield from sorted((home / _ROOT).glob(f"*/{_FOLDER}/*/*"))


def _is_left(file: Path) -> bool:
    """Tell whether a file was left in the middle."""
    try:
        return file.name.endswith(OPEN) and time.time() - file.stat().st_mtime >= LEFT
    except OSError:  # it is whole now
        return False


def _whole(file: Path) -> Path | None:
    """Return a file that is whole; one that was left in the middle is made so."""
    if file.name.endswith(DONE):
        return file
    if not _is_left(file):
        return None
    try:
        return file.rename(file.with_name(file.name.removesuffix(OPEN) + DONE))
    except OSError:
        return None


def rows(
    home: Path, artifacts: ArtifactStore, deployment: str, release: int, *, limit: int, since: int = 0
) -> Iterator[Row]:
    """Yield the sampled rows of a release, the newest files first; what cannot be read is passed over.

    Args:
        home: Toolkit's home.
        artifacts: Where samples are collected.
        deployment: The deployment's name.
        release: The release's number.
        limit: So many rows at most.
        since: Of rows from this time on, in milliseconds since 1970: the name may have been another's before.

    Raises:
        ArtifactError: The store fails.
    """
    left = limit
    for text in _texts(home, artifacts, deployment, release):
        newest_first = reversed(text.splitlines())
        for line in newest_first:
            if left <= 0:
                return
            row = _row(line)
            if row is not None and row["time"] >= since:
                left -= 1
                yield row


def _texts(home: Path, artifacts: ArtifactStore, deployment: str, release: int) -> Iterator[bytes]:
    """Yield what is in the files of a release, the newest first; one that is in both places once."""
    here = {file.name: file for file in folder_of(home, deployment, release).glob("*.jsonl*")}
    prefix = key_of(deployment, release)
    collected = artifacts.list(prefix) if takes(artifacts) else ()
    there = {each.key.rpartition("/")[2]: each for each in collected if each.size <= _LONGEST}
    for name in sorted({*here, *there}, reverse=True):
        file = here.get(name)
        if file is not None:
            with suppress(OSError):
                yield file.read_bytes()
                continue
        if name in there:
            with suppress(NotFound), artifacts.open(there[name].key) as stream:
                yield stream.read()


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:  # the last line of a file that is written to
        return None
    good = isinstance(row, dict) and isinstance(row.get("inputs"), dict) and isinstance(row.get("time"), int)
    return row if good else None
