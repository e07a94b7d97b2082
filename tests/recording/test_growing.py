"""A file that grows is stored as it grows: what is there can be read, and what that costs is bounded."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from toolkit.artifacts.local import LocalArtifactStore
from toolkit.artifacts.store import StoredFile
from toolkit.errors import ArtifactError
from toolkit.recording.growing import MOST, TOGETHER, Growing
from toolkit.recording.log_pieces import joined, piece_path, whole_of
from toolkit.recording.run import RecordedRun
from toolkit.tracking.records import ArtifactEntry

LOG = "logs/output.log"


class Counted(LocalArtifactStore):
    """A folder that counts what it is given, and fails when it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.calls = self.sent = 0
        self.broken = False
        self.waits, self.sends = threading.Event(), threading.Event()
        self.sends.set()

    def put_stream(self, key: str, source: BinaryIO) -> StoredFile:
        if self.broken:
            raise ArtifactError("the store is away")
        if not self.sends.is_set():
            self.waits.set()
            assert self.sends.wait(120)
        stored = super().put_stream(key, source)
        self.calls += 1
        self.sent += stored.size
        return stored


@pytest.fixture
def counted(run: RecordedRun, monkeypatch: pytest.MonkeyPatch) -> Counted:
    place = run.stores.artifacts
    assert isinstance(place, LocalArtifactStore)
    store = Counted(Path(place.root.removeprefix("file://")))
    object.__setattr__(run.stores, "artifacts", store)
    return store


def read(run: RecordedRun) -> bytes:
    """Return what a reader sees of the log."""
    pieces = joined(run.stores.runs.list_artifacts(run.run_id).items).get(LOG, ())
    found = b""
    for piece in pieces:
        path = run.local_path(piece.path)
        assert path is not None
        found += path.read_bytes()
    return found


def names(run: RecordedRun) -> Sequence[str]:
    return [entry.path for entry in run.stores.runs.list_artifacts(run.run_id).items]


def test_what_is_there_can_be_read_at_any_time_and_costs_little(
    run: RecordedRun, counted: Counted, tmp_path: Path
) -> None:
    file = tmp_path / "output.log"
    growing = Growing(run, file, LOG)
    assert growing.look()  # there is no file yet
    told = b""
    chance = random.Random(7)
    for number in range(600):
        line = f"line {number} {'x' * chance.randrange(200)}\n".encode()
        told += line
        with file.open("ab") as log:
            log.write(line)
        assert growing.look()
        if number % 100 == 0:
            assert read(run) == told
    assert read(run) == told
    assert counted.calls <= 600 * 8 / 7  # one for each look, and one for eight pieces, and for eight of these ...
    assert counted.sent <= len(told) * 5
    assert len(names(run)) <= 4 * 7
    before = counted.calls
    assert growing.look()
    assert counted.calls == before  # nothing is new, nothing is sent
    run.log_file(file, LOG)
    assert read(run) == told  # the whole and its pieces are there at once
    growing.forget()
    assert names(run) == [LOG]
    assert read(run) == told


def test_a_large_log_is_sent_about_once(run: RecordedRun, counted: Counted, tmp_path: Path) -> None:
    file = tmp_path / "output.log"
    growing = Growing(run, file, LOG)
    size = 0
    for _ in range(10):
        with file.open("ab") as log:
            log.write(b"y" * (5 << 20))
        size += 5 << 20
        assert growing.look()
    with file.open("ab") as log:
        log.write(b"z" * (2 * MOST + 1))
    assert growing.look()
    size += 2 * MOST + 1
    assert counted.sent == size  # none of it twice
    assert counted.calls == 10 + 3  # and no piece is larger than 8 MB
    assert len(read(run)) == size


def test_a_store_that_is_away_does_no_harm(run: RecordedRun, counted: Counted, tmp_path: Path) -> None:
    file = tmp_path / "output.log"
    file.write_text("one\n")
    growing = Growing(run, file, LOG)
    counted.broken = True
    assert not growing.look()
    assert not growing.look()
    counted.broken = False
    with file.open("a") as log:
        log.write("two\n")
    assert growing.look()
    assert read(run) == b"one\ntwo\n"


def test_it_looks_by_itself_and_keeps_what_is_there_when_its_writer_fails(run: RecordedRun, tmp_path: Path) -> None:
    file = tmp_path / "output.log"

    def work() -> None:
        with Growing(run, file, LOG, pause=0.01):
            file.write_text("one\n")
            limit = time.monotonic() + 60
            while read(run) != b"one\n" and time.monotonic() < limit:
                time.sleep(0.01)
            assert read(run) == b"one\n"
            file.write_text("one\ntwo\n")
            raise ValueError("end")

    with pytest.raises(ValueError, match="end"):
        work()
    assert read(run) == b"one\ntwo\n"


def test_a_step_that_ends_waits_for_the_piece_that_is_being_sent_alone(
    run: RecordedRun, counted: Counted, tmp_path: Path
) -> None:
    file = tmp_path / "output.log"
    growing = Growing(run, file, LOG, pause=0.01)
    for _ in range(TOGETHER - 1):
        with file.open("ab") as log:
            log.write(b"line\n")
        assert growing.look()
    counted.sends.clear()
    with growing:
        with file.open("ab") as log:
            log.write(b"last\n")
        assert counted.waits.wait(120)  # the eighth piece is being sent: after it, eight would become one
        threading.Timer(0.2, counted.sends.set).start()
    assert counted.calls == TOGETHER
    assert len(names(run)) == TOGETHER
    assert read(run) == b"line\n" * (TOGETHER - 1) + b"last\n"
    run.log_file(file, LOG)
    growing.forget()
    assert names(run) == [LOG]


def test_a_store_that_hangs_does_not_hold_a_step(
    run: RecordedRun, counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.recording.growing._PATIENCE", 0.05)
    file = tmp_path / "output.log"
    file.write_bytes(b"one\n")
    growing = Growing(run, file, LOG, pause=0.01)
    counted.sends.clear()

    def work() -> None:
        with growing:
            assert counted.waits.wait(120)
            raise ValueError("end")

    with pytest.raises(ValueError, match="end"):
        work()
    growing.forget()
    assert counted.calls == 0  # what is being sent is not sent beside it, nor removed
    counted.sends.set()
    growing._thread.join(120)
    assert read(run) == b"one\n"
    growing.forget()
    assert names(run) == []


def entry(path: str, size: int) -> ArtifactEntry:
    return ArtifactEntry(path=path, size=size, sha256="0" * 64, created=0)


def test_pieces_are_joined_where_they_fit() -> None:
    entries = [
        entry("logs/a.txt", 3),
        entry(piece_path(LOG, 0, 10), 10),
        entry(piece_path(LOG, 0, 20), 20),  # it has taken the place of the one before and of the next
        entry(piece_path(LOG, 10, 20), 10),
        entry(piece_path(LOG, 20, 25), 5),
        entry(piece_path(LOG, 30, 35), 5),  # what is before it has not come
        entry(piece_path("logs/b.log", 5, 9), 4),
    ]
    found = joined(entries)
    assert {path: [(piece.start, piece.end) for piece in pieces] for path, pieces in found.items()} == {
        "logs/a.txt": [(0, 3)],
        LOG: [(0, 20), (20, 25)],
    }
    assert whole_of(piece_path(LOG, 0, 10)) == LOG
    assert whole_of(LOG) is None
    assert [piece.path for piece in joined([entry(LOG, 0)])[LOG]] == [LOG]
