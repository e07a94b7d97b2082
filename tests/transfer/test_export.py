"""What goes out comes back: bit by bit, whole or not at all, also while others write and after kill -9."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from everything import everything
from made_by_mlflow import MadeByMlflow, opened_at

from toolkit.cli.main import main
from toolkit.errors import AlreadyExists, ArtifactCorrupt, Conflict, InvalidValue, NotFound
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.registry.catalog import catalog_of
from toolkit.settings import environment
from toolkit.testing.runs import START, add_run
from toolkit.tracking.records import Dataset, DatasetInput, Lifecycle, Metric, RunQuery, RunStatus
from toolkit.transfer.export import Exported, Exporter, Selection, _locked, check
from toolkit.transfer.importer import Importer
from toolkit.transfer.opening import open_source
from toolkit.transfer.outcome import Bytes, Imported, Wanted

ODD = (0.1, -0.0, 0.0, 5e-324, 1.7976931348623157e308, math.nan, math.inf, -math.inf, 1 / 3)


@pytest.fixture
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """Other stores, empty."""
    with opened_at(tmp_path_factory.mktemp("target")) as opened:
        yield opened


def fill(stores: Stores) -> str:
    """Put in what runs can have; return the id of the first run."""
    wine = stores.runs.create_experiment("wine", tags={"team": "røde 🍷"})
    parent = RecordedRun(stores, add_run(stores.runs, experiment_id=wine.experiment_id, run_name="ünï\n🍷"))
    points = [Metric(key="odd", value=value, timestamp=START + n, step=n) for n, value in enumerate(ODD)]
    points += [Metric(key="same", value=value, timestamp=START, step=2**53 + 1) for value in (3.0, 1.0, 2.0)]
    stores.runs.log_batch(parent.run_id, metrics=points, params={"a": "", "b": "line\nline"}, tags={"t": "ü"})
    data = Dataset(name="wine.csv", digest="d1", source_type="local", source="{}", schema=None, profile="{}")
    stores.runs.log_inputs(parent.run_id, [DatasetInput(dataset=data, tags={"mlflow.data.context": "training"})])
    parent.log_text("same bytes", "a/notes *.txt")
    parent.log_text("same bytes", "b")
    parent.log_bytes(b"", "empty")
    child = add_run(stores.runs, experiment_id=wine.experiment_id, parent_run_id=parent.run_id)
    stores.runs.update_run(child.info.run_id, status=RunStatus.FAILED, reason="timeout after 600 s", end_time=START + 9)
    dead = add_run(stores.runs, experiment_id=wine.experiment_id)
    stores.runs.update_run(dead.info.run_id, status=RunStatus.FINISHED, lifecycle=Lifecycle.DELETED)
    stores.runs.update_run(parent.run_id, status=RunStatus.FINISHED)
    for _ in range(2):  # two deleted experiments of one name, and an active one
        gone = stores.runs.create_experiment("gone")
        run = add_run(stores.runs, experiment_id=gone.experiment_id)
        stores.runs.update_run(run.info.run_id, status=RunStatus.KILLED)
        stores.runs.update_experiment(gone.experiment_id, lifecycle=Lifecycle.DELETED)
    stores.runs.create_experiment("gone")
    return parent.run_id


def export(stores: Stores, folder: Path, **selection: object) -> Exported:
    return Exporter(stores, folder, Selection(**selection)).export()  # type: ignore[arg-type]


def take(stores: Stores, folder: Path, **wanted: object) -> Imported:
    return Importer(stores, open_source(str(folder)), Wanted(**wanted)).run()  # type: ignore[arg-type]


def comparable(stores: Stores) -> dict[str, Any]:
    """Return everything but what belongs to the place, and to when something was changed there."""
    found = everything(stores)
    for experiment in found.values():
        experiment.pop("artifact_location")
        experiment.pop("last_update_time")
    found["0"].pop("creation_time")
    return found


def test_everything_comes_back(stores: Stores, target: Stores, tmp_path: Path) -> None:
    fill(stores)
    done = export(stores, tmp_path / "out")
    assert (done.experiments, done.runs, done.points, done.artifacts, done.failures) == (5, 5, 12, 3, [])
    assert len([file for file in (tmp_path / "out" / "artifacts").rglob("*") if file.is_file()]) == 2, "bytes once each"
    assert check(tmp_path / "out")["blobs"] == 2
    back = take(target, tmp_path / "out")
    assert back.failures == []
    assert comparable(target) == comparable(stores)
    assert take(target, tmp_path / "out").there == 5


def test_some_experiments_and_some_runs(stores: Stores, target: Stores, tmp_path: Path) -> None:
    run_id = fill(stores)
    assert export(stores, tmp_path / "one", experiment_ids=["1"]).runs == 3
    assert export(stores, tmp_path / "two", run_ids=[run_id]).runs == 1
    take(target, tmp_path / "two")
    assert [run.info.run_id for run in target.runs.list_runs(RunQuery(lifecycle=None)).items] == [run_id]


def test_without_artifacts(stores: Stores, target: Stores, tmp_path: Path) -> None:
    run_id = fill(stores)
    assert export(stores, tmp_path / "out", artifacts=False).artifacts == 0
    done = take(target, tmp_path / "out")
    assert done.notes == ["the export was made without artifacts"]
    assert target.runs.list_artifacts(run_id).items == []


def test_what_is_there_already_is_left_alone(stores: Stores, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    export(stores, folder)
    with pytest.raises(AlreadyExists, match="--force"):
        export(stores, folder)
    fill(stores)
    assert export(stores, folder, force=True).runs == 5
    assert check(folder)["files"]["runs.jsonl"]["lines"] == 5
    other = tmp_path / "photographs"
    other.mkdir()
    (other / "me.jpg").write_bytes(b"dear")
    with pytest.raises(NotFound, match="is no export"):
        export(stores, other, force=True)
    assert (other / "me.jpg").read_bytes() == b"dear"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photographs"]


def test_two_exports_to_one_place(stores: Stores, tmp_path: Path) -> None:
    (tmp_path / "out.partial").mkdir()
    with _locked(tmp_path / "out.partial"), pytest.raises(Conflict, match="another process exports"):
        export(stores, tmp_path / "out")


# -- digests -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["runs.jsonl", "metrics.jsonl", "artifacts.jsonl", "experiments.jsonl"])
def test_a_changed_list_is_refused(stores: Stores, target: Stores, tmp_path: Path, name: str) -> None:
    fill(stores)
    export(stores, tmp_path / "out")
    file = tmp_path / "out" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    for reading in (lambda: check(tmp_path / "out"), lambda: take(target, tmp_path / "out")):
        with pytest.raises(ArtifactCorrupt, match=name):
            reading()
    assert list(everything(target)) == ["0"]


def test_a_changed_artifact_is_found(
    stores: Stores, target: Stores, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = fill(stores)
    export(stores, tmp_path / "out")
    (entry,) = [one for one in stores.runs.list_artifacts(run_id).items if one.path == "b"]
    blob = tmp_path / "out" / "artifacts" / entry.sha256[:2] / entry.sha256
    blob.chmod(0o644)
    blob.write_text("other bytes")
    assert main(["export", "--check", str(tmp_path / "out")]) == 1
    assert entry.sha256 in capsys.readouterr().err
    done = take(target, tmp_path / "out")
    assert len(done.failures) == 2, "both files that have these bytes"
    assert [one.path for one in target.runs.list_artifacts(run_id).items] == ["empty"]
    assert [file.key for file in target.artifacts.list()] == [f"1/{run_id}/artifacts/empty"]


def test_a_missing_artifact_does_not_stop_the_export(stores: Stores, tmp_path: Path) -> None:
    run_id = fill(stores)
    stores.artifacts.delete(f"1/{run_id}/artifacts/b")
    done = export(stores, tmp_path / "out")
    assert done.artifacts + len(done.failures) == 3
    assert all(failure.startswith(f"run {run_id}: b: ") for failure in done.failures)
    assert check(tmp_path / "out")


def test_what_is_no_export_is_said(tmp_path: Path, stores: Stores) -> None:
    export(stores, tmp_path / "out")
    manifest = tmp_path / "out" / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(InvalidValue, match="version 2"):
        check(tmp_path / "out")
    manifest.unlink()
    with pytest.raises(InvalidValue, match="was not finished"):
        open_source(str(tmp_path / "out"))
    manifest.write_text(text)
    with pytest.raises(InvalidValue, match="copy or none"):
        take(stores, tmp_path / "out", artifacts=Bytes.REFERENCE)


# -- while others write ------------------------------------------------------------------------------


def test_writers_are_not_seen_in_half(stores: Stores, target: Stores, tmp_path: Path) -> None:
    """Each batch is a parameter and ten points: an export has both of a batch, or neither, over all runs."""
    runs = [add_run(stores.runs).info.run_id for _ in range(5)]
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            points = [Metric(key="m", value=1.0, timestamp=START, step=10 * number + step) for step in range(10)]
            stores.runs.log_batch(runs[number % 5], metrics=points, params={f"p{number}": "1"})
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        time.sleep(0.05)
        for attempt in range(3):
            export(stores, tmp_path / f"out{attempt}")
    finally:
        stop.set()
        writer.join()
    take(target, tmp_path / "out2")
    found = [target.runs.get_run(run_id) for run_id in runs]
    numbers = sorted(int(key[1:]) for run in found for key in run.data.params)
    assert numbers == list(range(len(numbers))), "one moment for all runs"
    for run in found:
        points = target.runs.metric_history(run.info.run_id, "m").items
        assert len(points) == 10 * len(run.data.params)


def test_a_file_that_is_replaced_meanwhile(stores: Stores, target: Stores, tmp_path: Path) -> None:
    """Its bytes and its digest belong together, whichever of the two it is."""
    run = RecordedRun(stores, add_run(stores.runs))
    run.log_text("before", "f")
    replaced: list[bool] = []

    def report(_: Exported) -> None:
        if not replaced:
            replaced.append(True)
            run.log_text("after", "f")

    assert Exporter(stores, tmp_path / "out", Selection(), report).export().failures == []
    check(tmp_path / "out")
    take(target, tmp_path / "out")
    with target.artifacts.open(f"0/{run.run_id}/artifacts/f") as file:
        assert file.read() == b"after"


# -- kill -9 -----------------------------------------------------------------------------------------


def kill_sometimes(command: list[str], home: Path, chance: random.Random, times: int, longest: float) -> None:
    """Run a command some times, and kill it each time after a while."""
    for _ in range(times):
        with subprocess.Popen(
            [sys.executable, "-m", "toolkit", *command],
            env=environment(TOOLKIT_HOME=str(home)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stderr
            process.stderr.readline()  # it has begun
            time.sleep(chance.uniform(0, longest))
            process.send_signal(signal.SIGKILL)


def seeded() -> random.Random:
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print(f"SEED={seed}")
    return random.Random(seed)


def many(stores: Stores, count: int = 60) -> None:
    for number in range(count):
        run = RecordedRun(stores, add_run(stores.runs, run_name=f"r{number}", params={"n": str(number)}))
        points = [Metric(key=key, value=step / 3, timestamp=START, step=step) for key in "ab" for step in range(200)]
        stores.runs.log_batch(run.run_id, metrics=points)
        run.log_text(f"content {number}", "f.txt")
        stores.runs.update_run(run.run_id, status=RunStatus.FINISHED)


def test_an_export_that_is_killed_leaves_nothing_half(stores: Stores, toolkit_home: Path, tmp_path: Path) -> None:
    many(stores)
    folder = tmp_path / "out"
    chance = seeded()
    for _ in range(4):
        kill_sometimes(["export", str(folder)], toolkit_home, chance, 1, 0.6)
        if folder.exists():
            check(folder)
            shutil.rmtree(folder)
    assert export(stores, folder).artifacts == 60
    assert check(folder)["blobs"] == 60
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_import_that_is_killed_can_go_on(stores: Stores, target: Stores, toolkit_home: Path, tmp_path: Path) -> None:
    many(stores)
    fill(stores)
    export(stores, tmp_path / "out")
    home = target.home
    kill_sometimes(["import", str(tmp_path / "out")], home, seeded(), 4, 0.5)
    done = take(target, tmp_path / "out")
    assert done.failures == []
    assert [row for row in done.source.rows(done.target) if row[1] != row[2]] == []
    assert comparable(target) == comparable(stores)


def test_an_import_from_mlflow_that_is_killed_can_go_on(
    stores: Stores, target: Stores, toolkit_home: Path, database: MadeByMlflow
) -> None:
    """As if it had never been stopped."""
    command = ["import", database.uri, "--artifacts-from", *database.artifacts_from]
    kill_sometimes(command, toolkit_home, seeded(), 4, 0.3)
    for home in (stores, target):
        done = Importer(home, open_source(database.uri, database.artifacts_from), Wanted()).run()
        assert done.failures == []
    assert comparable(stores) == comparable(target)


# -- the commands ------------------------------------------------------------------------------------


def test_the_commands(stores: Stores, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = fill(stores)
    assert main(["export", str(tmp_path / "out"), "-x", "wine"]) == 0
    told = capsys.readouterr()
    assert "1 experiments, 3 runs, 12 points, 3 artifacts" in told.out
    assert "not exported" not in told.err
    assert main(["export", str(tmp_path / "out"), "--run", run_id[:8], "--force", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["runs"], shown["artifacts"], shown["failures"]) == (1, 3, [])
    assert main(["export", str(tmp_path / "out"), "--check"]) == 0
    assert "is whole" in capsys.readouterr().out
    assert main(["import", str(tmp_path / "out")]) == 0
    assert main(["export", str(tmp_path / "out")]) == 2
    catalog_of(stores).registered.create_model("wine")
    capsys.readouterr()
    assert main(["export", str(tmp_path / "out"), "--force"]) == 0
    assert "not exported: logged models and the registry" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "nowhere"), "--check"]) == 2
