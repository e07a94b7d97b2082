"""Real stores in the test's own home."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from toolkit import settings
from toolkit.recording.lease import Leases
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.tracking.records import RunStatus
from toolkit.wiring.opened import open_stores


@pytest.fixture
def stores() -> Iterator[Stores]:
    opened = open_stores(settings.load())
    yield opened
    opened.close()


@pytest.fixture
def leases(stores: Stores) -> Leases:
    return Leases(stores.runs, lease_ms=60_000)


@pytest.fixture
def run(stores: Stores, leases: Leases) -> Iterator[RecordedRun]:
    started = RecordedRun.start(stores, leases, experiment_id="0", name="test")
    yield started
    started.end(RunStatus.FINISHED)
