"""Small writes without a thread: to hand one over and to hear of its end takes longer than to write it to a file.

The event loop must never wait. So it has an opening of the database of its own, which says at once when somebody else
writes; then a thread does the work after all. What was written is moved from the log to the file by a thread, too:
that waits for the disk.
"""

from __future__ import annotations

import asyncio
import logging

from toolkit.db.engine import Database
from toolkit.errors import StoreBusy, StoreError
from toolkit.recording.stores import Stores
from toolkit.server.wire.call import Call, Endpoint
from toolkit.server.wire.messages import Message
from toolkit.wiring.opened import open_hasty
from toolkit.wiring.registry import open_catalog

logger = logging.getLogger("toolkit.server")

LONGEST_BODY = 16 * 1024
"""Bytes of a request; a longer one takes long enough to hold up others."""

_WRITES_PER_CHECKPOINT = 250
"""About as many as fill the thousand pages after which SQLite itself would do it."""

_PAUSES = (0.001, 0.002, 0.004, 0.008, 0.016)  # seconds between tries
_LONGEST_MOVE = 0.1


class Quick:
    """Answers requests on the event loop.

    Args:
        stores: What they are about.
    """

    def __init__(self, stores: Stores) -> None:
        self._patient: Database | None = stores.database
        self._hasty = open_hasty(stores)
        self._catalog = None if self._hasty is None else open_catalog(self._hasty)
        self._writes = 0
        self._moving: asyncio.Future[None] | None = None

    def takes(self, endpoint: Endpoint, size: int) -> bool:
        """Tell whether a request is one for the event loop.

        Args:
            endpoint: What it asks.
            size: Bytes of its body.
        """
        return endpoint.quick and self._hasty is not None and size <= LONGEST_BODY

    async def answer(self, endpoint: Endpoint, call: Call) -> Message | None:
        """Return the answer; ``None`` if somebody writes for longer: then nothing of it was done, or all may be again.

        Requests that find somebody writing wait a moment, without holding up others. Were they handed to threads at
        once, those would be writing when the next ones come, and so on for as long as there are several clients.

        Raises:
            ToolkitError: What the endpoint raises.
        """
        assert self._hasty is not None
        assert self._catalog is not None
        here = call.on(self._hasty, self._catalog)
        for pause in _PAUSES:
            if self._moving is not None:
                await asyncio.wait((self._moving,), timeout=_LONGEST_MOVE)
            if self._moving is None:
                try:
                    answer = endpoint.handler(here)
                except StoreBusy:
                    pass
                else:
                    self._count()
                    return answer
            await asyncio.sleep(pause)
        return None

    def _count(self) -> None:
        self._writes += 1
        if self._writes >= _WRITES_PER_CHECKPOINT:
            self._writes = 0
            self._moving = asyncio.get_running_loop().run_in_executor(None, self._move)
            self._moving.add_done_callback(self._moved)

    def _move(self) -> None:
        assert self._patient is not None
        try:
            self._patient.checkpoint()
        except StoreError as error:  # the next one tries again; nothing is lost meanwhile
            logger.warning("the database's log could not be moved to its file: %s", error)

    def _moved(self, done: asyncio.Future[None]) -> None:
        self._moving = None
        if not done.cancelled() and (error := done.exception()) is not None:
            logger.error("the database's log could not be moved to its file", exc_info=error)
