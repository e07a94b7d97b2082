"""The supervisor's looks at the deployments of this machine: whether they are ready, and what they have counted.

Each leaves a line for who shows the deployment. What serves elsewhere has a console of its own for that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.deployments import course
from toolkit.deployments.course import Look
from toolkit.deployments.endpoint import fetch
from toolkit.deployments.traffic import Counts
from toolkit.errors import ToolkitError
from toolkit.ids import now_ms

logger = logging.getLogger("toolkit.deployments")

EVERY = 10.0
"""Seconds between two looks."""
SCORING = ("/invocations", "/predict")
"""Endpoints whose requests are counted; the others are looks at a service, not its work."""

_PATIENCE = 5.0
_READY, _COUNTED = "/readyz", "/metrics"


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """What is to be looked at.

    Attributes:
        id: The release's own id.
        deployment: The deployment's name.
        release: The release's number.
        address: Its private address.
    """

    id: str
    deployment: str
    release: int
    address: str


class Looking:
    """Looks at releases again and again.

    Args:
        home: Toolkit's home.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._before: dict[str, tuple[float, Counts]] = {}

    def at(self, served: Served) -> Look:
        """Look at a release, leave what was found in its deployment's file, and return it."""
        began = time.monotonic()
        status, message = _health(served.address)
        took = time.monotonic() - began
        counts = _counts(served.address)
        before, last = self._before.get(served.id, (began - EVERY, Counts()))
        grown = Counts() if counts is None else counts.since(last)
        self._before[served.id] = began, last if counts is None else counts
        statuses = {key: count for key, count in grown.requests.items() if key[0] in SCORING}
        look = Look(
            time=now_ms(),
            seconds=round(began - before, 3),
            release=served.release,
            status=status,
            message=message,
            took=round(took, 4),
            requests=int(sum(statuses.values())),
            refused=int(sum(count for (_, told), count in statuses.items() if told.startswith("4"))),
            failed=int(sum(count for (_, told), count in statuses.items() if told.startswith("5"))),
            buckets=course.merged([grown.seconds.get(endpoint, {}) for endpoint in SCORING]),
        )
        course.leave(self._home, served.deployment, look)
        return look

    def forget_but(self, served: Sequence[Served]) -> None:
        """Forget what was counted by releases that are gone."""
        there = {each.id for each in served}
        self._before = {identity: kept for identity, kept in self._before.items() if identity in there}


async def keep(home: Path, served: Callable[[], Sequence[Served]]) -> None:
    """Look at what serves from time to time, until cancelled.

    Args:
        home: Toolkit's home.
        served: Returns what serves now.
    """
    looking = Looking(home)
    while True:
        await asyncio.sleep(EVERY)
        now = served()
        looking.forget_but(now)
        for found in await asyncio.gather(
            *(asyncio.to_thread(looking.at, each) for each in now), return_exceptions=True
        ):
            if isinstance(found, OSError):  # a full disk: what serves is not to end with it
                logger.warning("what a deployment does cannot be written down: %s", found)
            elif isinstance(found, BaseException):
                raise found


def _health(address: str) -> tuple[int, str]:
    try:
        came = fetch(address, _READY, timeout=_PATIENCE)
    except ToolkitError as error:
        return 0, error.message
    return came.status, "" if came.status == 200 else f"{_READY} answers {came.status}: {came.problem}"


def _counts(address: str) -> Counts | None:
    try:
        came = fetch(address, _COUNTED, timeout=_PATIENCE)
    except ToolkitError:
        return None
    return Counts.read(came.body.decode("utf-8", "replace")) if came.status == 200 else None
