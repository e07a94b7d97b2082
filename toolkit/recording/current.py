"""The run that the code is inside of, and the stores of this process.

The active run is a context variable: threads and asyncio tasks do not mix. Code that is inside of none, such as a
thread that a library started, writes to the run of the process: the step that the process is, or the run that a
script's first ``log_*`` call opened.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from toolkit.errors import StoreError
from toolkit.recording.lease import Leases
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.settings import load

logger = logging.getLogger(__name__)

_MOST_NAMED = 1_000
_SETTLE_TIMEOUT = 60.0  # seconds

_active: ContextVar[RecordedRun | None] = ContextVar("toolkit_active_run", default=None)


class Connection(Protocol):
    """How this process gets at what the settings name. The composition root provides it."""

    def open_stores(self, tracking_uri: str | None = None) -> Stores:
        """Open the stores that the settings name, or those at another tracking URI."""
        ...

    def prefect_api_url(self) -> str:
        """Return the API address of a Prefect server that answers, starting ours where need be."""
        ...


@dataclass(kw_only=True)
class _Process:
    """What one process has open; a fork begins anew."""

    pid: int = field(default_factory=os.getpid)
    stores: Stores | None = None
    others: dict[str, Stores] = field(default_factory=dict)
    opening: threading.RLock = field(default_factory=threading.RLock)
    leases: Leases | None = None
    run: RecordedRun | None = None
    experiment_id: str | None = None
    callbacks: list[Callable[[], None]] = field(default_factory=list)
    finishes: bool = False
    named: dict[str, RecordedRun] = field(default_factory=dict)
    inherited: list[Stores] = field(default_factory=list)

    @property
    def own(self) -> list[Stores]:
        """The stores that this process has opened."""
        return [each for each in (self.stores, *self.others.values()) if each is not None]

    @property
    def opened(self) -> list[Stores]:
        """The same and those that runs of the process that forked this one write to, which it may go on with."""
        return [*self.own, *self.inherited]

    def finish_at_exit(self) -> None:
        """See to it that what is logged is sent when the process ends."""
        if not self.finishes:
            self.finishes = True
            atexit.register(_finish)
            multiprocessing = sys.modules.get("multiprocessing.util")
            if multiprocessing is not None:  # whose forked children end without the callbacks of atexit
                multiprocessing.Finalize(None, _finish, exitpriority=0)

    def finish_after_fork(self) -> None:
        """See to the same in a child that has just been forked, and may never ask for stores of its own."""
        self.finishes = True  # the callbacks of atexit are the parent's
        multiprocessing = sys.modules.get("multiprocessing.util")
        if multiprocessing is not None:  # whose children forget now what was registered before this
            multiprocessing.register_after_fork(self, _finish_child)


_process = _Process()
_connection: Connection | None = None


def connect(connection: Connection) -> None:
    """Say how this process opens its stores, once it needs them. The composition root calls this."""
    global _connection
    _connection = connection


def _here() -> _Process:
    global _process
    if _process.pid != os.getpid():  # connections and threads do not survive a fork
        _process = _Process(experiment_id=_process.experiment_id, inherited=_process.opened)
    return _process


def _after_fork() -> None:
    """Let a child send at its end what it logs through the runs of its parent."""
    if _here().inherited:
        _process.finish_after_fork()


def _finish_child(_: _Process) -> None:
    sys.modules["multiprocessing.util"].Finalize(None, _finish, exitpriority=0)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def stores() -> Stores:
    """Return the stores of this process, opening them the first time.

    Raises:
        StoreError: Nothing was connected, or the stores cannot be opened.
    """
    here = _here()
    if here.stores is None:
        with here.opening:  # two threads that begin at once must not open two journals
            if here.stores is None:
                here.stores = _connected().open_stores()
                here.finish_at_exit()
    return here.stores


def stores_at(tracking_uri: str) -> Stores:
    """Return the stores at a tracking URI, opening them the first time; they stay open with the process.

    Raises:
        InvalidSetting: The URI cannot be used.
        StoreError: They cannot be opened.
    """
    here = _here()
    if here.stores is not None and here.stores.tracking_uri == tracking_uri:
        return here.stores
    with here.opening:
        if tracking_uri not in here.others:
            here.others[tracking_uri] = _connected().open_stores(tracking_uri)
            here.finish_at_exit()
        return here.others[tracking_uri]


def use_other_stores(tracking_uri: str) -> None:
    """Let this process go on with the stores at another tracking URI, which the settings name by now.

    They are opened with their first use. Runs that are open stay in the stores that they were begun in.
    """
    here = _here()
    if here.stores is not None:
        if here.stores.tracking_uri == tracking_uri:
            return
        here.others[here.stores.tracking_uri] = here.stores
    here.stores = here.others.pop(tracking_uri, None)
    here.leases = None
    here.experiment_id = None


def flush(timeout: float | None = None) -> None:
    """Return when the stores have acknowledged all that this process has logged so far.

    Args:
        timeout: Seconds to wait at most; ``None``: as long as it takes.

    Raises:
        NotAcknowledged: They have not within the time. What is missing is in the journal; ``waiting`` says how much.
    """
    here = _here()
    for each in here.opened:
        if each.journal is not None:
            each.journal.flush(timeout)
        if each.spool is not None:
            each.spool.flush(timeout)


def settle() -> None:
    """Return when the stores have all that was logged, as `flush` does with a timeout that suits a verb's caller.

    Raises:
        NotAcknowledged: A store cannot be reached.
    """
    flush(_SETTLE_TIMEOUT)


def at_exit(callback: Callable[[], None]) -> None:
    """Call something at the end of this process, before what is logged is sent for the last time."""
    here = _here()
    if callback not in here.callbacks:
        here.callbacks.append(callback)
    here.finish_at_exit()


def _finish() -> None:
    """Send what is logged, at the end of the process, within the time that the settings give."""
    here = _here()
    for callback in here.callbacks:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - whatever fails, the rest is sent
            logger.warning("something failed at the end of the process: %s", error)
    for each in here.opened:
        try:
            each.send_rest()
        except Exception as error:  # noqa: BLE001 - the same
            logger.warning("what was logged to %s could not be sent: %s", each.place, error)


def prefect_api_url() -> str:
    """Return the API address of a Prefect server that answers, starting ours where need be.

    Raises:
        ServiceError: None can be had.
    """
    return _connected().prefect_api_url()


def _connected() -> Connection:
    if _connection is None:
        raise StoreError("no store is connected: import toolkit, or call toolkit.wiring.connect()")
    return _connection


def leases() -> Leases:
    """Return what keeps this process's runs alive."""
    here = _here()
    if here.leases is None:
        opened = stores()
        with here.opening:
            if here.leases is None:
                here.leases = Leases(opened.runs, lease_ms=opened.lease_ms)
    return here.leases


def reset() -> None:
    """Forget and close the stores, so that the next use opens them anew (with other settings)."""
    here = _here()
    for each in here.own:
        each.close()
    here.others.clear()
    here.stores = here.leases = here.run = None
    here.experiment_id = None
    here.named.clear()


def named_runs() -> dict[str, RecordedRun]:
    """Return the runs that this process writes to by their ids, to be added to."""
    named = _here().named
    if len(named) >= _MOST_NAMED:
        named.clear()
    return named


def choose_experiment(experiment_id: str) -> None:
    """Choose the experiment that new runs of this process go to."""
    _here().experiment_id = experiment_id


def experiment_id() -> str:
    """Return the experiment that new runs go to: the chosen one, else the settings', else ``Default``."""
    here = _here()
    if here.experiment_id is not None:
        return here.experiment_id
    settings = load()
    if settings.experiment_id is not None:
        return settings.experiment_id
    if settings.experiment_name is not None:
        return stores().runs.ensure_experiment(settings.experiment_name).experiment_id
    return "0"


def parent_run_id() -> str | None:
    """Return the run that a run outside of any other is a part of: the step that this process is, where it is one."""
    settings = load()
    return settings.run_id or settings.parent_run_id


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
