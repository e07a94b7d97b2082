"""The store as the process that logs sees it: it reads what it has written, though that goes by the journal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from toolkit.errors import NotAcknowledged, StoreError, UserError
from toolkit.tracking.journal import Journal
from toolkit.tracking.records import ArtifactEntry, Experiment, Page
from toolkit.tracking.store import RunStore

T = TypeVar("T")

FLUSH_TIMEOUT = 10.0
"""Seconds that a reader waits for what was logged before; after that it reads what is there."""

PATIENCE = 60.0
"""Seconds that a writer waits for what was logged before while nothing of it arrives, though the store is not away."""

_PASSED_ON = {"apply", "close", "lost_candidates", "mark_lost", "renew_leases"}
_READS = ("get_", "list_", "find_", "search_", "count_", "sample_", "metric_history", "run_sizes", "picture")

_FRESH = 1.0  # seconds for which an experiment need not be read again: runs may follow each other quickly


class _Flushed:
    """Flushes the journal before each call that reads or writes what it may hold."""

    def __init__(self, inner: RunStore, journal: Journal, before_listing: Callable[[], None], patience: float) -> None:
        self._inner = inner
        self._before_listing = before_listing
        self._patience = patience
        self._journal = journal
        self._experiments: dict[str, tuple[Experiment, float]] = {}  # and when it was read

    def __getattr__(self, name: str) -> object:
        method = getattr(self._inner, name)
        if name in _PASSED_ON:
            return method

        def flushed(*args: object, **kwargs: object) -> object:
            if name.startswith(_READS):
                with contextlib.suppress(NotAcknowledged):  # then the call itself says what is wrong with the store
                    self._journal.flush(FLUSH_TIMEOUT)
            else:
                self._wait()
            return method(*args, **kwargs)

        return flushed

    def _wait(self) -> None:
        """Wait for what was logged before: a write that overtook it would be undone by it.

        Raises:
            NotAcknowledged: The store is away, or has taken nothing for as long as the patience lasts.
        """
        least, since = self._journal.waiting, time.monotonic()
        while True:
            try:
                self._journal.flush(FLUSH_TIMEOUT)
            except NotAcknowledged:
                if self._journal.waiting < least:
                    least, since = self._journal.waiting, time.monotonic()
                if self._journal.away or time.monotonic() - since >= self._patience:
                    raise
            else:
                return

    def list_artifacts(self, run_id: str, **kwargs: Any) -> Page[ArtifactEntry]:  # noqa: ANN401 - as the store's
        """See `RunStore.list_artifacts`."""
        with contextlib.suppress(NotAcknowledged):
            self._before_listing()
            self._journal.flush(FLUSH_TIMEOUT)
        return self._inner.list_artifacts(run_id, **kwargs)

    def update_experiment(self, experiment_id: str, **changes: Any) -> Experiment:  # noqa: ANN401 - as the store's
        """See `RunStore.update_experiment`. What was read before no longer holds."""
        self._experiments.clear()
        self._wait()
        return self._inner.update_experiment(experiment_id, **changes)

    def get_experiment(self, experiment_id: str) -> Experiment:
        """See `RunStore.get_experiment`. While the store is away, what was read before is the answer."""
        return self._remembered(experiment_id, lambda: self._inner.get_experiment(experiment_id))

    def ensure_experiment(self, name: str) -> Experiment:
        """See `RunStore.ensure_experiment`. While the store is away, what was read before is the answer."""
        return self._remembered(f"name {name}", lambda: self._inner.ensure_experiment(name))

    def _remembered(self, key: str, read: Callable[[], Experiment]) -> Experiment:
        now = time.monotonic()
        known, read_at = self._experiments.get(key, (None, 0.0))
        if known is not None and (self._journal.away or now - read_at < _FRESH):
            return known
        try:
            experiment = read()
        except UserError:
            raise
        except StoreError:
            if known is None:
                raise
            return known
        self._experiments[key] = self._experiments[experiment.experiment_id] = (experiment, now)
        return experiment


def flushed(
    inner: RunStore,
    journal: Journal,
    *,
    before_listing: Callable[[], None] = lambda: None,
    patience: float = PATIENCE,
) -> RunStore:
    """Return a store whose callers see what this process has logged before.

    A read answers with what is there when the journal does not arrive in time; a write then raises `NotAcknowledged`,
    for it must not come before what was logged before it.

    Args:
        inner: The store.
        journal: What this process logs through, to the same store.
        before_listing: What brings files that were logged to their store; called before they are listed.
        patience: Seconds that a write waits while nothing arrives, though the store is not away.
    """
    return cast(RunStore, _Flushed(inner, journal, before_listing, patience))


def after_journal(inner: T, journal: Journal) -> T:
    """Return a store of what runs make, beside the store of runs: its calls come after what was logged before them.

    Args:
        inner: The store.
        journal: What this process logs through, to the store of runs.
    """
    return cast(T, _Flushed(cast(RunStore, inner), journal, lambda: None, PATIENCE))
