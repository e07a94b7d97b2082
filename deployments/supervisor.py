"""The process that keeps this machine's deployments running, one for a home.

It holds the public socket of each deployment and lends it to the workers of the release that serves: the address stays
while releases come and go, and who connects while there is no worker waits until there is one. What serves is
remembered in a file, and taken up again when the supervisor starts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import secrets
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from toolkit.deployments import collecting, control, control_server, door, following, log_file, looking, supervised
from toolkit.deployments.kept import KeptRelease
from toolkit.deployments.supervised import DoorRecord, Remembered, Wanted
from toolkit.errors import Conflict, NotFound

logger = logging.getLogger("toolkit.deployments")

_AGAIN = 2.0
"""Seconds after which an address that was taken is tried again."""
_LAST_PATIENCE = 7.0
"""Seconds that all get when the supervisor ends; `toolkit.flows.services` gives it 10."""
_BEYOND = 15.0
"""Seconds that a worker gets beyond the time that an answer may take."""
_LOGS_EVERY = 5.0


@dataclass(kw_only=True, slots=True)
class _Door:
    """A deployment's public address; its socket is None while another program has the port."""

    record: DoorRecord
    socket: socket.socket | None
    trouble: str = ""


class Supervisor:
    """What runs for a home.

    Args:
        home: Toolkit's home.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._releases: dict[str, KeptRelease] = {}
        self._ending: dict[str, KeptRelease] = {}
        self._doors: dict[str, _Door] = {}
        self._changing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    async def resume(self) -> None:
        """Take up again what served."""
        remembered = supervised.read(self._home)
        for wanted in remembered.instances:
            self._releases[wanted.id] = KeptRelease(wanted, served=True)
        for record in remembered.doors:
            opened = _Door(record=record, socket=None, trouble="not opened yet")
            self._doors[record.deployment] = opened
            self._tasks.append(asyncio.create_task(self._reopen(opened)))
        self._tasks.append(asyncio.create_task(self._look_after_logs()))
        self._tasks.append(asyncio.create_task(following.keep(self._home)))
        self._tasks.append(asyncio.create_task(collecting.keep(self._home, self._told)))
        self._tasks.append(asyncio.create_task(looking.keep(self._home, self._serving)))

    def all(self) -> list[dict[str, Any]]:
        """Return how everything that runs is."""
        return [self.one(identity) for identity in self._releases]

    def one(self, identity: str) -> dict[str, Any]:
        """Return how a release is.

        Raises:
            NotFound: It does not run.
        """
        release = self._ending.get(identity) or self._found(identity)
        opened = self._doors.get(release.wanted.deployment)
        serves = opened is not None and opened.record.instance == identity
        trouble = opened.trouble if opened is not None and serves else ""
        return {
            "id": identity,
            "deployment": release.wanted.deployment,
            "release": release.wanted.release,
            "bento": release.wanted.bento,
            "state": "failing" if trouble and release.state == "ready" else release.state,
            "message": trouble or release.message,
            "private_address": f"http://127.0.0.1:{release.private_port}",
            "address": opened.record.url if opened is not None and serves else None,
            "pids": [worker.pid for worker in release.workers if worker.pid is not None],
            "starts": sum(worker.starts for worker in release.workers),
            "log": release.wanted.log,
        }

    async def start(self, wanted: Wanted) -> dict[str, Any]:
        """Start the workers of a release; nothing comes to them yet.

        Raises:
            Conflict: The port that it is to have cannot be listened on, or it runs already.
        """
        async with self._changing:
            if wanted.id in self._releases:
                raise Conflict(f"release {wanted.id} runs already")
            opened = self._doors.get(wanted.deployment)
            if opened is None or not _stays(opened, wanted):
                door.listen(wanted.host, wanted.port).close()  # better known now than when it is to serve
            self._releases[wanted.id] = KeptRelease(wanted, served=False)
            return self.one(wanted.id)

    async def switch(self, identity: str) -> dict[str, Any]:
        """Let a release answer at the deployment's public address; the one before ends what it has begun there.

        Raises:
            NotFound: It does not run.
            Conflict: It is not ready, or the address cannot be listened on; the one before still answers.
        """
        async with self._changing:
            release = self._found(identity)
            wanted = release.wanted
            before = self._doors.get(wanted.deployment)
            stays = before is not None and _stays(before, wanted)
            public = before.socket if before is not None and stays else door.listen(wanted.host, wanted.port)
            if public is None:
                raise Conflict(before.trouble if before is not None else "")
            if not await release.open(public):
                await release.close()
                if not stays:
                    public.close()
                raise Conflict(f"release {identity} does not answer: {release.message or release.state}")
            record = DoorRecord(
                deployment=wanted.deployment, host=wanted.host, port=public.getsockname()[1], instance=identity
            )
            self._doors[wanted.deployment] = _Door(record=record, socket=public)
            self._remember()
            if before is not None:
                old = self._releases.get(before.record.instance)
                if old is not None and old is not release:
                    await old.close()
                if not stays and before.socket is not None:
                    before.socket.close()
            logger.info("%s serves at %s", identity, record.url)
            return self.one(identity)

    async def stop(self, identity: str) -> None:
        """End a release, and close the public address if it is the one that answers there."""
        async with self._changing:
            release = self._releases.pop(identity, None)
            if release is None:
                return
            opened = self._doors.get(release.wanted.deployment)
            if opened is not None and opened.record.instance == identity:
                del self._doors[release.wanted.deployment]
                if opened.socket is not None:
                    opened.socket.close()
            self._remember()
            self._ending[identity] = release  # it still writes its log, which somebody may follow
        try:
            await release.end(patience=release.wanted.timeout + _BEYOND, hurry=False)
        finally:
            del self._ending[identity]
        if release.wanted.sampled:  # before its files go with the deployment
            await collecting.collect(self._home, release.wanted.told)
        logger.info("%s has ended", identity)

    async def end(self) -> None:
        """End everything; what served is taken up again by the next supervisor."""
        for task in self._tasks:
            task.cancel()
        for opened in self._doors.values():
            if opened.socket is not None:
                opened.socket.close()
        ending = (release.end(patience=_LAST_PATIENCE, hurry=True) for release in self._releases.values())
        await asyncio.gather(*self._tasks, *ending, return_exceptions=True)

    async def _reopen(self, opened: _Door) -> None:
        """Listen again where a deployment did; as long as another program has the port, that is said."""
        record = opened.record
        while self._doors.get(record.deployment) is opened:
            try:
                opened.socket = door.listen(record.host, record.port)
            except Conflict as error:
                opened.trouble = str(error)
                await asyncio.sleep(_AGAIN)
                continue
            opened.trouble = ""
            await self._releases[record.instance].open(opened.socket)
            return

    async def _look_after_logs(self) -> None:
        while True:
            for release in self._releases.values():
                log_file.turn_over(Path(release.wanted.log))
            await asyncio.sleep(_LOGS_EVERY)

    def _told(self) -> Mapping[str, str]:
        """Return what says where samples belong: what the last release that samples was told."""
        told = [each.wanted.told for each in self._releases.values() if each.wanted.sampled]
        return told[-1] if told else {}

    def _serving(self) -> list[looking.Served]:
        """Return the releases that answer at a public address."""
        there = [(opened.record, self._releases.get(opened.record.instance)) for opened in self._doors.values()]
        return [
            looking.Served(
                id=record.instance,
                deployment=record.deployment,
                release=release.wanted.release,
                address=f"http://127.0.0.1:{release.private_port}",
            )
            for record, release in there
            if release is not None
        ]

    def _remember(self) -> None:
        wanted = [replace(each.wanted, private_port=each.private_port) for each in self._releases.values()]
        supervised.write(self._home, Remembered(instances=wanted, doors=[each.record for each in self._doors.values()]))

    def _found(self, identity: str) -> KeptRelease:
        release = self._releases.get(identity)
        if release is None:
            raise NotFound(f"release {identity!r} does not run on this machine")
        return release


def _stays(opened: _Door, wanted: Wanted) -> bool:
    """Tell whether a release is to answer where its deployment answers now."""
    return opened.record.host == wanted.host and wanted.port in (None, opened.record.port)


async def serve(home: Path, port: int) -> None:
    """Keep a home's deployments until told to end.

    Args:
        home: Toolkit's home.
        port: The port of this machine's own address that commands come to.
    """
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    supervisor = Supervisor(home)
    token = secrets.token_urlsafe(32)
    control.write_token(home, token)
    await supervisor.resume()
    listening = control_server.Listening(control_server.app(supervisor, token), port)
    serving = asyncio.create_task(listening.serve())
    waiting = asyncio.create_task(ended.wait())
    await asyncio.wait((waiting, serving), return_when=asyncio.FIRST_COMPLETED)
    logger.info("told to end")
    await supervisor.end()
    logger.info("all deployments have ended")
    listening.should_exit = True
    with contextlib.suppress(SystemExit):
        await serving


def main() -> None:
    """Keep the deployments of the home that the arguments name."""
    parser = argparse.ArgumentParser(description="Keep this machine's deployments running.")
    parser.add_argument("home", type=Path, help="Toolkit's home.")
    parser.add_argument("--port", type=int, required=True, help="The port that commands come to.")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    alone = supervised.folder(given.home) / ".supervisor.lock"
    alone.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with FileLock(alone, timeout=_LAST_PATIENCE + 3):  # one that ends needs that long
            asyncio.run(serve(given.home, given.port))
    except Timeout:
        sys.exit(f"another process keeps the deployments of {given.home} running: end it first")


if __name__ == "__main__":
    main()
