"""What a process reads and writes directly, beside what it logs: neither is missed, and neither overtakes."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from toolkit.artifacts.local import LocalArtifactStore
from toolkit.errors import NotAcknowledged, StoreError
from toolkit.recording import flushed as reading
from toolkit.recording.lease import Leases
from toolkit.recording.process import this_process
from toolkit.recording.spool import Spool
from toolkit.testing.runs import add_run, new_run
from toolkit.tracking.entries import Begun, Entry, Logged, Rejection
from toolkit.tracking.journal import Journal
from toolkit.tracking.memory import MemoryRunStore
from toolkit.tracking.records import RunStatus


class Held(MemoryRunStore):
    """A store that takes entries of a journal when it is let, or is away."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.failure: Exception | None = None

    def apply(self, entries: Sequence[Entry | None], *, journal: str, first: int) -> Sequence[Rejection]:
        if self.failure is not None:
            raise self.failure
        self.gate.wait(30)
        return super().apply(entries, journal=journal, first=first)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Held:
    monkeypatch.setattr(reading, "FLUSH_TIMEOUT", 0.2)
    return Held()


@pytest.fixture
def journal(tmp_path: Path, store: Held) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal", store, place="here")
    yield made
    store.failure = None
    store.gate.set()
    made.close(10)


def test_a_direct_write_does_not_overtake_what_was_logged_before(store: Held, journal: Journal) -> None:
    run_id = add_run(store).info.run_id
    journal.add(Logged(run_id=run_id, tags={"t": "first"}))
    threading.Timer(0.7, store.gate.set).start()
    reading.flushed(store, journal).log_batch(run_id, tags={"t": "second"})
    journal.flush(10)
    assert store.get_run(run_id).data.tags["t"] == "second"


def test_while_the_store_is_away_a_direct_write_is_refused_and_a_read_answers(store: Held, journal: Journal) -> None:
    run_id = add_run(store).info.run_id
    store.failure = StoreError("away")
    runs = reading.flushed(store, journal)
    journal.add(Logged(run_id=run_id, tags={"t": "first"}))
    with pytest.raises(NotAcknowledged, match="1 logged entries are not in here yet"):
        runs.log_batch(run_id, tags={"t": "second"})
    assert "t" not in runs.get_run(run_id).data.tags


def test_a_file_of_a_run_that_the_journal_still_holds_waits_for_it(
    store: Held, journal: Journal, tmp_path: Path
) -> None:
    artifacts = LocalArtifactStore(tmp_path / "artifacts")
    spool = Spool(tmp_path / "spool", artifacts, reading.flushed(store, journal, patience=0.0), place="here")
    new = new_run()
    journal.add(Begun(new=new))
    spool.put_stream(io.BytesIO(b"x"), run_id=new.run_id, key="k/a.txt", path="a.txt")
    with pytest.raises(NotAcknowledged, match="1 logged files"):
        spool.flush(0.3)
    store.gate.set()
    spool.flush(10)
    assert [entry.path for entry in store.list_artifacts(new.run_id).items] == ["a.txt"]
    assert spool.close(5) == 0
    assert not (tmp_path / "spool" / "rejected").exists()


def test_a_journal_that_does_not_arrive_does_not_end_the_signs_of_life(store: Held, journal: Journal) -> None:
    run_id = add_run(store, owner=this_process(), lease_ms=100).info.run_id
    store.failure = StoreError("away")
    journal.add(Logged(run_id=run_id, tags={"t": "first"}))
    leases = Leases(reading.flushed(store, journal), lease_ms=100)
    store.update_run(run_id, status=RunStatus.FAILED)
    leases.keep_open(run_id)
    leases.hold(run_id)
    time.sleep(1.0)
    store.failure = None
    store.gate.set()
    limit = time.monotonic() + 10
    while store.get_run(run_id).info.status is not RunStatus.RUNNING:
        assert time.monotonic() < limit
        time.sleep(0.05)
    leases.release(run_id)
