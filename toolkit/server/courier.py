"""The thread of a server that tells of changes of the registry."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from toolkit.errors import ToolkitError
from toolkit.registry.courier import Courier
from toolkit.registry.events import DeliveryState

logger = logging.getLogger(__name__)

_EVERY = 1.0  # seconds between two looks for what is to be told: two queries by an index, of what is hardly ever there
_AFTER_TROUBLE = 15.0
_AT_ONCE = 4  # tries at a time, so that one who does not answer keeps few others waiting


class CourierThread:
    """Delivers as long as it runs.

    Args:
        courier: Makes the deliveries.
    """

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="toolkit-courier", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, patience: float) -> None:
        """End after the try that is going on, if it ends within some seconds; else it is made again by another one."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(patience)

    def _work(self) -> None:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="toolkit-courier") as pool:
            while not self._ended.is_set():
                pause = _EVERY
                try:
                    self._courier.spread()
                    if self._next():
                        list(pool.map(self._all, range(_AT_ONCE)))
                except ToolkitError as error:  # the next look may find the store well again
                    logger.warning("changes of the registry were not told: %s", error)
                    pause = _AFTER_TROUBLE
                self._ended.wait(pause)

    def _all(self, _: int) -> None:
        while not self._ended.is_set() and self._next():
            pass

    def _next(self) -> bool:
        """Make a delivery; return whether there was one."""
        told = self._courier.next()
        if told is not None and told.state is not DeliveryState.DONE:
            what = f"{told.claim.event.event} (event {told.claim.event.id})"
            logger.warning("webhook %s was not told of %s: %s", told.claim.webhook.name, what, told.message)
        return told is not None
