"""Processes of a release that are kept running: one that ends is started again, after pauses that grow."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from toolkit.deployments import log_file
from toolkit.deployments.supervised import Wanted
from toolkit.settings import environment

logger = logging.getLogger("toolkit.deployments")

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0
_STEADY = 30.0
"""Seconds after which a worker that was ready counts as well: the next pause is short again."""
_ANSWER = 60.0
"""Seconds that a worker gets to open or close the public address."""
_FUTILE = 2
"""So many starts in a row that come to nothing are no accident, in a release that has never answered."""
_DROPPED = ("TOOLKIT_", "MLFLOW_")
_PROGRAM = Path(__file__).with_name("local_worker.py")


class KeptWorker:
    """One process that is to run.

    Args:
        wanted: Its release.
        number: Which worker of the release it is, from 1.
        private: The socket of the release's private address.
        stubborn: Tells whether it is started again however often it ends before it answers.
    """

    def __init__(self, wanted: Wanted, number: int, private: socket.socket, stubborn: Callable[[], bool]) -> None:
        self.ready = self.was_ready = False
        self.failures = 0
        self.starts = 0
        self._wanted = wanted
        self._number = number
        self._private = private
        self._stubborn = stubborn
        self._door: socket.socket | None = None
        self._control: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._ending = asyncio.Event()
        self._keeping = asyncio.create_task(self._keep())

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    async def open(self, door: socket.socket) -> bool:
        """Let it accept from the public address from now on; tell whether it does. One that starts does so later."""
        self._door = door
        return self.ready and await self._told(b"O", b"o", door)

    async def close(self) -> None:
        """Have it leave the public address; what it has begun there it ends."""
        self._door = None
        if self.ready:
            await self._told(b"C", b"c")

    async def end(self, *, patience: float, hurry: bool) -> None:
        """End it in order, and by force after a time.

        Args:
            patience: Seconds that it gets.
            hurry: Whether its idle connections are closed at once.
        """
        self._ending.set()
        self._send(b"Q" if hurry else b"E")
        if not self.ready and self._process is not None:
            self._signal(signal.SIGTERM)  # it loads its model, and has nobody to answer
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._keeping), patience)
        self._signal(signal.SIGKILL)
        await self._keeping

    async def _keep(self) -> None:
        loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE
        while not self._ending.is_set():
            began = loop.time()
            try:
                code = await self._run()
            except OSError as error:
                code, why = 1, f"it cannot be started: {error}"
            else:
                why = f"signal {-code}" if code < 0 else f"exit code {code}"
            well = self.ready and loop.time() - began >= _STEADY
            self.failures = 0 if self.ready else self.failures + 1
            self.ready = False
            if self._ending.is_set():
                return
            if self.failures >= _FUTILE and not self._stubborn():
                logger.error("%s: worker %d ended (%s) and is given up", self._wanted.id, self._number, why)
                return
            pause = _FIRST_PAUSE if well else pause
            logger.warning(
                "%s: worker %d ended (%s) and is started again in %.1f s", self._wanted.id, self._number, why, pause
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _run(self) -> int:
        """Start the process and return its exit code when it has ended."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = await self._start(theirs)
            theirs.close()
            self._process, self._control = process, ours
            self.starts += 1
            self._answers = asyncio.Queue()
            ours.setblocking(False)
            listening = asyncio.create_task(self._listen(ours))
            try:
                if self._ending.is_set():  # it was told before there was anybody to hear it
                    self._signal(signal.SIGTERM)
                return await process.wait()
            finally:
                self._control = None
                self._signal(signal.SIGKILL)  # what it has started itself
                await listening

    async def _start(self, control: socket.socket) -> asyncio.subprocess.Process:
        wanted = self._wanted
        log = Path(wanted.log)
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(wanted.folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                *(wanted.python, "-P", str(_PROGRAM), wanted.bento, "--number", str(self._number)),
                *("--private", str(self._private.fileno()), "--control", str(control.fileno())),
                pass_fds=(self._private.fileno(), control.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                cwd=folder,
                env=_environment(wanted),
                process_group=0,  # whom a signal to our group does not reach, and which ends as a whole
            )
        finally:
            os.close(descriptor)

    async def _listen(self, control: socket.socket) -> None:
        """Hear what the process says, until it ends."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                said = await loop.sock_recv(control, 1)
            except OSError:
                return
            if not said:
                return
            if said == b"R":
                self.ready, self.was_ready, self.failures = True, True, 0
                if self._door is not None:
                    self._send(b"O", self._door)
            else:
                self._answers.put_nowait(said)

    async def _told(self, what: bytes, answer: bytes, door: socket.socket | None = None) -> bool:
        """Tell it something and wait until it has done so; tell whether it has."""
        answers = self._answers
        while not answers.empty():
            answers.get_nowait()
        self._send(what, door)
        try:
            async with asyncio.timeout(_ANSWER):
                while self.ready and answers is self._answers:
                    with contextlib.suppress(TimeoutError):
                        if await asyncio.wait_for(answers.get(), 0.2) == answer:
                            return True
        except TimeoutError:
            pass
        return False

    def _send(self, what: bytes, door: socket.socket | None = None) -> None:
        if self._control is None:
            return
        with contextlib.suppress(OSError):
            if door is None:
                self._control.send(what)
            else:
                socket.send_fds(self._control, [what], [door.fileno()])

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


class KeptRelease:
    """The workers of a release, and the private address that they share.

    Args:
        wanted: What is to run; its private port is taken if it is free.
        served: Whether it has answered before; else it is given up if it only ever ends.

    Raises:
        OSError: No private port can be had.
    """

    def __init__(self, wanted: Wanted, *, served: bool) -> None:
        self.private = _private_socket(wanted.private_port)
        self.wanted = wanted
        self._served = served
        metrics = Path(_metrics(wanted))
        shutil.rmtree(metrics, ignore_errors=True)  # of processes that are gone
        metrics.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.workers = [
            KeptWorker(wanted, number, self.private, self._complete) for number in range(1, wanted.workers + 1)
        ]

    @property
    def private_port(self) -> int:
        """The port of its private address."""
        port: int = self.private.getsockname()[1]
        return port

    @property
    def state(self) -> str:
        """How it is, as `toolkit.deployments.target.Health` says it; ``gone`` if it never answered and is given up."""
        if self._complete() and any(worker.ready for worker in self.workers):
            return "ready"
        if not self._complete() and any(worker.failures >= _FUTILE for worker in self.workers):
            return "gone"
        return "failing" if any(worker.failures for worker in self.workers) else "starting"

    @property
    def message(self) -> str:
        """What is wrong, in one line."""
        failed = sum(worker.failures > 0 for worker in self.workers)
        if not failed:
            return ""
        said = log_file.last_words(Path(self.wanted.log))
        return f"{failed} of {len(self.workers)} workers end before they answer" + (f": {said}" if said else "")

    def _complete(self) -> bool:
        """Tell whether all workers have been ready once: what is left of them then answers for all."""
        return self._served or all(worker.was_ready for worker in self.workers)

    async def open(self, door: socket.socket) -> bool:
        """Let the workers accept from the public address; tell whether one at least does."""
        return any(await asyncio.gather(*(worker.open(door) for worker in self.workers)))

    async def close(self) -> None:
        """Have the workers leave the public address."""
        await asyncio.gather(*(worker.close() for worker in self.workers))

    async def end(self, *, patience: float, hurry: bool) -> None:
        """End all workers, and let go of the private address."""
        await asyncio.gather(*(worker.end(patience=patience, hurry=hurry) for worker in self.workers))
        self.private.close()
        shutil.rmtree(_metrics(self.wanted), ignore_errors=True)


def _private_socket(port: int) -> socket.socket:
    private = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        private.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            private.bind(("127.0.0.1", port))
        except OSError:
            private.bind(("127.0.0.1", 0))
        private.listen(1024)
    except BaseException:
        private.close()
        raise
    return private


def _metrics(wanted: Wanted) -> str:
    return f"{wanted.folder}/metrics"


def _environment(wanted: Wanted) -> Mapping[str, str]:
    """Return what the workers find in their environment: none of toolkit's settings, which the Bento does not ask."""
    kept = {name: value for name, value in environment().items() if not name.startswith(_DROPPED)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # bytecode halves their start
    return kept | {
        "BENTOML_DO_NOT_TRACK": "True",
        "PROMETHEUS_MULTIPROC_DIR": _metrics(wanted),
        "PYTHONUNBUFFERED": "1",
        **wanted.variables,
    }
