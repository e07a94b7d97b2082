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
from toolkit.wiring import open_catalog, open_hasty

logger = logging.getLogger("toolkit.server")

LONGEST_BODY = 16 * 1024
"""Bytes of a request; a longer one takes long enough to hold up others."""

_WRITES_PER_CHECKPOINT = 250
"""About as many as fill the thousand pages after which SQLite itself would do it."""


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
        return endpoint.quick and self._hasty is not None and size <= LONGEST_BODY and self._moving is None

    def answer(self, endpoint: Endpoint, call: Call) -> Message | None:
        """Return the answer; ``None`` if somebody would have to be waited for: nothing of it is to be kept.

        Raises:
            ToolkitError: What the endpoint raises.
        """
        assert self._hasty is not None
        assert self._catalog is not None
        try:
            answer = endpoint.handler(call.on(self._hasty, self._catalog))
        except StoreBusy:
            return None
        self._writes += 1
        if self._writes >= _WRITES_PER_CHECKPOINT:
            self._writes = 0
            self._moving = asyncio.get_running_loop().run_in_executor(None, self._move)
            self._moving.add_done_callback(self._moved)
        return answer

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
