"""The wish to stop a run: set once, by a signal or by Prefect, and seen by everything that runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """A flag that says that the run is to end, and why.

    The first request lets each step's processes end in order (SIGTERM, then SIGKILL after a grace); the second ends
    them at once.
    """

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._at_once = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self.reason = ""
        self.exit_code = 130

    @property
    def requested(self) -> bool:
        """Whether the run is to end."""
        return self._requested.is_set()

    @property
    def at_once(self) -> bool:
        """Whether there is no more time to end in order."""
        return self._at_once.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait; tell whether the run is to end (by then, or before the time is over)."""
        return self._requested.wait(seconds)

    def on_request(self, callback: Callable[[], None]) -> None:
        """Have a function called at the first request."""
        self._callbacks.append(callback)

    def request(self, reason: str, *, exit_code: int = 130) -> None:
        """Ask for the end; asked a second time: at once."""
        if self._requested.is_set():
            self._at_once.set()
            return
        self.reason = reason
        self.exit_code = exit_code
        self._requested.set()
        for callback in self._callbacks:
            callback()


@contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into requests to stop, for the length of a block in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the form of a signal handler
        name = signal.Signals(number).name
        stop.request("interrupted with Ctrl-C" if name == "SIGINT" else name, exit_code=128 + number)

    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
        wanted.append(signal.SIGHUP)
    previous = {number: signal.signal(number, handle) for number in wanted}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
