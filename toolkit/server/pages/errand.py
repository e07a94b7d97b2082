"""What a page has started on this machine: a command in a process of its own, what it says, and how it ended.

A deployment's release takes longer than a page may. So the command line does it, as somebody at this machine would; its
last words and its end are kept beside the deployments, and every page of them shows these.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.deployments.alone import alone
from toolkit.deployments.log_file import last_lines
from toolkit.deployments.names import check_name
from toolkit.errors import Conflict
from toolkit.ids import now_ms
from toolkit.recording.process import is_alive, process_identity
from toolkit.tracking.records import Owner

_FOLDER = ".pages"  # no deployment's name begins so
_LINES = 200
_writing = threading.Lock()


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """A command that a page has started.

    Attributes:
        deployment: The deployment that it changes.
        what: What it does, in words.
        user: Who wanted it.
        began: When, in milliseconds since 1970.
        owner: The process.
        ended: When it ended; None while it runs, or where nobody saw its end.
        code: Its exit code, once it has ended.
    """

    deployment: str
    what: str
    user: str
    began: int
    owner: Owner
    ended: int | None = None
    code: int | None = None

    @property
    def runs(self) -> bool:
        """Whether it still goes on."""
        return self.ended is None and is_alive(self.owner)

    @property
    def state(self) -> str:
        """How it is, as states are called: a process whose end nobody saw is lost."""
        if self.code is not None:
            return "FINISHED" if self.code == 0 else "FAILED"
        return "RUNNING" if self.runs else "LOST"


def start(home: Path, errand: tuple[str, str, str], arguments: Sequence[str], variables: Mapping[str, str]) -> Errand:
    """Start a command of ours, and write down that it was.

    Args:
        home: Toolkit's home.
        errand: The deployment's name, what is done in words, and who wants it.
        arguments: Of the command line.
        variables: The process's environment.

    Raises:
        Conflict: One of this deployment still goes on, or begins.
    """
    name, what, user = errand
    log = _log(home, name)
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(log.parent, name):
        before = last(home, name)
        if before is not None and before.runs:
            raise Conflict(f"{before.what} goes on at this moment: try again when it is done")
        with log.open("wb") as output:
            log.chmod(0o600)
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "toolkit", *arguments],
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        made = Errand(deployment=name, what=what, user=user, began=now_ms(), owner=_owner(process))
        with _writing:
            _write(home, made)
    threading.Thread(target=_wait, args=(home, made, process), name=f"errand-{name}", daemon=True).start()
    return made


def _owner(process: subprocess.Popen[bytes]) -> Owner:
    try:
        return process_identity(process.pid)
    except ProcessLookupError:  # it has ended already
        return Owner(host="", pid=process.pid, started=0)


def _wait(home: Path, errand: Errand, process: subprocess.Popen[bytes]) -> None:
    code = process.wait()
    with _writing:
        if last(home, errand.deployment) == errand:  # else the next one has begun
            _write(home, replace(errand, ended=now_ms(), code=code))


def last(home: Path, name: str) -> Errand | None:
    """Return what a page has started last for a deployment; None: nothing, or nothing that can be understood."""
    return _read(_record(home, name))


def recent(home: Path, since: int) -> Sequence[Errand]:
    """Return what pages have started, and what has not ended, or not before a time, in milliseconds since 1970."""
    found = (_read(file) for file in sorted((home / "deployments" / _FOLDER).glob("*.json")))
    return [each for each in found if each is not None and (each.runs or (each.ended or each.began) >= since)]


def lines(home: Path, name: str, most: int = _LINES) -> Sequence[str]:
    """Return the last lines that the last one for a deployment has said."""
    return last_lines(_log(home, name), most)


def stop(home: Path, name: str) -> None:
    """Ask the one of a deployment to end: it takes an unfinished release away before it does.

    Raises:
        Conflict: None goes on.
    """
    errand = last(home, name)
    if errand is None or not errand.runs:
        raise Conflict(f"nothing that a page has started goes on for {name}")
    with contextlib.suppress(ProcessLookupError):
        os.kill(errand.owner.pid, signal.SIGTERM)


def _record(home: Path, name: str) -> Path:
    return home / "deployments" / _FOLDER / f"{check_name(name)}.json"


def _log(home: Path, name: str) -> Path:
    return _record(home, name).with_suffix(".json.log")


def _write(home: Path, errand: Errand) -> None:
    file = _record(home, errand.deployment)
    unfinished = file.with_suffix(f".{os.getpid()}.new")
    unfinished.write_text(json.dumps(asdict(errand)), encoding="utf-8")
    unfinished.chmod(0o600)
    unfinished.replace(file)


def _read(file: Path) -> Errand | None:
    try:
        told: dict[str, Any] = json.loads(file.read_bytes())
        return Errand(**{**told, "owner": Owner(**told["owner"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
