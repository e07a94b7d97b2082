"""The spool: files wait for a store that is away; who logs them neither waits nor sees an error."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.artifacts.local import LocalArtifactStore
from toolkit.artifacts.store import StoredFile
from toolkit.errors import ArtifactError, ArtifactUnavailable, NotAcknowledged
from toolkit.ids import new_run_id, now_ms
from toolkit.recording.spool import Spool
from toolkit.recording.spool_folder import SpoolLeftovers
from toolkit.testing.runs import add_run, new_run
from toolkit.tracking.memory import MemoryRunStore
from toolkit.tracking.records import ArtifactEntry, RunStatus
from toolkit.tracking.sql import SqlRunStore
from toolkit.tracking.store import RunStore

PLACE = "here"


class Away(LocalArtifactStore):
    """A store that can be away."""

    failure: Exception | None = None
    gate: threading.Event | None = None

    def put_file(self, key: str, source: Path) -> StoredFile:
        if self.gate is not None:
            self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        return super().put_file(key, source)


@pytest.fixture
def artifacts(tmp_path: Path) -> Away:
    return Away(tmp_path / "artifacts")


@pytest.fixture
def runs() -> MemoryRunStore:
    return MemoryRunStore()


@pytest.fixture
def spool(tmp_path: Path, artifacts: Away, runs: MemoryRunStore) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool", artifacts, runs, place=PLACE)
    yield made
    artifacts.failure = None
    made.close(5)


def put(spool: Spool, run_id: str, text: str, path: str = "a.txt") -> None:
    spool.put_stream(io.BytesIO(text.encode()), run_id=run_id, key=f"0/{run_id}/artifacts/{path}", path=path)


def send_left(root: Path, artifacts: LocalArtifactStore, runs: RunStore, place: str) -> tuple[int, int]:
    """Send what is left; return how many files were sent, and how many refused."""
    left = SpoolLeftovers(root, artifacts, runs, place)
    left.send_all()
    return left.sent, left.refused


def listed(runs: MemoryRunStore, run_id: str) -> list[str]:
    return [entry.path for entry in runs.list_artifacts(run_id).items]


def test_files_arrive_and_are_listed_once_they_are_there(
    spool: Spool, artifacts: Away, runs: MemoryRunStore, tmp_path: Path
) -> None:
    run_id = add_run(runs).info.run_id
    artifacts.gate = threading.Event()
    source = tmp_path / "model.bin"
    source.write_text("first")
    entry = spool.put_file(source, run_id=run_id, key=f"0/{run_id}/artifacts/m/model.bin", path="m/model.bin")
    source.write_text("changed after it was logged")
    put(spool, run_id, "text", "b c?.txt")
    assert listed(runs, run_id) == []
    artifacts.gate.set()
    spool.flush(10)
    assert listed(runs, run_id) == ["b c?.txt", "m/model.bin"]
    assert list(runs.list_artifacts(run_id, prefix="m").items) == [entry]
    with artifacts.open(f"0/{run_id}/artifacts/m/model.bin") as file:
        assert file.read() == b"first"
    assert spool.close(1) == 0
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_store_that_is_away_is_waited_for(
    spool: Spool, artifacts: Away, runs: MemoryRunStore, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = add_run(runs).info.run_id
    artifacts.failure = ArtifactUnavailable("the bucket does not answer")
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            put(spool, run_id, "x", f"{number}.txt")
        with pytest.raises(NotAcknowledged, match=r"5 logged files .*does not answer.* toolkit sync"):
            spool.flush(0.2)
    assert len([record for record in caplog.records if "is sent later" in record.message]) == 1
    artifacts.failure = None
    spool.flush(10)
    assert listed(runs, run_id) == [f"{number}.txt" for number in range(5)]


def test_what_is_left_is_sent_by_the_next_process(
    artifacts: Away, runs: MemoryRunStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "spool"
    run_id = add_run(runs).info.run_id
    artifacts.failure = ArtifactUnavailable("away")
    spool = Spool(root, artifacts, runs, place=PLACE)
    put(spool, run_id, "x")
    with caplog.at_level(logging.WARNING):
        assert spool.close(0.1) == 1
    artifacts.failure = None
    assert send_left(root, artifacts, runs, "another store") == (0, 0)
    assert send_left(root, artifacts, runs, PLACE) == (1, 0)
    assert listed(runs, run_id) == ["a.txt"]
    assert send_left(root, artifacts, runs, PLACE) == (0, 0)
    assert list(root.iterdir()) == []


def test_what_is_refused_for_good_is_kept_aside(spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    unknown = new_run_id()
    with caplog.at_level(logging.WARNING):
        put(spool, unknown, "precious")
        spool.flush(10)
    assert f"Run with id={unknown} not found" in caplog.text
    (kept,) = (tmp_path / "spool" / "rejected").iterdir()
    assert sorted(path.read_text() for path in kept.iterdir() if path.suffix != ".json") == ["precious"]


KILLED = """
import io, os, sys
from pathlib import Path
from toolkit.artifacts.local import LocalArtifactStore
from toolkit.errors import ArtifactUnavailable
from toolkit.recording.spool import Spool
from toolkit.tracking.sql import SqlRunStore
class Away(LocalArtifactStore):
    def put_file(self, key, source): raise ArtifactUnavailable("away")
home, run_id = Path(sys.argv[1]), sys.argv[2]
runs = SqlRunStore(f"sqlite:///{home}/t.db", "file:///a")
spool = Spool(home / "spool", Away(home / "artifacts"), runs, place="here")
for number in range(10):
    path = f"{number}.txt"
    spool.put_stream(io.BytesIO(path.encode()), run_id=run_id, key=f"0/{run_id}/{path}", path=path)
os.kill(os.getpid(), 9)
"""


def test_kill_9_loses_no_file_that_was_logged(tmp_path: Path, artifacts: Away) -> None:
    store = SqlRunStore(f"sqlite:///{tmp_path}/t.db", "file:///a")
    run_id = add_run(store).info.run_id
    command = [sys.executable, "-c", KILLED, str(tmp_path), run_id]
    done = subprocess.run(command, check=False, timeout=300, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert send_left(tmp_path / "spool", artifacts, store, PLACE) == (10, 0)
    entries = store.list_artifacts(run_id).items
    assert [entry.path for entry in entries] == [f"{number}.txt" for number in range(10)]
    for entry in entries:
        artifacts.get_file(f"0/{run_id}/{entry.path}", tmp_path / "got", sha256=entry.sha256)
    store.update_run(run_id, status=RunStatus.FINISHED)
    store.close()


def test_a_forked_child_has_a_spool_of_its_own(spool: Spool, runs: MemoryRunStore, tmp_path: Path) -> None:
    run_id = add_run(runs).info.run_id
    put(spool, run_id, "parent", "parent.txt")
    spool.flush(10)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            put(spool, run_id, "child", "child.txt")
            status = spool.close(10)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (tmp_path / "artifacts" / "0" / run_id / "artifacts" / "child.txt").read_text() == "child"


def test_a_file_that_is_logged_again_is_sent_after_its_first_content(
    spool: Spool, artifacts: Away, runs: MemoryRunStore
) -> None:
    run_id = add_run(runs).info.run_id
    artifacts.gate = threading.Event()
    for number in range(40):
        put(spool, run_id, f"{number}", "same.txt")
        put(spool, run_id, "x", f"{number}.txt")
    artifacts.gate.set()
    spool.flush(10)
    (entry,) = runs.list_artifacts(run_id, prefix="same.txt").items
    with artifacts.open(f"0/{run_id}/artifacts/same.txt") as file:
        assert file.read() == b"39"
    assert entry.sha256 == hashlib.sha256(b"39").hexdigest()


def left_by_another(root: Path, artifacts: Away, runs: RunStore, run_id: str, *paths: str) -> Path:
    """Leave files as a process does whose store is away; return their folder."""
    artifacts.failure = ArtifactUnavailable("away")
    gone = Spool(root, artifacts, runs, place=PLACE)
    for path in paths:
        put(gone, run_id, f"{path} of old", path)
    before = set(root.iterdir())
    assert gone.close(0.1) == len(paths)
    artifacts.failure = None
    (folder,) = before
    return folder


def test_what_was_logged_later_is_not_replaced_by_what_an_earlier_process_left(
    artifacts: Away, runs: MemoryRunStore, tmp_path: Path
) -> None:
    root = tmp_path / "spool"
    run_id = add_run(runs).info.run_id
    left_by_another(root, artifacts, runs, run_id, "a.txt")
    artifacts.put_stream(f"0/{run_id}/artifacts/a.txt", io.BytesIO(b"new"))
    new = hashlib.sha256(b"new").hexdigest()
    runs.record_artifacts(run_id, [ArtifactEntry(path="a.txt", size=3, sha256=new, created=now_ms() + 1)])
    send_left(root, artifacts, runs, PLACE)
    with artifacts.open(f"0/{run_id}/artifacts/a.txt") as file:
        assert file.read() == b"new"
    assert list(root.iterdir()) == []


def test_a_script_sends_what_processes_that_are_gone_have_left(
    artifacts: Away, runs: MemoryRunStore, tmp_path: Path
) -> None:
    root = tmp_path / "spool"
    run_id = add_run(runs).info.run_id
    left_by_another(root, artifacts, runs, run_id, "a.txt")
    script = Spool(root, artifacts, runs, place=PLACE)
    put(script, run_id, "x", "b.txt")
    assert script.close(10) == 0
    assert listed(runs, run_id) == ["a.txt", "b.txt"]
    left_by_another(root, artifacts, runs, run_id, "c.txt")
    assert Spool(root, artifacts, runs, place=PLACE).close(10) == 0  # it logs no file itself
    assert listed(runs, run_id) == ["a.txt", "b.txt", "c.txt"]
    assert list(root.iterdir()) == []


def test_a_file_that_cannot_be_sent_keeps_only_itself_from_being_sent(
    artifacts: Away, runs: MemoryRunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "spool"
    run_id = add_run(runs).info.run_id
    left_by_another(root, artifacts, runs, run_id, "a.txt", "b.txt", "c.txt")
    put_file = artifacts.put_file

    def refuse_the_first(key: str, source: Path) -> StoredFile:
        if key.endswith("a.txt"):
            raise ArtifactError("a.txt may not be written")
        return put_file(key, source)

    with monkeypatch.context() as changed:
        changed.setattr(artifacts, "put_file", refuse_the_first)
        with pytest.raises(ArtifactError, match="may not be written"):
            send_left(root, artifacts, runs, PLACE)
    assert listed(runs, run_id) == ["b.txt", "c.txt"]
    assert send_left(root, artifacts, runs, PLACE) == (1, 0)


def test_what_was_damaged_while_it_waited_is_kept_aside_and_never_sent(
    artifacts: Away, runs: MemoryRunStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "spool"
    run_id = add_run(runs).info.run_id
    folder = left_by_another(root, artifacts, runs, run_id, "a.txt", "b.txt", "c.txt")
    (folder / "0").chmod(0o600)
    (folder / "0").write_text("changed")
    (folder / "1.json").unlink()
    (folder / "1.json").write_text("")
    with caplog.at_level(logging.WARNING):
        assert send_left(root, artifacts, runs, PLACE) == (1, 2)
    assert "is not what it was when it was logged" in caplog.text
    assert "does not say where its file belongs" in caplog.text
    assert [file.key for file in artifacts.list("0")] == [f"0/{run_id}/artifacts/c.txt"]
    kept = sorted(path.name for path in (root / "rejected").glob("*/*"))
    assert kept == ["0", "0.json", "1", "1.json"]
    assert [path.name for path in root.iterdir()] == ["rejected"]


def test_setting_aside_that_was_broken_off_is_finished(artifacts: Away, runs: MemoryRunStore, tmp_path: Path) -> None:
    root = tmp_path / "spool"
    folder = left_by_another(root, artifacts, runs, add_run(runs).info.run_id, "a.txt")
    aside = root / "rejected" / f"{folder.name}-0"
    aside.mkdir(parents=True)
    (folder / "0").rename(aside / "0")  # and there it was killed
    assert send_left(root, artifacts, runs, PLACE) == (0, 1)
    assert sorted(path.name for path in aside.iterdir()) == ["0", "0.json"]
    assert (aside / "0").read_text() == "a.txt of old"


def test_a_file_of_a_run_that_another_journal_brings_is_kept(
    artifacts: Away, runs: MemoryRunStore, tmp_path: Path
) -> None:
    root = tmp_path / "spool"
    coming = new_run()
    left_by_another(root, artifacts, runs, coming.run_id, "a.txt")
    left = SpoolLeftovers(root, artifacts, runs, PLACE, expected=lambda: True)
    left.send_all()
    assert (left.sent, left.refused) == (0, 0)
    live = Spool(root, artifacts, runs, place=PLACE, expected=lambda: True)
    put(live, coming.run_id, "x", "b.txt")
    with pytest.raises(NotAcknowledged, match="not found"):
        live.flush(0.2)
    runs.create_run(coming)
    assert live.close(10) == 0
    assert listed(runs, coming.run_id) == ["a.txt", "b.txt"]


def test_a_folder_that_was_just_made_is_not_taken_for_one_that_was_left(
    artifacts: Away, runs: MemoryRunStore, tmp_path: Path
) -> None:
    root = tmp_path / "spool"
    young, old = root / "4711-aa", root / "4711-bb"
    for folder in (young, old):
        folder.mkdir(parents=True)
        (folder / "0").write_text("not whole")
    os.utime(old, (0, 0))
    assert send_left(root, artifacts, runs, PLACE) == (0, 0)
    assert list(root.iterdir()) == [young]


def test_a_spool_that_cannot_be_made_is_an_error_of_artifacts(
    artifacts: Away, runs: MemoryRunStore, tmp_path: Path
) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(ArtifactError, match="the spool"):
        put(Spool(tmp_path / "spool", artifacts, runs, place=PLACE), new_run_id(), "x")


BESIDE = """
import sys, time
from pathlib import Path
from toolkit.artifacts.local import LocalArtifactStore
from toolkit.recording.spool_folder import SpoolLeftovers
from toolkit.tracking.memory import MemoryRunStore
root = Path(sys.argv[1])
end = time.monotonic() + 3
print("go", flush=True)
while time.monotonic() < end:
    SpoolLeftovers(root, LocalArtifactStore(root.parent / "artifacts"), MemoryRunStore(), "here").send_all()
"""


def test_spools_are_made_while_another_process_sends_what_was_left(
    artifacts: Away, runs: MemoryRunStore, tmp_path: Path
) -> None:
    run_id = add_run(runs).info.run_id
    root = tmp_path / "spool"
    root.mkdir()
    with subprocess.Popen([sys.executable, "-c", BESIDE, str(root)], stdout=subprocess.PIPE) as beside:
        assert beside.stdout is not None
        beside.stdout.readline()
        made = 0
        while beside.poll() is None:
            spool = Spool(root, artifacts, runs, place=PLACE)
            put(spool, run_id, "x", f"{made}.txt")
            assert spool.close(10) == 0
            made += 1
    assert beside.returncode == 0
    assert len(listed(runs, run_id)) == made
    assert not (root / "rejected").exists()
