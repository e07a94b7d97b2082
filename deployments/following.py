"""Deployments that follow an alias: who asks where it stands now.

Whoever lets a deployment follow an alias has that written down in the home of this machine. The supervisor keeps a
process for it, ``toolkit deployments follow``, as long as there is such a deployment.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from toolkit.deployments.records import Deployment, DeploymentState
from toolkit.settings import environment
from toolkit.transport.address import has_password

logger = logging.getLogger("toolkit.deployments")

TOLD = (
    *("TOOLKIT_TRACKING_URI", "TOOLKIT_REGISTRY_URI", "TOOLKIT_ARTIFACT_ROOT", "BENTOML_HOME"),
    *("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"),
)
"""Environment variables that say where a deployment and its model are; those that hold a password are not kept."""

_FILE = ".following.json"  # no deployment's name begins so
_LOOK_EVERY = 2.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_GRACE = 5.0

_LAUNCH = (
    # Its input ends with whoever keeps it, in whatever way: a second one would be started beside it.
    "import os, runpy, signal, sys, threading; "
    "ended = lambda: (sys.stdin.buffer.read(), os.kill(os.getpid(), signal.SIGINT)); "
    "threading.Thread(target=ended, daemon=True).start(); "
    "runpy.run_module('toolkit', run_name='__main__', alter_sys=True)"
)

Followed = Mapping[str, Mapping[str, str]]
"""Variables of the process that follows, by the deployment's name."""


def note(folder: Path, deployment: Deployment) -> bool:
    """Write down whether a deployment follows an alias; return whether it does.

    Args:
        folder: Where the deployments of this home have their files.
        deployment: As it is now.
    """
    follows = bool(deployment.follow_alias) and deployment.state is not DeploymentState.DELETED
    if not follows and deployment.name not in read(folder):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{_FILE}.lock"):
        kept = dict(read(folder))
        kept.pop(deployment.name, None)
        if follows:
            here = environment()
            kept[deployment.name] = {name: here[name] for name in TOLD if name in here and not has_password(here[name])}
        unfinished = folder / f"{_FILE}.{os.getpid()}"
        unfinished.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        unfinished.chmod(0o600)
        unfinished.replace(folder / _FILE)
    return follows


def read(folder: Path) -> Followed:
    """Return which deployments follow an alias; a file that cannot be understood says none."""
    try:
        kept = json.loads((folder / _FILE).read_bytes())
        return {str(name): dict(variables) for name, variables in kept.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


async def keep(home: Path) -> None:
    """Keep a process for each store whose aliases are followed, until cancelled.

    Args:
        home: Toolkit's home.
    """
    following: dict[str, asyncio.Task[None]] = {}
    try:
        while True:
            wanted = _commands(read(home / "deployments"))
            for key in [key for key in following if key not in wanted]:
                await _end(following.pop(key))
            for key, (names, variables) in wanted.items():
                if key not in following:
                    following[key] = asyncio.create_task(_follow(home, names, variables))
            await asyncio.sleep(_LOOK_EVERY)
    finally:
        await asyncio.gather(*(_end(task) for task in following.values()))


def _commands(followed: Followed) -> dict[str, tuple[list[str], Mapping[str, str]]]:
    """Return the names of those that one process can follow together, and its variables, by a key for both."""
    found: dict[str, tuple[list[str], Mapping[str, str]]] = {}
    for name, variables in sorted(followed.items()):
        found.setdefault(json.dumps(variables, sort_keys=True), ([], variables))[0].append(name)
    return {f"{' '.join(names)} {key}": (names, variables) for key, (names, variables) in found.items()}


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _follow(home: Path, names: list[str], variables: Mapping[str, str]) -> None:
    """Keep one process; one that ends is started again, after pauses that grow."""
    command = [sys.executable, "-P", "-c", _LAUNCH, "deployments", "follow"]
    command += [word for name in names for word in ("--name", name)]
    told = environment(**dict.fromkeys(TOLD), TOOLKIT_HOME=str(home.absolute())) | dict(variables)
    pause = _FIRST_PAUSE
    while True:
        process = await asyncio.create_subprocess_exec(*command, env=told, stdin=asyncio.subprocess.PIPE)
        logger.info("process %d follows the aliases of %s", process.pid, ", ".join(names))
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _ended(process)
            raise
        logger.warning("what follows the aliases of %s ended (%s) and is started again", ", ".join(names), code)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End a process: in order, and by force after a time."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _GRACE)
        return
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
