"""Periodic work of a server: runs whose process died without a word are found, also those of machines that are gone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from toolkit.errors import ToolkitError
from toolkit.tracking.records import Run

logger = logging.getLogger(__name__)


class Sweeper:
    """A thread that sweeps, at once and then from time to time.

    Args:
        sweep: Marks the runs that were lost and returns them; one query where there are none.
        every: Seconds between two sweeps.
    """

    def __init__(self, sweep: Callable[[], list[Run]], *, every: float) -> None:
        self._sweep = sweep
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="toolkit-sweeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a sweep that is going on is waited for."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                for run in self._sweep():
                    logger.warning("run %s was lost: %s", run.info.run_id, run.info.reason)
            except ToolkitError as error:  # the next one may find the store well again
                logger.warning("lost runs were not looked for: %s", error)
            self._ended.wait(self._every)
