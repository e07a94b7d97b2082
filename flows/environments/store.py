"""The folder of environments: ``<home>/envs/<key>``, one folder for everything about one environment.

In it lie the virtual environment, in a folder of its own for each attempt to build it, the lock, and ``ready.json``,
which is written last and names the attempt that worked. What it does not name is never used: a builder that was killed
may have left a uv behind that still writes, so the next one starts over in a fresh folder. Environments are built where
they stay, as programs in them know their own place.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from toolkit.flows.environments.prepared import Report

_USED_EVERY = 3600.0
"""Seconds between two updates of an environment's time of use."""
_PATIENCE = 15.0
"""Seconds between two lines of progress while another builder is waited for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """An environment that is ready.

    Attributes:
        directory: The virtual environment.
        python: Its Python's full version.
        lock: Text of its lock.
    """

    directory: Path
    python: str
    lock: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Unused:
    """An environment that nothing has used for a while.

    Attributes:
        key: Its key.
        directory: The folder with all that belongs to it.
        used: When it was last used, seconds since 1970-01-01 UTC, to an hour.
        size: Bytes on disk.
    """

    key: str
    directory: Path
    used: float
    size: int


class Place:
    """The folder of one environment.

    Args:
        home: Toolkit's home.
        key: The environment's key.
    """

    def __init__(self, home: Path, key: str) -> None:
        self.key = key
        self.folder = home / "envs" / key
        self.log = home / "logs" / f"env-{key}.log"
        self._ready = self.folder / "ready.json"
        self._lock = self.folder / "toolkit-lock.txt"
        self._builder = self.folder / "builder"

    def find(self) -> Stored | None:
        """Return the environment if it is ready and its Python is still there, and note that it is used."""
        try:
            record = json.loads(self._ready.read_bytes())
            lock = self._lock.read_text(encoding="utf-8")
            used = self._ready.stat().st_mtime
        except (OSError, ValueError):
            return None
        directory = self.folder / str(record["directory"])
        if not (directory / "bin" / "python").exists():  # a dangling link, once its interpreter was uninstalled
            return None
        if time.time() - used > _USED_EVERY:
            with contextlib.suppress(OSError):  # somebody else's, or read-only: it can still be used
                os.utime(self._ready)
        return Stored(directory=directory, python=str(record["python"]), lock=lock)

    @contextlib.contextmanager
    def claim(self, report: Report) -> Iterator[None]:
        """Hold the right to build this environment; wait for whoever holds it, saying so."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder.with_suffix(".lock"), thread_local=False)
        waits = 0.2
        while True:
            try:
                lock.acquire(timeout=waits)
                break
            except Timeout:
                waits = _PATIENCE
                report(f"waiting for environment {self.key[:8]}, which is being built by pid {self._read_builder()}")
        try:
            self.folder.mkdir(exist_ok=True)  # the builder before may have failed and cleaned up
            self._builder.write_text(str(os.getpid()), encoding="ascii")
            yield
        finally:
            self._builder.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not empty: the environment is there
                self.folder.rmdir()
            lock.release()

    def _read_builder(self) -> str:
        try:
            return self._builder.read_text(encoding="ascii") or "?"
        except OSError:
            return "?"

    def start(self) -> Path:
        """Return a folder that does not exist yet to build in, after removing what earlier attempts left."""
        self._ready.unlink(missing_ok=True)
        self.discard()
        return self.folder / secrets.token_hex(4)

    def discard(self) -> None:
        """Remove what is in the folder and not ready."""
        if self._ready.exists():
            return
        for entry in list(self.folder.iterdir()):
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)

    def finish(self, stored: Stored) -> None:
        """Record that an environment is ready; from here on it is used."""
        self._lock.write_text(stored.lock, encoding="utf-8")
        unfinished = self._ready.with_suffix(".new")
        unfinished.write_text(
            json.dumps({"directory": stored.directory.name, "python": stored.python}), encoding="utf-8"
        )
        unfinished.replace(self._ready)


def prune(home: Path, *, keep: Collection[str] = (), older_than: float, dry_run: bool = False) -> list[Unused]:
    """Remove environments that have not been used for a while.

    One that is being built, or that was left half-built by a builder that died, counts from its last change.

    Args:
        home: Toolkit's home.
        keep: Keys of environments to keep whatever their age.
        older_than: Seconds since the last use after which an environment goes.
        dry_run: Remove nothing, only list.

    Returns:
        What was removed, or would be, the longest unused first.
    """
    limit = time.time() - older_than
    found = []
    for folder in (home / "envs").glob("*/"):
        ready = folder / "ready.json"
        used = (ready if ready.exists() else folder).stat().st_mtime
        if folder.name not in keep and used <= limit:
            found.append(Unused(key=folder.name, directory=folder, used=used, size=_size(folder)))
    found.sort(key=lambda item: item.used)
    return found if dry_run else [item for item in found if _remove(item.directory)]


def _size(folder: Path) -> int:
    """Return the bytes below a folder, files that have several names counted for the part that is its own."""
    total = 0
    for below, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(below, name))  # noqa: PTH118 - a Path for each of 50,000 files is slow
            total += status.st_size // status.st_nlink
    return total


def _remove(folder: Path) -> bool:
    """Remove an environment unless it is being built; tell whether it is gone."""
    lock = FileLock(folder.with_suffix(".lock"), thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    try:
        (folder / "ready.json").unlink(missing_ok=True)  # first: from here on nobody takes it
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        lock.release()
    return not folder.exists()
