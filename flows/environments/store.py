"""The folder of environments: ``<home>/envs/<key>``, one folder for everything about one environment.

In it lie the virtual environment, in a folder of its own for each attempt to build it, the lock, and ``ready.json``,
which is written last and names the attempt that worked. What it does not name is never used: a builder that was killed
may have left a uv behind that still writes, so the next one starts over in a fresh folder. Environments are built where
they stay, as programs in them know their own place.

Whoever uses one holds a shared lock on ``<key>.use`` as long, which the system takes back from a process that dies;
and leaves a file in ``used-by`` for the project that it is used for.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
        python: Its Python's full version; empty where it has none.
        lock: Text of its lock.
        kind: What built it.
    """

    directory: Path
    python: str
    lock: str
    kind: Literal["uv", "conda"] = "uv"


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
        self._users = self.folder / "used-by"

    def obtain(
        self, build: Callable[[], Stored], *, report: Report, project: Path
    ) -> tuple[Stored, bool, Callable[[], None]]:
        """Return the environment, built if there is none, with a hold on it that keeps it from being removed.

        Args:
            build: Builds it; called with the right to do so.
            report: Takes lines of progress.
            project: What it is used for.

        Returns:
            The environment, whether it was there, and what gives up the hold.
        """
        hold = Hold(self.folder)
        try:
            stored = self.find()
            reused = stored is not None
            if stored is None:
                with self.claim(report):
                    stored = self.find()
                    reused = stored is not None
                    stored = stored or build()
            self._note_user(project)
        except BaseException:
            hold.release()
            raise
        return stored, reused, hold.release

    def _note_user(self, project: Path) -> None:
        """Leave a note of the project that uses the environment; its time is that of the last use."""
        text = str(project)
        note = self._users / hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        with contextlib.suppress(OSError):  # somebody else's, or read-only: it can still be used
            if note.exists():
                os.utime(note)
            else:
                self._users.mkdir(exist_ok=True)
                note.write_text(text, encoding="utf-8", errors="surrogateescape")

    def find(self) -> Stored | None:
        """Return the environment if it is ready and its Python is still there, and note that it is used."""
        try:
            record = json.loads(self._ready.read_bytes())
            lock = self._lock.read_text(encoding="utf-8")
            used = self._ready.stat().st_mtime
        except (OSError, ValueError):
            return None
        directory = self.folder / str(record["directory"])
        python = str(record["python"])
        if python and not (directory / "bin" / "python").exists():  # a dangling link: its interpreter was uninstalled
            return None
        if time.time() - used > _USED_EVERY:
            with contextlib.suppress(OSError):  # somebody else's, or read-only: it can still be used
                os.utime(self._ready)
        return Stored(directory=directory, python=python, lock=lock, kind=record.get("kind", "uv"))

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
            if entry.is_dir() and entry != self._users:
                shutil.rmtree(entry, ignore_errors=True)

    def finish(self, stored: Stored) -> None:
        """Record that an environment is ready; from here on it is used."""
        self._lock.write_text(stored.lock, encoding="utf-8")
        unfinished = self._ready.with_suffix(".new")
        record = {"directory": stored.directory.name, "python": stored.python, "kind": stored.kind}
        unfinished.write_text(json.dumps(record), encoding="utf-8")
        unfinished.replace(self._ready)


class Hold:
    """The word of a process that it uses an environment, as long as it does.

    Args:
        folder: The environment's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._file: int | None = None
        with contextlib.suppress(OSError):  # a home that cannot be written to can still be used
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(_use_file(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_SH)

    def release(self) -> None:
        """Give it up; a second time changes nothing."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def __del__(self) -> None:
        self.release()


def _use_file(folder: Path) -> Path:
    return folder.with_suffix(".use")


@contextlib.contextmanager
def unused(folder: Path) -> Iterator[bool]:
    """Keep others from taking an environment for the length of a block; say whether nobody uses or builds it."""
    lock = FileLock(folder.with_suffix(".lock"), thread_local=False)
    file = os.open(_use_file(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.acquire(timeout=0)
    except (BlockingIOError, Timeout):
        yield False
    else:
        yield True
    finally:
        os.close(file)
        lock.release()
