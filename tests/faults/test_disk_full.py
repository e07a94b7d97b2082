"""A disk is full: the script goes on and is told, what was taken is whole, and all goes on when there is space."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import scene
import small_disk

from toolkit.tracking.records import RunQuery, RunStatus


@pytest.fixture(autouse=True)
def can_be_mounted() -> None:
    if reason := small_disk.why_not():
        pytest.skip(reason)


@contextmanager
def on_small_disk(stage: scene.Scene, what: str, size: str) -> Iterator[small_disk.SmallDisk]:
    """Put the home, or only the database, on a small disk for a block. What is on it is copied at the end."""
    stage.artifacts = str(stage.folder / "artifacts")
    folder = stage.home if what == "home" else stage.folder / "data"
    if what == "database":
        stage.url = f"sqlite:///{folder}/toolkit.db"
    with small_disk.small_disk(folder, size) as disk:
        stage.prefix = disk.prefix
        yield disk
        stage.stop_all()
        disk.copy(folder)
    stage.prefix = ()


@pytest.mark.parametrize("what", ["home", "database"])
def test_a_full_disk_loses_nothing_that_was_taken(sqlite_stage: scene.Scene, what: str) -> None:
    """G14. The database's disk, with its WAL; and with the journal on the same one."""
    with on_small_disk(sqlite_stage, what, "16m") as disk:
        training = sqlite_stage.train(scene.chance().randrange(10**6), "--no-reads")
        training.until_more(50)
        disk.fill()
        training.until_more(150)
        while "logging goes on" not in training.stderr:
            training.until_more(1)
        disk.free()
        training.until_more(20)
        assert training.end() == 0, training.stderr
        assert training.stderr.count("there is no space left for the database") == 1
        assert "Traceback" not in training.stderr
        assert "what is logged now is lost" not in training.stderr
    database = (sqlite_stage.home if what == "home" else sqlite_stage.folder / "data") / "toolkit.db"
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    if sqlite_stage.unsent():
        sqlite_stage.sync()
    assert sqlite_stage.compare(left_open="FINISHED") == training.calls


def test_kill_9_on_a_full_disk_loses_nothing_that_was_taken(sqlite_stage: scene.Scene) -> None:
    """G5, G14. The journal has its space beforehand."""
    with on_small_disk(sqlite_stage, "home", "16m") as disk:
        training = sqlite_stage.train(scene.chance().randrange(10**6), "--no-reads")
        training.until_more(50)
        disk.fill()
        training.until_more(150)
        training.kill()
        full = sqlite_stage.toolkit("sync")
        assert full.returncode != 0
        assert "no space left" in full.stderr
        assert len(full.stderr.strip().splitlines()) == 1
        disk.free()
        sqlite_stage.sync()
    assert sqlite_stage.compare() == training.calls


LARGE = """
import pathlib, time
text = 'x' * 5000
with toolkit.start_run(run_name='large'):
    for number in range(1500):
        toolkit.log_param(f'p{number}', text)
    pathlib.Path('full').touch()
    while not pathlib.Path('freed').exists(): time.sleep(0.02)
    for number in range(1500, 1600):
        toolkit.log_param(f'p{number}', text)
"""


def test_a_journal_whose_disk_is_full_says_so_before_and_drops_the_newest(sqlite_stage: scene.Scene) -> None:
    """G4, G14. The store is away, and what is logged fills the disk under the journal."""
    stage = sqlite_stage
    stage.artifacts, stage.url = str(stage.folder / "artifacts"), f"sqlite:///{stage.folder}/data/toolkit.db"
    with small_disk.small_disk(stage.home, "4m") as disk:
        assert stage.toolkit("runs", "list").returncode == 0
        other = sqlite3.connect(stage.folder / "data" / "toolkit.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        stage.prefix = disk.prefix
        process = stage.start_script(LARGE, TOOLKIT_BUSY_TIMEOUT="0.2")
        scene.until((stage.folder / "full").exists, process)
        other.execute("COMMIT")
        other.close()
        (stage.folder / "freed").touch()
        _, told = process.communicate(timeout=scene.PATIENCE)
        assert process.returncode == 0, told
        stage.prefix = ()
    lines = told.splitlines()
    before = next(number for number, line in enumerate(lines) if "is nearly full" in line)
    after = next(number for number, line in enumerate(lines) if "what is logged now is lost" in line)
    assert before < after
    assert "No space left on device" in lines[after]
    with stage.stores() as stores:
        (run,) = stores.runs.list_runs(RunQuery()).items
        assert run.info.status is RunStatus.FINISHED
        kept = sorted(int(key[1:]) for key in run.data.params)
        first_lost = next(number for number in range(1600) if number not in set(kept))
        assert 100 < first_lost < 1500
        lost = 1600 - len(kept)
        assert f"{lost} logged entries were lost" in lines[-1]
        assert set(run.data.params.values()) == {"x" * 5000}


STRICT = """
import pathlib, time
toolkit.start_run(strict=True)
pathlib.Path('begun').touch()
while not pathlib.Path('full').exists(): time.sleep(0.02)
for number in range(2000):
    toolkit.log_param(f'p{number}', 'x' * 5000)
"""


def test_strict_raises_that_the_disk_is_full(sqlite_stage: scene.Scene) -> None:
    """G4, G14."""
    with on_small_disk(sqlite_stage, "home", "16m") as disk:
        process = sqlite_stage.start_script(STRICT)
        scene.until((sqlite_stage.folder / "begun").exists, process)
        disk.fill()
        (sqlite_stage.folder / "full").touch()
        _, told = process.communicate(timeout=scene.PATIENCE)
        assert process.returncode == 1
        last = [line for line in told.splitlines() if line.startswith("toolkit.errors.StoreError")]
        assert last
        assert "there is no space left for the database: free some and try again" in last[-1]
        disk.free()
        again = sqlite_stage.script("with toolkit.start_run(strict=True): toolkit.log_param('a', 1)")
        assert again.returncode == 0, again.stderr


FILES = """
import pathlib, time
with toolkit.start_run():
    toolkit.log_text('before', 'before.txt')
    pathlib.Path('begun').touch()
    while not pathlib.Path('full').exists(): time.sleep(0.02)
    toolkit.log_text('lost' * 1000, 'lost.txt')
    toolkit.log_metric('m', 1)
    pathlib.Path('done').touch()
    while not pathlib.Path('freed').exists(): time.sleep(0.02)
    toolkit.log_text('after', 'after.txt')
"""


def test_a_file_that_has_no_space_is_told_and_the_script_goes_on(sqlite_stage: scene.Scene) -> None:
    """G4, G7, G14. What is listed is whole."""
    folder: Path = sqlite_stage.folder
    with small_disk.small_disk(sqlite_stage.home, "16m") as disk:
        sqlite_stage.prefix = disk.prefix
        process = sqlite_stage.start_script(FILES)
        for seen, act, mark in (("begun", disk.fill, "full"), ("done", disk.free, "freed")):
            scene.until((folder / seen).exists, process)
            act()
            (folder / mark).touch()
        _, told = process.communicate(timeout=scene.PATIENCE)
        assert process.returncode == 0, told
        assert "lost.txt" in told
        assert "Traceback" not in told
        disk.copy(sqlite_stage.home)
        sqlite_stage.prefix = ()
    with sqlite_stage.stores() as stores:
        (run,) = stores.runs.list_runs(RunQuery()).items
        listed = {entry.path: entry for entry in stores.runs.list_artifacts(run.info.run_id).items}
        assert set(listed) == {"before.txt", "after.txt"}
        assert run.data.metrics == {"m": 1.0}
        place = stores.artifacts_of(run.info)
        for path, entry in listed.items():
            place.store.get_file(place.key(path), folder / path, sha256=entry.sha256)
