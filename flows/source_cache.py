"""Code that was fetched, kept on this machine: one folder for an address, and in it one for each version.

A version never changes: it is a commit, or the digest of an archive. So a version that is here needs no network. What
branches and tags meant when they were last asked for is noted beside them, for the day that the network is away.

A tree becomes visible whole or not at all. Nobody works in it: a run gets a copy of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

_KEPT = 20
"""How many versions of one address are kept, beside those used within a day."""
_DAY = 86_400.0
_PATIENCE = 2.0
"""Seconds to wait for another process before that is said."""
_UNFINISHED = ".unfinished-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """What a version meant when it was last asked for.

    Attributes:
        version: What was asked for: a branch, a tag, a commit; empty for what the repository shows first.
        tree: Name of the version's tree: a commit, or the digest of an archive.
        branch: The branch that it was the newest commit of.
        time: When, in seconds since 1970 UTC.
        fixed: Whether it can never mean anything else.
        etag: What a web server called the archive.
    """

    version: str
    tree: str
    branch: str | None = None
    time: float = 0.0
    fixed: bool = False
    etag: str | None = None


class Slot:
    """What is kept of one address.

    Args:
        root: The folder of all fetched code.
        kind: ``git`` or ``zip``.
        address: The address, without secrets.
        name: Name of a tree's folder: projects without a name are called after it.
    """

    def __init__(self, root: Path, kind: str, address: str, name: str) -> None:
        self.address = address
        self._name = name
        key = hashlib.sha256(f"{kind} {address}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.folder = root / f"{kind}-{name[:40]}-{key}"
        self._notes = self.folder / "versions.json"

    def find(self, tree: str) -> Path | None:
        """Return the directory of a version that is here, and note that it is used."""
        directory = self.folder / tree / self._name
        if not directory.is_dir():
            return None
        with suppress(OSError):
            os.utime(self.folder / tree)
        return directory

    @contextmanager
    def claim(self, report: Callable[[str], None]) -> Iterator[None]:
        """Hold the right to change what is kept; wait for whoever holds it, saying so."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{self.folder}.lock", thread_local=False)
        try:
            lock.acquire(timeout=_PATIENCE)
        except Timeout:
            report(f"waiting for another process that fetches {self.address}")
            lock.acquire()
        try:
            self.folder.mkdir(exist_ok=True)  # only now: whoever held the claim may have removed it
            for left in self.folder.glob(f"{_UNFINISHED}*"):  # whoever made them died: the lock is ours
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            self._tidy()
            lock.release()

    @contextmanager
    def building(self) -> Iterator[Path]:
        """Give a folder to fetch a version into; what is not kept is removed. Hold the claim."""
        unfinished = self.folder / f"{_UNFINISHED}{secrets.token_hex(4)}"
        unfinished.mkdir()
        try:
            yield unfinished / self._name
        finally:
            if unfinished.exists():
                shutil.rmtree(unfinished, ignore_errors=True)

    def keep(self, built: Path, tree: str) -> Path:
        """Make a tree visible as a version, and return its directory."""
        target = self.folder / tree
        if target.exists():  # half-removed, without its directory
            shutil.rmtree(target)
        built.parent.rename(target)
        return target / self._name

    def notes(self) -> dict[str, Noted]:
        """Return what versions meant, by what was asked for; none where nothing readable is noted."""
        try:
            entries = json.loads(self._notes.read_bytes())["versions"]
            return {entry["version"]: Noted(**entry) for entry in entries}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def note(self, noted: Noted) -> None:
        """Note what a version means now. Hold the claim."""
        notes = {**self.notes(), noted.version: noted}
        present = [asdict(entry) for entry in notes.values() if (self.folder / entry.tree).is_dir()]
        unfinished = self._notes.with_suffix(".new")
        unfinished.write_text(json.dumps({"address": self.address, "versions": present}, indent=1), encoding="utf-8")
        unfinished.replace(self._notes)

    def kept(self) -> list[Noted]:
        """Return what is here, the newest first: each version once, under the best name that is known of it."""
        named = sorted(self.notes().values(), key=lambda note: note.time, reverse=True)
        found: dict[str, Noted] = {}
        for note in named:
            if (self.folder / note.tree / self._name).is_dir():
                found.setdefault(note.tree, note)
        return list(found.values())

    def _trees(self) -> list[tuple[float, Path]]:
        found = []
        for entry in self.folder.iterdir():
            with suppress(OSError):
                if entry.is_dir() and not entry.name.startswith("."):
                    found.append((entry.stat().st_mtime, entry))
        return sorted(found, reverse=True)

    def _tidy(self) -> None:
        """Remove versions that nobody has used for long, and the folder if it holds nothing."""
        with suppress(OSError):
            for used, tree in self._trees()[_KEPT:]:
                if time.time() - used > _DAY:
                    shutil.rmtree(tree, ignore_errors=True)
            if not any(self.folder.iterdir()):
                self.folder.rmdir()


def when(seconds: float) -> str:
    """Return a time as people read it, in the machine's own time zone."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
