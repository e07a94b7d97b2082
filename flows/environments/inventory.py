"""The environments that are kept: how large they are, who used them and when, and removing those that nobody does."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.flows.environments.store import unused


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptEnvironment:
    """An environment that is kept.

    Attributes:
        key: Its key.
        kind: What built it: ``uv`` or ``conda``; empty where that was never finished.
        python: Its Python's full version; empty where it has none, or was never finished.
        directory: The folder with all that belongs to it.
        used: When it was last used, seconds since 1970-01-01 UTC.
        size: Bytes on disk.
        projects: Directories of the projects that used it, the latest first.
        in_use: Whether a process uses or builds it now.
    """

    key: str
    kind: str
    python: str
    directory: Path
    used: float
    size: int
    projects: tuple[str, ...] = ()
    in_use: bool = False


def kept(home: Path) -> list[KeptEnvironment]:
    """Return the environments that are kept in a home, the longest unused first.

    Args:
        home: Toolkit's home.
    """
    found = [_look_at(folder) for folder in (home / "envs").glob("*/")]
    return sorted(found, key=lambda item: (item.used, item.key))


def prune(home: Path, *, keep: Collection[str] = (), older_than: float, dry_run: bool = False) -> list[KeptEnvironment]:
    """Remove environments that have not been used for a while; never one that is used or built at the moment.

    One that was left half-built by a builder that died counts from its last change.

    Args:
        home: Toolkit's home.
        keep: Keys of environments to keep whatever their age.
        older_than: Seconds since the last use after which an environment goes.
        dry_run: Remove nothing, only list.

    Returns:
        What was removed, or would be, the longest unused first.
    """
    limit = time.time() - older_than
    wanted = [item for item in kept(home) if item.key not in keep and item.used <= limit and not item.in_use]
    return wanted if dry_run else [item for item in wanted if _remove(item.directory)]


def _look_at(folder: Path) -> KeptEnvironment:
    ready = folder / "ready.json"
    record: dict[str, Any] = {}
    try:
        used = ready.stat().st_mtime
        record = json.loads(ready.read_bytes())
    except (OSError, ValueError):
        used = folder.stat().st_mtime
    with unused(folder) as free:
        in_use = not free
    users = _users(folder / "used-by")
    return KeptEnvironment(
        key=folder.name,
        kind=str(record.get("kind", "uv" if record else "")),
        python=str(record.get("python", "")),
        directory=folder,
        used=max([used, *(last for last, _ in users)]),
        size=_size(folder),
        projects=tuple(path for _, path in users),
        in_use=in_use,
    )


def _users(folder: Path) -> list[tuple[float, str]]:
    """Return the projects that used an environment, the latest first, and when each last did."""
    found = []
    for note in folder.glob("*"):
        try:
            found.append((note.stat().st_mtime, note.read_text(encoding="utf-8", errors="surrogateescape")))
        except OSError:
            continue
    return sorted(found, reverse=True)


def _size(folder: Path) -> int:
    """Return the bytes below a folder, files that have several names counted for the part that is its own."""
    total = 0
    for below, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(below, name))  # noqa: PTH118 - a Path for each of 50,000 files is slow
            except FileNotFoundError:  # being built, or removed by somebody else
                continue
            total += status.st_size // status.st_nlink
    return total


def _remove(folder: Path) -> bool:
    """Remove an environment unless it is used; tell whether it is gone."""
    with unused(folder) as free:
        if not free:
            return False
        (folder / "ready.json").unlink(missing_ok=True)  # first: from here on nobody takes it
        shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
