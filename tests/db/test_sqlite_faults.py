"""What can go wrong under an SQLite file, for real: locks of other processes, a disk that is full."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from toolkit.db.engine import open_database
from toolkit.errors import StoreBusy
from toolkit.testing.runs import add_run
from toolkit.tracking.records import RunStatus
from toolkit.tracking.sql import SqlRunStore

ROOT = "file:///artifacts"

_HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode=NORMAL")
connection.execute(f"BEGIN {sys.argv[2]}")
connection.execute("SELECT count(*) FROM runs").fetchall()
print("held", flush=True)
time.sleep(float(sys.argv[3]))
"""


@contextmanager
def held(path: Path, kind: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold a lock."""
    argv = [sys.executable, "-c", _HOLD, str(path), kind, str(seconds)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
def test_another_processs_lock_is_waited_for_and_then_told(tmp_path: Path, kind: str) -> None:
    """In WAL mode even an exclusive lock stops no reader."""
    path = tmp_path / "runs.db"
    patient = SqlRunStore(open_database(f"sqlite:///{path}", wait=20), ROOT)
    quick = SqlRunStore(open_database(f"sqlite:///{path}", wait=0.3), ROOT)
    run_id = add_run(patient).info.run_id
    with held(path, kind, 60) as holder:
        begun = time.monotonic()
        with pytest.raises(StoreBusy, match="longer than the configured wait"):
            quick.log_batch(run_id, tags={"a": "1"})
        assert 0.25 < time.monotonic() - begun < 10
        assert quick.get_run(run_id).info.status is RunStatus.RUNNING
        holder.kill()  # its lock goes with it
        patient.log_batch(run_id, tags={"a": "2"})
    with held(path, kind, 0.4):
        patient.log_batch(run_id, tags={"a": "3"})
    assert patient.get_run(run_id).data.tags["a"] == "3"
    for store in (patient, quick):
        store._db.close()


def test_a_long_reader_stops_no_writer(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    store = SqlRunStore(open_database(f"sqlite:///{path}", wait=1), ROOT)
    run_id = add_run(store).info.run_id
    with held(path, "DEFERRED", 60):
        for number in range(50):
            store.log_batch(run_id, tags={"a": str(number)})
    assert store.get_run(run_id).data.tags["a"] == "49"
    store._db.close()


# Runs in a mount namespace of its own, on a file system of a few megabytes.
_FULL = """
import json, os, subprocess, sys
from pathlib import Path
place = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], check=True)
from toolkit.errors import StoreError
from toolkit.testing.runs import add_run
from toolkit.tracking.sql import SqlRunStore
store = SqlRunStore(f"sqlite:///{place}/runs.db", "file:///a")
run_id = add_run(store).info.run_id
acknowledged, refused = [], []
def log(number):
    try:
        store.log_batch(run_id, tags={f"t{number}/{part}": "x" * 5000 for part in range(8)})
        acknowledged.append(number)
    except StoreError as error:
        refused.append(str(error))
filler = place / "filler"
filler.write_bytes(b"x" * 1_500_000)
for number in range(400):
    log(number)
    if len(refused) == 3:
        break
before = len(acknowledged)
readable = len(store.get_run(run_id).data.tags)
filler.unlink()
for number in range(1000, 1010):
    log(number)
tags = store.get_run(run_id).data.tags
there = sorted({int(key[1:].partition("/")[0]) for key in tags if key.startswith("t")})
whole = all(sum(key.startswith(f"t{number}/") for key in tags) == 8 for number in there)
store.close()
import sqlite3
sound = sqlite3.connect(place / "runs.db").execute("PRAGMA integrity_check").fetchone()[0]
print(json.dumps({"before": before, "acknowledged": acknowledged, "refused": refused, "there": there, "whole": whole,
                  "readable": readable, "sound": sound}))
"""


def test_a_full_disk_loses_nothing_and_work_goes_on_with_space(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if os.geteuid() != 0 or unshare is None:
        pytest.skip("a small file system needs root and unshare")
    probe = ["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if subprocess.run([unshare, "--mount", *probe], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount a tmpfs, even in a namespace")
    done = subprocess.run(
        [unshare, "--mount", sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["before"] > 3
    assert len(told["refused"]) == 3
    assert all("space" in text or "full" in text for text in told["refused"]), told["refused"]
    assert told["there"] == sorted(told["acknowledged"]), "all that was acknowledged, and nothing else"
    assert set(range(1000, 1010)) <= set(told["acknowledged"])
    assert told["whole"]
    assert told["readable"] >= 8 * told["before"]
    assert told["sound"] == "ok"


def test_a_copy_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    from toolkit.db.backup import back_up
    from toolkit.errors import NotFound

    database = open_database(f"sqlite:///{tmp_path}/runs.db")
    with pytest.raises(NotFound):
        back_up(database, tmp_path / "copy.db")
    store = SqlRunStore(database, ROOT)
    run_id = add_run(store).info.run_id
    for number in range(20):
        store.log_batch(run_id, tags={f"t{number}/{part}": "x" * 5000 for part in range(10)})
    import resource

    from toolkit.errors import StoreError

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(StoreError, match="cannot be backed up"):
            back_up(database, tmp_path / "copy.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [path.name for path in tmp_path.iterdir() if "copy" in path.name]
    assert back_up(database, tmp_path / "copy.db") > 200_000
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert copy.execute("SELECT count(*) FROM tags WHERE key LIKE 't%'").fetchone()[0] >= 200
    copy.close()
    database.close()
