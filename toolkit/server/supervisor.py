"""Looking after the workers of a server: one that dies is started again, and all end together."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from toolkit.errors import ToolkitError

logger = logging.getLogger("toolkit.server")

_YOUNG = 2.0  # seconds: one that ends before has not served
_FUTILE = 5  # that many young deaths in a row are no accident
_PAUSE = 0.2


class Supervisor:
    """Processes that are forked from this one.

    Args:
        workers: How many there are to be.
        work: What each does: takes its number and the end of a pipe that ends with us, and returns its exit code.
        grace: Seconds that they get to stop.
        close: Called when they are told to: what they take work from is closed here, too, or nobody would be refused.
    """

    def __init__(
        self, workers: int, work: Callable[[int, int], int], *, grace: float, close: Callable[[], None]
    ) -> None:
        self._workers = workers
        self._close = close
        self._work = work
        self._grace = grace
        self._running: dict[int, tuple[int, float]] = {}
        self._told: int | None = None
        self._life, self._our_end = os.pipe()

    def run(self) -> int:
        """Run until told to stop; return the exit code: 0 after SIGTERM, 130 after SIGINT, 1 if workers keep dying."""
        kept = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        kept[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._kill)
        try:
            for number in range(self._workers):
                self._start(number)
            return self._watch()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for signal_number, handler in kept.items():
                signal.signal(signal_number, handler)
            os.close(self._our_end)
            os.close(self._life)

    def _watch(self) -> int:
        futile = 0
        while self._running:
            pid, status = os.waitpid(-1, 0)
            number, began = self._running.pop(pid, (None, 0.0))
            if number is None or self._told is not None:
                continue
            killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL  # by somebody: it is well itself
            futile = futile + 1 if time.monotonic() - began < _YOUNG and not killed else 0
            if futile >= _FUTILE:
                logger.error("workers end as soon as they start: the server stops")
                self._stop(signal.SIGTERM, None)
                self._told = -1
                continue
            logger.warning("worker %d (pid %d) ended (%s) and is started again", number, pid, _how(status))
            time.sleep(_PAUSE)
            self._start(number)
        return 0 if self._told == signal.SIGTERM else 130 if self._told == signal.SIGINT else 1

    def _start(self, number: int) -> None:
        # A signal between the fork and the record of the child would leave it without one.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        try:
            if self._told is not None:
                return
            pid = os.fork()
            if pid == 0:
                self._be_worker(number)
            self._running[pid] = (number, time.monotonic())
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))

    def _be_worker(self, number: int) -> NoReturn:
        code = 1
        try:
            os.close(self._our_end)  # so that the pipe ends with the one that has it still
            # A Ctrl-C reaches the whole group; each worker is told by its supervisor, once.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # until it serves, there is nothing to end in order
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
            code = self._work(number, self._life)
        except ToolkitError as error:
            logger.error("worker %d: %s", number, error)
        except BaseException:  # noqa: BLE001 - a forked child must not go on as its parent
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the form of a handler
        if self._told is not None and number == signal.SIGINT:  # the second Ctrl-C
            self._tell(signal.SIGKILL)
            return
        if self._told is None:
            self._told = number
            signal.setitimer(signal.ITIMER_REAL, self._grace)
            self._close()
        self._tell(signal.SIGTERM)

    def _kill(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the same
        self._tell(signal.SIGKILL)

    def _tell(self, number: int) -> None:
        for pid in list(self._running):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
