"""The run that the code is inside of, and the stores of this process.

The active run is a context variable: threads and asyncio tasks do not mix. Code that is inside of none, such as a thread that
a library started, writes to the run of the process: the step that the process is, or the run that a script's first
``log_*`` call opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from toolkit.errors import StoreError
from toolkit.recording.lease import Leases
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores

_active: ContextVar[RecordedRun | None] = ContextVar("toolkit_active_run", default=None)


@dataclass(kw_only=True)
class _Process:
    """What one process has open; a fork begins anew."""

    pid: int = field(default_factory=os.getpid)
    stores: Stores | None = None
    leases: Leases | None = None
    run: RecordedRun | None = None


_process = _Process()
_opener: Callable[[], Stores] | None = None


def connect(opener: Callable[[], Stores]) -> None:
    """Say how this process opens its stores, once it needs them. The composition root calls this."""
    global _opener
    _opener = opener


def _here() -> _Process:
    global _process
    if _process.pid != os.getpid():
        _process = _Process()  # connections and threads do not survive a fork
    return _process


def stores() -> Stores:
    """Return the stores of this process, opening them the first time.

    Raises:
        StoreError: Nothing was connected, or the stores cannot be opened.
    """
    here = _here()
    if here.stores is None:
        if _opener is None:
            raise StoreError("no store is connected: import toolkit, or call toolkit.wiring.connect()")
        here.stores = _opener()
    return here.stores


def leases() -> Leases:
    """Return what keeps this process's runs alive."""
    here = _here()
    if here.leases is None:
        opened = stores()
        here.leases = Leases(opened.runs, lease_ms=opened.lease_ms)
    return here.leases


def reset() -> None:
    """Forget and close the stores, so that the next use opens them anew (with other settings)."""
    here = _here()
    if here.stores is not None:
        here.stores.close()
    here.stores = here.leases = here.run = None


def active_run() -> RecordedRun | None:
    """Return the run that this code is inside of: the context's, else the process's, else ``None``."""
    return _active.get() or _here().run


def context_run() -> RecordedRun | None:
    """Return the run of this context only."""
    return _active.get()


def set_context_run(run: RecordedRun | None) -> None:
    """Make a run the active one of this context; ``None``: leave it."""
    _active.set(run)


def set_process_run(run: RecordedRun | None) -> None:
    """Make a run the one that code without an active run writes to."""
    _here().run = run


@contextmanager
def inside(run: RecordedRun) -> Iterator[RecordedRun]:
    """Be inside a run for the length of a block."""
    token = _active.set(run)
    try:
        yield run
    finally:
        _active.reset(token)
