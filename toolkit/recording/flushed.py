"""The store as the process that logs sees it: it reads what it has written, though that goes by the journal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, cast

from toolkit.errors import NotAcknowledged, StoreError, UserError
from toolkit.tracking.journal import Journal
from toolkit.tracking.records import ArtifactEntry, Experiment, Page
from toolkit.tracking.store import RunStore

FLUSH_TIMEOUT = 10.0
"""Seconds that a reader waits for what was logged before; after that it reads what is there."""

_PASSED_ON = {"apply", "close", "lost_candidates", "mark_lost", "renew_leases"}

_FRESH = 1.0  # seconds for which an experiment need not be read again: runs may follow each other quickly


class _Flushed:
    """Flushes the journal before each call that reads or writes what it may hold."""

    def __init__(self, inner: RunStore, journal: Journal, before_listing: Callable[[], None]) -> None:
        self._inner = inner
        self._before_listing = before_listing
        self._journal = journal
        self._experiments: dict[str, tuple[Experiment, float]] = {}  # and when it was read

    def __getattr__(self, name: str) -> object:
        method = getattr(self._inner, name)
        if name in _PASSED_ON:
            return method

        def flushed(*args: object, **kwargs: object) -> object:
            with contextlib.suppress(NotAcknowledged):  # then the call itself says what is wrong with the store
                self._journal.flush(FLUSH_TIMEOUT)
            return method(*args, **kwargs)

        return flushed

    def list_artifacts(self, run_id: str, **kwargs: Any) -> Page[ArtifactEntry]:  # noqa: ANN401 - as the store's
        """See `RunStore.list_artifacts`."""
        with contextlib.suppress(NotAcknowledged):
            self._before_listing()
            self._journal.flush(FLUSH_TIMEOUT)
        return self._inner.list_artifacts(run_id, **kwargs)

    def update_experiment(self, experiment_id: str, **changes: Any) -> Experiment:  # noqa: ANN401 - as the store's
        """See `RunStore.update_experiment`. What was read before no longer holds."""
        self._experiments.clear()
        with contextlib.suppress(NotAcknowledged):
            self._journal.flush(FLUSH_TIMEOUT)
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


def flushed(inner: RunStore, journal: Journal, *, before_listing: Callable[[], None] = lambda: None) -> RunStore:
    """Return a store whose callers see what this process has logged before.

    Args:
        inner: The store.
        journal: What this process logs through, to the same store.
        before_listing: What brings files that were logged to their store; called before they are listed.
    """
    return cast(RunStore, _Flushed(inner, journal, before_listing))
