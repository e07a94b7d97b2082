"""The journal: nothing that was logged is lost, nothing is sent twice, and nobody who logs waits or sees an error."""

from __future__ import annotations

import itertools
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from toolkit.errors import NotAcknowledged, StoreError
from toolkit.ids import new_run_id
from toolkit.testing.runs import new_run
from toolkit.tracking import journal_file
from toolkit.tracking.entries import Begun, Entry, Logged, Rejection
from toolkit.tracking.journal import Journal, Leftovers, journal_folders, journal_states
from toolkit.tracking.journal_codec import decode, encode
from toolkit.tracking.journal_file import JournalFile
from toolkit.tracking.limits import Point
from toolkit.tracking.memory import MemoryRunStore
from toolkit.tracking.sql import SqlRunStore
from toolkit.tracking.store import RunStore

PLACE = "sqlite:///here.db"


class Store(MemoryRunStore):
    """A store that can be away, slow, or talk nonsense, and that counts what reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None
        self.gate: threading.Event | None = None
        self.calls = 0
        self.received = 0

    def apply(self, entries: Sequence[Entry | None], *, journal: str, first: int) -> Sequence[Rejection]:
        self.calls += 1
        if self.gate is not None:
            self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        self.received += len(entries)
        return super().apply(entries, journal=journal, first=first)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(root: Path, store: Store) -> Iterator[Journal]:
    made = Journal(root, store, place=PLACE)
    yield made
    store.failure = None
    if store.gate is not None:
        store.gate.set()
    made.close(5)


def point(run_id: str, step: int, key: str = "loss") -> Logged:
    return Logged(run_id=run_id, points=((key, step, 1, float(step), 0),))


def begin(journal: Journal) -> str:
    new = new_run()
    journal.add(Begun(new=new))
    return new.run_id


def steps(store: RunStore, run_id: str, key: str = "loss") -> list[int]:
    return [metric.step for metric in store.metric_history(run_id, key, limit=1_000_000).items]


# -- the form ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [["loss"], ["loss", "ä b/c:d-e.f"], [f"m{n}" for n in range(1000)]])
def test_points_keep_every_bit(keys: list[str]) -> None:
    values = [0.1, float("inf"), -float("inf"), 5e-324, -1e308]
    points: list[Point] = [(key, 2**63 - 1 - n, n, values[n % 5], n % 3 - 1) for n, key in enumerate(keys)]
    back = decode(encode(Logged(run_id="a" * 32, points=points)))
    assert isinstance(back, Logged)
    assert (back.run_id, list(back.points)) == ("a" * 32, points)


# -- sending -----------------------------------------------------------------------------------------


def test_what_is_logged_arrives_and_leaves_nothing_behind(journal: Journal, store: Store, root: Path) -> None:
    run_id = begin(journal)
    for step in range(20_000):
        journal.add(point(run_id, step))
    journal.flush(30)
    assert steps(store, run_id) == list(range(20_000))
    assert store.calls < 500  # in batches, not one by one
    assert journal.close(5) == 0
    assert journal_folders(root) == []


def test_many_segments_are_dropped_as_they_are_acknowledged(
    journal: Journal, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "SEGMENT_SIZE", 20_000)
    monkeypatch.setattr(journal_file, "FIRST_SEGMENT_SIZE", 4_000)
    run_id = begin(journal)
    for step in range(5_000):
        journal.add(point(run_id, step))
    journal.add(Logged(run_id=run_id, tags={"long": "x" * 8_000}))
    journal.flush(30)
    assert steps(store, run_id) == list(range(5_000))
    assert store.get_run(run_id).data.tags["long"] == "x" * 8_000
    assert journal.folder is not None
    assert len(list(journal.folder.glob("*.segment"))) == 1


def test_threads_log_at_once_and_order_holds_per_key(journal: Journal, store: Store) -> None:
    run_id = begin(journal)

    def log(name: str) -> None:
        for number in range(2_000):
            journal.add(Logged(run_id=run_id, tags={name: str(number)}))
            journal.add(point(run_id, number, name))

    threads = [threading.Thread(target=log, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.flush(30)
    run = store.get_run(run_id)
    for number in range(4):
        assert run.data.tags[f"t{number}"] == "1999"
        assert steps(store, run_id, f"t{number}") == list(range(2_000))


@pytest.mark.parametrize("failure", [StoreError("away"), RuntimeError("nonsense"), OSError(28, "full")])
def test_a_store_that_fails_neither_raises_nor_loses(
    journal: Journal, store: Store, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = begin(journal)
    journal.flush(10)
    store.failure = failure
    with caplog.at_level(logging.WARNING):
        for step in range(1_000):
            journal.add(point(run_id, step))
        with pytest.raises(NotAcknowledged, match=r"1000 logged entries .* toolkit sync") as error:
            journal.flush(0.6)
    assert error.value.waiting == 1_000
    assert journal.away
    assert len([record for record in caplog.records if "logging goes on" in record.message]) == 1
    store.failure = None
    journal.flush(30)
    assert steps(store, run_id) == list(range(1_000))


def test_a_slow_store_does_not_slow_who_logs(journal: Journal, store: Store) -> None:
    store.gate = threading.Event()
    run_id = begin(journal)
    for step in range(5_000):
        journal.add(point(run_id, step))
    assert store.received == 0  # all was logged while the store had not answered once
    store.gate.set()
    journal.flush(30)
    assert steps(store, run_id) == list(range(5_000))


def test_what_the_store_refuses_is_kept_with_the_reason(
    journal: Journal, store: Store, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_id, unknown = begin(journal), new_run_id()
    journal.add(point(unknown, 1))
    journal.add(point(run_id, 1))
    with caplog.at_level(logging.WARNING):
        journal.flush(10)
    assert steps(store, run_id) == [1]
    assert f"Run with id={unknown} not found" in caplog.text
    (line,) = next((root / "rejected").iterdir()).read_text().splitlines()
    kept = json.loads(line)
    assert kept["reason"] == f"Run with id={unknown} not found"
    assert decode(bytes.fromhex(kept["entry"])) == point(unknown, 1)


def test_at_its_limit_it_says_so_beforehand_and_drops_the_newest(
    root: Path, store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "SEGMENT_SIZE", 100_000)
    monkeypatch.setattr(journal_file, "FIRST_SEGMENT_SIZE", 100_000)
    store.failure = StoreError("away")
    journal = Journal(root, store, place=PLACE, limit=1_000_000)
    run_id = begin(journal)
    with caplog.at_level(logging.WARNING):
        count = 0
        while not journal.dropped:
            journal.add(point(run_id, count))
            count += 1
            if count % 1000 == 0:
                time.sleep(0.05)
    messages = [record.getMessage() for record in caplog.records]
    nearly = next(n for n, message in enumerate(messages) if "nearly full" in message)
    lost = next(n for n, message in enumerate(messages) if "logged now is lost" in message)
    assert nearly < lost
    assert "TOOLKIT_JOURNAL_LIMIT" in messages[lost]
    store.failure = None
    with pytest.raises(NotAcknowledged, match="1 logged entries were lost"):  # all the others have arrived
        journal.flush(30)
    assert steps(store, run_id) == list(range(count - 1))
    journal.close(5)


def test_a_handler_of_a_signal_may_log(journal: Journal, store: Store) -> None:
    run_id = begin(journal)
    numbers = itertools.count()  # a handler may itself be interrupted

    def handle(number: int, frame: object) -> None:
        journal.add(point(run_id, next(numbers), "handled"))

    previous = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for step in range(20_000):
            journal.add(point(run_id, step))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    journal.flush(30)
    assert steps(store, run_id) == list(range(20_000))
    assert steps(store, run_id, "handled") == list(range(next(numbers)))


def left(file: JournalFile) -> None:
    """Let go of a journal as a process does that is killed."""
    file.close(keep=True)


# -- what is left ------------------------------------------------------------------------------------


def test_what_is_left_at_the_end_is_sent_by_the_next_process(root: Path, store: Store) -> None:
    first = Journal(root, store, place=PLACE)
    run_id = begin(first)
    first.flush(10)
    store.failure = StoreError("away")
    for step in range(100):
        first.add(point(run_id, step))
    assert first.close(0.2) == 100
    store.failure = None
    second = Journal(root, store, place=PLACE)
    second.add(point(run_id, 100))
    deadline = time.monotonic() + 20
    while journal_folders(root)[1:] and time.monotonic() < deadline:
        time.sleep(0.01)
    second.close(5)
    assert steps(store, run_id) == list(range(101))
    assert journal_folders(root) == []


def test_another_stores_journal_is_left_alone(root: Path, store: Store) -> None:
    store.failure = StoreError("away")
    first = Journal(root, store, place="sqlite:///other.db")
    begin(first)
    first.close(0.1)
    store.failure = None
    leftovers = Leftovers(root, store, PLACE)
    assert not leftovers.step()
    (state,) = journal_states(root)
    assert (state.place, state.in_use) == ("sqlite:///other.db", False)
    assert Leftovers(root, store, "sqlite:///other.db").step()


def test_what_was_applied_but_not_acknowledged_is_not_applied_again(root: Path, store: Store) -> None:
    file = JournalFile.create(root, "left", PLACE, limit=10**9)
    new = new_run()
    payloads: list[Entry] = [Begun(new=new), Logged(run_id=new.run_id, tags={"a": "1"})]
    for entry in payloads:
        file.append(encode(entry))
    store.apply(payloads, journal="left", first=0)  # and the process dies before it notes that
    store.log_batch(new.run_id, tags={"a": "2"})
    file.close()
    leftovers = Leftovers(root, store, PLACE)
    while leftovers.step():
        pass
    assert store.get_run(new.run_id).data.tags["a"] == "2"
    assert journal_folders(root) == []


@pytest.mark.parametrize("cut", [1, 4, 8, 20])
def test_a_torn_last_record_is_dropped_and_mentioned(
    root: Path, store: Store, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    file = JournalFile.create(root, "torn", PLACE, limit=10**9)
    new = new_run()
    file.append(encode(Begun(new=new)))
    file.append(encode(point(new.run_id, 0)))
    (segment,) = file._segments
    whole, _ = segment.tail
    file.append(encode(point(new.run_id, 1)))
    end, _ = segment.tail
    segment.map[whole + cut : end] = bytes(end - whole - cut)
    left(file)
    leftovers = Leftovers(root, store, PLACE)
    with caplog.at_level(logging.WARNING):
        while leftovers.step():
            pass
    assert steps(store, new.run_id) == [0]
    assert cut < 8 or "cut off in the middle" in caplog.text


def test_damage_in_the_middle_never_invents_records(root: Path, store: Store) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    file = JournalFile.create(root, "damaged", PLACE, limit=10**9)
    new = new_run()
    file.append(encode(Begun(new=new)))
    for step in range(200):
        file.append(encode(point(new.run_id, step)))
    start = 400
    for _ in range(5):
        at = chance.randrange(start, file._segments[0].tail[0])
        file._segments[0].map[at] ^= 1 << chance.randrange(8)
    left(file)
    leftovers = Leftovers(root, store, PLACE)
    while leftovers.step():
        pass
    found = steps(store, new.run_id) if leftovers.sent else []
    assert found == list(range(len(found)))
    assert len(found) < 200
    assert [folder.name for folder in (root / "rejected").iterdir()] == ["damaged"]  # nothing of it is thrown away


# -- processes ---------------------------------------------------------------------------------------

KILLED = """
import os, sys
from toolkit.testing.runs import new_run
from toolkit.tracking.entries import Begun, Logged
from toolkit.tracking.journal import Journal
from toolkit.tracking.sql import SqlRunStore
from pathlib import Path
home = Path(sys.argv[1])
store = SqlRunStore(f"sqlite:///{home}/toolkit.db", "file:///artifacts")
journal = Journal(home / "journal", store, place="here")
new = new_run()
journal.add(Begun(new=new))
out = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(out, f"{new.run_id}\\n".encode())
step = 0
while True:
    journal.add(Logged(run_id=new.run_id, points=(("loss", step, 1, float(step), 0),)))
    os.write(out, b"%d\\n" % step)  # only what `add` has returned from
    step += 1
"""


def test_kill_9_loses_nothing_that_add_returned_from(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    done: dict[str, int] = {}
    for attempt in range(12):
        log = tmp_path / f"{attempt}.log"
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), str(log)])
        deadline = time.monotonic() + 30
        while not (log.exists() and log.stat().st_size > 40) and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.4))
        process.kill()
        process.wait()
        run_id, *acknowledged = log.read_text().splitlines()
        done[run_id] = int(acknowledged[-1]) if acknowledged else -1
    store = SqlRunStore(f"sqlite:///{tmp_path}/toolkit.db", "file:///artifacts")
    leftovers = Leftovers(tmp_path / "journal", store, "here")
    while leftovers.step():
        pass
    assert leftovers.rejected == 0
    for run_id, last in done.items():
        found = steps(store, run_id)
        assert found == list(range(len(found)))
        assert len(found) - 1 in (last, last + 1)  # killed between the two lines of the loop
    store.close()
    assert [folder for folder in journal_folders(tmp_path / "journal") if any(folder.iterdir())] == []


def test_a_forked_child_has_a_journal_of_its_own(tmp_path: Path) -> None:
    store = SqlRunStore(f"sqlite:///{tmp_path}/toolkit.db", "file:///artifacts")
    journal = Journal(tmp_path / "journal", store, place="here")
    run_id = begin(journal)
    for step in range(100):
        journal.add(point(run_id, step))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for step in range(100):
                journal.add(point(run_id, step, "child"))
            status = journal.close(20)
        finally:
            os._exit(status)
    for step in range(100, 200):
        journal.add(point(run_id, step))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert journal.close(20) == 0
    assert steps(store, run_id) == list(range(200))
    assert steps(store, run_id, "child") == list(range(100))
    assert journal_folders(tmp_path / "journal") == []
    store.close()


def test_a_running_processs_journal_is_not_touched(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), str(log)])
    try:
        deadline = time.monotonic() + 30
        while not (log.exists() and log.stat().st_size > 40) and time.monotonic() < deadline:
            time.sleep(0.005)
        (state,) = journal_states(tmp_path / "journal")
        assert state.in_use
        assert JournalFile.adopt(state.folder) is None
    finally:
        process.kill()
        process.wait()


def test_a_folder_that_holds_no_journal_is_passed_over(root: Path, store: Store) -> None:
    (root / "something").mkdir(parents=True)
    assert not Leftovers(root, store, PLACE).step()
    assert journal_states(root) == []


def test_an_unusable_folder_is_said_and_does_not_stop_who_logs(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("x")
    journal = Journal(tmp_path / "file" / "journal", store, place=PLACE)
    with caplog.at_level(logging.WARNING):
        begin(journal)
    assert journal.dropped == 1
    assert "Not a directory" in caplog.text
    with pytest.raises(NotAcknowledged, match="1 logged entries were lost"):
        journal.flush(1)
    journal.close(1)


# -- found by a reviewer -----------------------------------------------------------------------------


def test_a_leftover_waits_for_a_run_that_a_running_process_still_brings(root: Path, store: Store) -> None:
    """A child that has ended logged into a run whose beginning waits in its parent's journal."""
    store.failure = StoreError("away")
    parent = Journal(root, store, place=PLACE)
    run_id = begin(parent)
    child = JournalFile.create(root, "child", PLACE, limit=10**9)
    child.append(encode(point(run_id, 7)))
    left(child)
    leftovers = Leftovers(root, store, PLACE)
    while leftovers.step():
        pass
    assert (leftovers.sent, leftovers.rejected, leftovers.later) == (0, 0, 1)
    store.failure = None
    parent.flush(30)
    assert parent.close(10) == 0  # which sends what others have left, too
    assert steps(store, run_id) == [7]


def test_what_is_logged_while_it_is_closed_is_kept(root: Path, store: Store) -> None:
    journal = Journal(root, store, place=PLACE)
    run_id = begin(journal)
    logged = 0
    stop = threading.Event()

    def log() -> None:
        nonlocal logged
        while not stop.is_set():
            journal.add(point(run_id, logged))
            logged += 1
            time.sleep(0.0002)

    thread = threading.Thread(target=log)
    thread.start()
    for _ in range(5):
        time.sleep(0.05)
        journal.close(10)
    stop.set()
    thread.join()
    journal.close(10)
    leftovers = Leftovers(root, store, PLACE)
    while leftovers.step():
        pass
    assert journal.dropped == 0
    assert steps(store, run_id) == list(range(logged))


def test_an_entry_that_cannot_be_written_down_is_counted(journal: Journal) -> None:
    run_id = begin(journal)
    journal.add(Logged(run_id=run_id, tags={"name": "\ud800"}))
    assert journal.dropped == 1
    with pytest.raises(NotAcknowledged, match="1 logged entries were lost"):
        journal.flush(10)


def test_nobody_begins_a_journal_again_and_again_in_vain(
    root: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    journal = Journal(root, store, place=PLACE)
    for _ in range(100):
        begin(journal)
    assert journal.dropped == 100
    assert journal_folders(root) == []


def test_threads_that_log_first_at_once_start_one_sender(root: Path, store: Store) -> None:
    for _ in range(30):
        journal = Journal(root, store, place=PLACE)
        barrier = threading.Barrier(4)

        def log(journal: Journal = journal, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            begin(journal)

        threads = [threading.Thread(target=log) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        journal.flush(10)
        assert journal.dropped == 0
        assert len([thread for thread in threading.enumerate() if thread.name == "toolkit-journal"]) == 1
        journal.close(10)
