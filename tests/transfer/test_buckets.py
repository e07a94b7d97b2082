"""Artifacts in a bucket: of MLflow's runs, and of ours."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from made_by_mlflow import MadeByMlflow, opened_at
from s3 import aws, bucket, s3_endpoint

from toolkit.artifacts.location import StoreOptions, close_store, open_artifact_store
from toolkit.artifacts.s3_options import S3Options
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.testing.runs import add_run
from toolkit.tracking.records import Lifecycle, RunStatus
from toolkit.transfer.export import Exporter, Selection, check
from toolkit.transfer.importer import Importer
from toolkit.transfer.opening import open_source
from toolkit.transfer.outcome import Bytes, Wanted
from toolkit.upkeep.collector import Collector
from toolkit.upkeep.garbage import Collection

__all__ = ["aws", "bucket", "s3_endpoint"]


def first_run(database: MadeByMlflow) -> str:
    runs = {run["name"]: run_id for one in database.expected.values() for run_id, run in one["runs"].items()}
    return str(runs["first, ünï 🍷"])


@pytest.fixture(autouse=True)
def at_moto(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the settings name the tests' own S3."""
    monkeypatch.setenv("TOOLKIT_S3_ENDPOINT_URL", aws)


@pytest.fixture
def in_bucket(database: MadeByMlflow, bucket: str, aws: str) -> MadeByMlflow:
    """MLflow's store, with its artifacts in a bucket."""
    place = f"s3://{bucket}/mlflow"
    store = open_artifact_store(place, StoreOptions(s3=S3Options(endpoint_url=aws)))
    for file in (database.folder / "artifacts").rglob("*"):
        if file.is_file():
            store.put_file(file.relative_to(database.folder).as_posix(), file)
    close_store(store)
    connection = sqlite3.connect(database.folder / "mlflow.db")
    with connection:
        connection.execute(f"UPDATE runs SET artifact_uri = replace(artifact_uri, 'file:///srv/mlflow', '{place}')")
    connection.close()
    return MadeByMlflow(uri=database.uri, artifacts_from=(), expected=database.expected, folder=database.folder)


@pytest.mark.parametrize("how", [Bytes.COPY, Bytes.REFERENCE])
def test_mlflows_bucket_is_read(at_moto: None, stores: Stores, in_bucket: MadeByMlflow, how: Bytes) -> None:
    done = Importer(stores, open_source(in_bucket.uri, (), stores.elsewhere), Wanted(artifacts=how)).run()
    assert done.failures == []
    run = stores.runs.get_run(first_run(in_bucket))
    entries = {entry.path: entry.size for entry in stores.runs.list_artifacts(run.info.run_id).items}
    assert entries == {"notes.txt": 6, "empty.bin": 0, "sub dir/100% [a]+ü.txt": 6}
    assert run.info.artifact_uri.startswith("s3:") == (how is Bytes.REFERENCE)
    place = stores.artifacts_of(run.info)
    with place.store.open(place.key("sub dir/100% [a]+ü.txt")) as file:
        assert file.read() == "wëird".encode()


def test_runs_by_reference_are_exported_with_their_bytes_and_never_collected(
    at_moto: None, stores: Stores, in_bucket: MadeByMlflow, tmp_path: Path
) -> None:
    source = open_source(in_bucket.uri, (), stores.elsewhere)
    Importer(stores, source, Wanted(artifacts=Bytes.REFERENCE)).run()
    assert Exporter(stores, tmp_path / "out", Selection()).export().failures == []
    assert check(tmp_path / "out")["blobs"] == 3
    info = stores.runs.get_run(first_run(in_bucket)).info
    place = stores.artifacts_of(info)
    stores.runs.update_run(info.run_id, lifecycle=Lifecycle.DELETED)
    found = Collector(stores, Collection(remove=True, run_ids=[info.run_id])).collect()
    assert (found.runs.count, found.outside.count, found.artifacts.count) == (1, 1, 0)
    assert len(list(place.store.list(place.folder))) == 3


def test_our_bucket_is_exported_imported_and_collected(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACT_ROOT", f"s3://{bucket}/ours")
    with opened_at(tmp_path / "home") as stores:
        kept, dead = (RecordedRun(stores, add_run(stores.runs)) for _ in range(2))
        for run in (kept, dead):
            run.log_text("content", "a *.txt")
            stores.runs.update_run(run.run_id, status=RunStatus.FINISHED)
        stores.artifacts.put_file(f"0/{kept.run_id}/artifacts/torn", Path(__file__))
        Exporter(stores, tmp_path / "out", Selection()).export()
        stores.runs.update_run(dead.run_id, lifecycle=Lifecycle.DELETED)
        time.sleep(1.1)  # a bucket's clock shows seconds
        found = Collector(stores, Collection(remove=True, lease_ms=0)).collect()
        assert (found.runs.count, found.artifacts.count, found.orphans.count, found.failures) == (1, 1, 1, [])
        assert [file.key for file in stores.artifacts.list()] == [f"0/{kept.run_id}/artifacts/a *.txt"]
        done = Importer(stores, open_source(str(tmp_path / "out")), Wanted()).run()
        assert (done.new, done.there, done.failures) == (1, 1, [])
        assert len(list(stores.artifacts.list())) == 2
