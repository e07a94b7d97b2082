"""The thread of a process that asks the model: what comes while it is busy is asked about at once, next."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.deployments.serving import errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.deployments.serving.errors import Answer
    from toolkit.deployments.serving.scorer import Asked, Scorer

logger = logging.getLogger(__name__)

AT_ONCE = 64
"""Requests that the thread takes at once."""

TOGETHER = 0.002
"""Seconds that an answer may wait for those that were asked for with it."""

LOST = 3
"""Threads that may hang in the model before the process ends itself, so that another is started in its place."""


@dataclass(slots=True, eq=False)
class _Job:
    asked: Asked
    future: asyncio.Future[Answer]


class _Lane(threading.Thread):
    """A thread with its queue."""

    def __init__(self, scorer: Scorer, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        super().__init__(name="model", daemon=True)
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.since: float | None = None  # when it began what it does now
        self._scorer, self._loop, self._patience = scorer, loop, patience
        self._expected = 1  # so many requests came together lately
        self._took = 0.0  # seconds that the last answers took

    def run(self) -> None:
        ends = False
        while not ends:
            jobs, ends = self._gathered()
            self._expected = max(len(jobs), (self._expected + len(jobs)) // 2)
            waited = [each for each in jobs if not each.future.done()]
            if waited:
                began = time.monotonic()
                self._answer(waited)
                self._took = time.monotonic() - began

    def _gathered(self) -> tuple[list[_Job], bool]:
        """Wait for requests; return those that are there, and whether it is the end.

        Where as many came together lately as are not there yet, it waits a little for them: clients that were answered
        together ask again together. It never waits longer than the model takes, which they would wait for otherwise.
        """
        first = self.jobs.get()
        if first is None:
            return [], True
        jobs = [first]
        until = time.monotonic() + min(self._patience, self._took)
        while len(jobs) < AT_ONCE:
            wait = until - time.monotonic() if len(jobs) < self._expected else 0.0
            try:
                more = self.jobs.get(timeout=wait) if wait > 0 else self.jobs.get_nowait()
            except queue.Empty:
                break
            if more is None:
                return jobs, True
            jobs.append(more)
        return jobs, False

    def _answer(self, jobs: Sequence[_Job]) -> None:
        self.since = sent = time.monotonic()
        done: list[tuple[_Job, Answer]] = []
        try:
            for at, answer in self._scorer.answers([each.asked for each in jobs]):
                done.append((jobs[at], answer))
                now = time.monotonic()
                if now - sent > TOGETHER:
                    self._send(done)
                    done, self.since, sent = [], now, now
        except BaseException as error:  # noqa: BLE001 - the thread must go on: a model may even try to end the process
            done += [(job, errors.of_error(error)) for job in jobs]  # those that are answered already are passed over
        self.since = None
        self._send(done)

    def _send(self, done: Sequence[tuple[_Job, Answer]]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            self._loop.call_soon_threadsafe(_deliver, done)


def _deliver(done: Sequence[tuple[_Job, Answer]]) -> None:
    for job, answer in done:
        if not job.future.done():
            job.future.set_result(answer)


class Worker:
    """Has a model asked in a thread of its own, so that the process goes on to read and to write.

    A thread that hangs in the model cannot be ended: it is left alone and another takes its place; after a few of them
    the process ends, and whoever watches it starts another.

    Args:
        scorer: Asks the model.
        timeout: Seconds that an answer may take.
        patience: Seconds that a request may wait for others, to be asked about with them.
    """

    def __init__(self, scorer: Scorer, *, timeout: float, patience: float = 0.0) -> None:
        self._scorer, self._timeout, self._patience = scorer, timeout, patience
        self._lane: _Lane | None = None
        self._lost: list[_Lane] = []

    async def ask(self, asked: Asked) -> Answer:
        """Return the answer to a request, or that it took too long."""
        loop = asyncio.get_running_loop()
        if self._lane is None:
            self._lane = self._started(loop)
        if self._lost and sum(each.since is not None for each in self._lost) >= LOST:
            return errors.restarting()
        future: asyncio.Future[Answer] = loop.create_future()
        self._lane.jobs.put(_Job(asked, future))
        try:
            async with asyncio.timeout(self._timeout):
                return await future
        except TimeoutError:
            self._look_after(loop)
            return errors.too_slow(self._timeout)

    def close(self) -> None:
        """Let the thread end when it has done what it has."""
        if self._lane is not None:
            self._lane.jobs.put(None)
            self._lane = None

    def _started(self, loop: asyncio.AbstractEventLoop) -> _Lane:
        lane = _Lane(self._scorer, loop, self._patience)
        lane.start()
        return lane

    def _look_after(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the thread's place if it hangs."""
        lane = self._lane
        if lane is None or lane.since is None or time.monotonic() - lane.since < 0.95 * self._timeout:
            return  # it is busy with others; what it began with this request, it began a little after it came
        self._lost = [each for each in self._lost if each.since is not None] + [lane]
        logger.error("the model has not answered for %g s: %d threads hang in it", self._timeout, len(self._lost))
        fresh = self._started(loop)
        with contextlib.suppress(queue.Empty):
            while True:
                fresh.jobs.put(lane.jobs.get_nowait())
        lane.jobs.put(None)
        self._lane = fresh
        if len(self._lost) >= LOST:
            logger.error("%d threads hang in the model: this process ends, for another to take its place", LOST)
            os.kill(os.getpid(), signal.SIGTERM)
