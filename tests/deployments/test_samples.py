"""Samples of services: collected from this machine into the artifact store, and read from both."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from toolkit.artifacts.local import LocalArtifactStore
from toolkit.artifacts.store import ArtifactStore
from toolkit.deployments import samples
from toolkit.deployments.serving.sample_files import SampleFiles
from toolkit.errors import InvalidValue


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return LocalArtifactStore(tmp_path / "artifacts")


def leave(home: Path, release: int, numbers: range, *, whole: bool = True) -> None:
    """Leave a file of samples, as a service does."""
    files = SampleFiles(samples.folder_of(home, "wine", release))
    files.write([{"time": number, "inputs": {"n": number}, "output": -number} for number in numbers])
    if whole:
        files.close()
    elif files._file is not None:
        files._file.close()  # as the end of the process does


def numbers(home: Path, store: ArtifactStore, *, release: int = 1, limit: int = 1_000, since: int = 0) -> list[int]:
    found = samples.rows(home, store, "wine", release, limit=limit, since=since)
    return [row["inputs"]["n"] for row in found]


def test_rows_are_read_newest_first_before_and_after_they_are_collected(tmp_path: Path, store: ArtifactStore) -> None:
    leave(tmp_path, 1, range(3))
    leave(tmp_path, 1, range(3, 5))
    leave(tmp_path, 2, range(50, 51))
    leave(tmp_path, 1, range(5, 6), whole=False)
    assert numbers(tmp_path, store) == [5, 4, 3, 2, 1, 0]
    assert samples.waiting(tmp_path)
    assert samples.collect(tmp_path, store) == 3
    assert not samples.waiting(tmp_path), "what is written to is not collected yet"
    assert len(list(samples.folder_of(tmp_path, "wine", 1).iterdir())) == 1
    assert numbers(tmp_path, store) == [5, 4, 3, 2, 1, 0]
    assert numbers(tmp_path / "another machine", store) == [4, 3, 2, 1, 0]
    assert numbers(tmp_path, store, release=2) == [50]
    assert numbers(tmp_path, store, release=3) == []
    assert numbers(tmp_path, store, limit=3) == [5, 4, 3]
    assert numbers(tmp_path, store, since=3) == [5, 4, 3], "the others are of a deployment that had the name before"


def test_a_file_that_a_killed_process_left_is_collected_after_a_while(tmp_path: Path, store: ArtifactStore) -> None:
    leave(tmp_path, 1, range(3), whole=False)
    (file,) = samples.folder_of(tmp_path, "wine", 1).iterdir()
    with file.open("ab") as left:
        left.write(b'{"time": 9, "inputs": {"n"')  # it was killed in the middle of a line
    assert samples.collect(tmp_path, store) == 0
    long_ago = time.time() - samples.LEFT - 1
    os.utime(file, (long_ago, long_ago))
    assert samples.waiting(tmp_path)
    assert samples.collect(tmp_path, store) == 1
    assert numbers(tmp_path, store) == [2, 1, 0]


def test_several_may_collect_at_once(tmp_path: Path, store: ArtifactStore) -> None:
    for number in range(30):
        leave(tmp_path, 1, range(number, number + 1))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: samples.collect(tmp_path, store), range(4)))
    assert numbers(tmp_path, store) == [*range(29, -1, -1)]
    assert not list(samples.folder_of(tmp_path, "wine", 1).iterdir())


def test_what_is_no_sample_is_passed_over(tmp_path: Path, store: ArtifactStore) -> None:
    folder = samples.folder_of(tmp_path, "wine", 1)
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("hello")
    lines = ["", "no json", "[1]", "{}", '{"time": "x", "inputs": {}}', '{"time": 1, "inputs": [1]}', "\xff"]
    good = json.dumps({"time": 1, "inputs": {"n": 1}})
    (folder / "x.jsonl").write_text("\n".join([*lines, good]))
    assert numbers(tmp_path, store) == [1]
    assert samples.collect(tmp_path, store) == 1
    assert (folder / "notes.txt").exists()


def test_a_home_without_deployments_has_none(tmp_path: Path, store: ArtifactStore) -> None:
    assert not samples.waiting(tmp_path)
    assert samples.collect(tmp_path, store) == 0
    assert numbers(tmp_path, store) == []


def test_a_server_that_hands_artifacts_on_takes_none_and_they_stay(tmp_path: Path, store: ArtifactStore) -> None:
    class Server(LocalArtifactStore):
        """Only its root is a server's."""

    server = Server(tmp_path / "other")
    server.root = "mlflow-artifacts:/"
    leave(tmp_path, 1, range(3))
    with pytest.raises(InvalidValue, match="TOOLKIT_ARTIFACT_ROOT"):
        samples.collect(tmp_path, server)
    assert numbers(tmp_path, server) == [2, 1, 0]
    assert samples.collect(tmp_path, store) == 1
