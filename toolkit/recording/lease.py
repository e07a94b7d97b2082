"""Leases: a run that a process answers for is kept alive by a beat, and lost when the beat stops.

A run is lost when its lease is over, or at once when the process that owned it on this machine is gone. What is left of
a lost step's process group is ended, so that nothing goes on unseen.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading

from toolkit.errors import NotAcknowledged, StoreError, UserError
from toolkit.recording.process import end_group, host_name, is_alive, this_process
from toolkit.tracking.records import Owner, Run, RunInfo, RunStatus
from toolkit.tracking.store import RunStore

logger = logging.getLogger(__name__)

PROCESS_TAG = "toolkit.process"
"""Tag with the process that leads a step's group, as ``host:pid:started``."""

_LOST = "heartbeat_lost"
_BEATS_PER_LEASE = 4
_LINGER = 5.0  # seconds without a run before the thread ends: runs often follow each other


class Leases:
    """Keeps the leases of this process's runs, with one thread that lives a little longer than the last of them.

    Args:
        runs: The store that the runs are in.
        lease_ms: Length of a lease.
    """

    def __init__(self, runs: RunStore, *, lease_ms: int) -> None:
        self._runs = runs
        self._lease_ms = lease_ms
        self._held: set[str] = set()
        self._kept_open: set[str] = set()
        self._lock = threading.RLock()  # entered itself: a signal may raise inside of a condition, which would keep it
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self.owner = this_process()

    @property
    def lease_ms(self) -> int:
        """Length of a lease in milliseconds."""
        return self._lease_ms

    @property
    def is_here(self) -> bool:
        """Whether this is the process that answers for the runs, and not one that it has forked."""
        return self.owner.pid == os.getpid()

    def take_over(self, run_id: str) -> None:
        """Answer for a run that is there already, at once: whoever dies before the first beat is missed too."""
        self._runs.renew_leases(self.owner, [run_id], lease_ms=self._lease_ms)

    def hold(self, run_id: str) -> None:
        """Keep a run alive from now on; its first lease was given when it was made."""
        with self._lock:
            self._held.add(run_id)
            if len(self._held) == 1:
                self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="toolkit-leases", daemon=True)
                self._thread.start()

    def keep_open(self, run_id: str) -> None:
        """Let a run that is held go on also where somebody else ends it: it has ended when its owner says so."""
        with self._lock:
            self._kept_open.add(run_id)

    def release(self, run_id: str) -> None:
        """Stop keeping a run alive."""
        with self._lock:
            self._held.discard(run_id)
            self._kept_open.discard(run_id)
            if not self._held:
                self._changed.notify_all()

    def _beat(self) -> None:
        while True:
            with self._lock:
                if self._held:
                    self._changed.wait(self._lease_ms / 1000 / _BEATS_PER_LEASE)
                if not self._held:
                    self._changed.wait(_LINGER)
                    if self._held:
                        continue
                    self._thread = None
                    return
                held = sorted(self._held)
            try:
                renewed = self._runs.renew_leases(self.owner, held, lease_ms=self._lease_ms)
                self._reopen(set(held).difference(renewed))
            except (NotAcknowledged, StoreError) as error:
                logger.warning("the lease of %d runs was not renewed: %s", len(held), error)

    def _reopen(self, ended: set[str]) -> None:
        """Resume the runs that are to be open, and were ended."""
        with self._lock:  # what is released meanwhile is about to be ended by its owner
            for run_id in sorted(ended & self._kept_open & self._held):
                with contextlib.suppress(UserError):  # it is deleted
                    self._runs.update_run(run_id, status=RunStatus.RUNNING)
                    self._runs.renew_leases(self.owner, [run_id], lease_ms=self._lease_ms)


def sweep_lost(runs: RunStore, *, grace: float) -> list[Run]:
    """Find the runs whose process died without a word, mark them FAILED, and end what is left of their processes.

    Returns:
        The runs that were marked, as they are now.
    """
    lost = []
    for run_id, owner, expired in runs.lost_candidates(host_name()):
        reason = _loss(owner, expired)
        # Of a process of this machine it is known that it is gone; of others only that they were silent, until now.
        silent = owner is None or owner.host != host_name()
        if reason and runs.mark_lost(run_id, reason, owner=owner, expired=silent):
            run = runs.get_run(run_id)
            _end_leftovers(run, grace=grace)
            lost.append(run)
    return lost


def was_lost(info: RunInfo) -> bool:
    """Tell whether a run has ended because nobody answered for it any more."""
    return info.status is RunStatus.FAILED and (info.reason or "").startswith(_LOST)


def _loss(owner: Owner | None, expired: bool) -> str | None:
    """Return why a run counts as lost, or ``None`` if it does not."""
    if owner is not None and owner.host == host_name():
        if is_alive(owner):
            return None
        return f"{_LOST}: process {owner.pid} on {owner.host} ended without a word"
    return f"{_LOST}: no sign of life within its lease" if expired else None


def _end_leftovers(run: Run, *, grace: float) -> None:
    text = run.data.tags.get(PROCESS_TAG, "")
    host, _, rest = text.rpartition(":")[0].rpartition(":")
    started = text.rpartition(":")[2]
    if host == host_name() and rest.isdigit() and started.isdigit():
        end_group(Owner(host=host, pid=int(rest), started=int(started)), grace=grace)


def process_tag(owner: Owner) -> str:
    """Return the value of `PROCESS_TAG` for a process."""
    return f"{owner.host}:{owner.pid}:{owner.started}"
