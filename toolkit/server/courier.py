"""The thread of a server that tells of changes of the registry."""

from __future__ import annotations

import logging
import threading

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
        while not self._ended.is_set():
            pause = _EVERY
            try:
                self._courier.spread()
                if self._next():
                    self._all_at_once()
            except ToolkitError as error:  # the next look may find the store well again
                self._say(error)
                pause = _AFTER_TROUBLE
            self._ended.wait(pause)

    def _all_at_once(self) -> None:
        """Make all deliveries that are due, some of them at the same time."""
        threads = [threading.Thread(target=self._all, daemon=True) for _ in range(_AT_ONCE)]  # which nobody waits for
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _all(self) -> None:
        try:
            while not self._ended.is_set() and self._next():
                pass
        except ToolkitError as error:
            self._say(error)

    def _say(self, error: ToolkitError) -> None:
        logger.warning("changes of the registry were not told: %s", error)

    def _next(self) -> bool:
        """Make a delivery; return whether there was one."""
        told = self._courier.next()
        if told is not None and told.state is not DeliveryState.DONE:
            what = f"{told.claim.event.event} (event {told.claim.event.id})"
            logger.warning("webhook %s was not told of %s: %s", told.claim.webhook.name, what, told.message)
        return told is not None
