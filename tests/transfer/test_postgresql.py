"""PostgreSQL on either side: MLflow's database to read, and ours to write."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from everything import everything
from made_by_mlflow import MadeByMlflow, opened_at
from postgres import Server
from sqlalchemy import MetaData, create_engine, text

from toolkit.db.url import read_url
from toolkit.recording.stores import Stores
from toolkit.tracking.records import Lifecycle
from toolkit.transfer.export import Exporter, Selection
from toolkit.transfer.importer import Importer
from toolkit.transfer.opening import open_source
from toolkit.transfer.outcome import Imported, Wanted


@pytest.fixture
def in_postgresql(postgres_server: Server, database: MadeByMlflow) -> Iterator[str]:
    """MLflow's database, copied into PostgreSQL with the types that MLflow gives its columns there."""
    name = postgres_server.new_database()
    url = postgres_server.url(name)
    source, target = create_engine(database.uri), create_engine(read_url(url))
    tables = MetaData()
    tables.reflect(source)
    with source.connect() as reading, target.begin() as writing:
        for table in tables.sorted_tables:
            table.constraints = {one for one in table.constraints if type(one).__name__ == "PrimaryKeyConstraint"}
            for column in table.columns:
                column.server_default = None
                column.foreign_keys = set()
                column.autoincrement = False
        tables.create_all(writing)
        for table in tables.sorted_tables:
            rows = [dict(row._mapping) for row in reading.execute(table.select())]
            if rows:
                writing.execute(table.insert(), rows)
    source.dispose()
    target.dispose()
    yield url
    postgres_server.drop(name)


def take(stores: Stores, uri: str, artifacts_from: tuple[str, ...] = ()) -> Imported:
    source = open_source(uri, artifacts_from)
    try:
        return Importer(stores, source, Wanted()).run()
    finally:
        source.close()


def comparable(stores: Stores) -> dict[str, Any]:
    found = everything(stores)
    for experiment in found.values():
        experiment.pop("artifact_location")
        experiment.pop("last_update_time")
    found["0"].pop("creation_time")
    return found


@pytest.fixture
def ours(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    """Our stores, with their database in PostgreSQL."""
    monkeypatch.setenv("TOOLKIT_TRACKING_URI", postgres_url)
    with opened_at(tmp_path / "pg home") as opened:
        yield opened


def test_mlflow_in_postgresql_is_the_same_as_in_sqlite(
    stores: Stores, in_postgresql: str, database: MadeByMlflow, tmp_path: Path
) -> None:
    done = take(stores, in_postgresql, database.artifacts_from)
    assert done.failures == []
    assert [row for row in done.source.rows(done.target) if row[1] != row[2]] == []
    assert re.search(r"schema \w+", done.title)
    assert "sesame" not in done.title, "the password"
    with opened_at(tmp_path / "other") as other:
        take(other, database.uri, database.artifacts_from)
        assert comparable(other) == comparable(stores)


def test_mlflows_database_is_not_written_to(in_postgresql: str) -> None:
    source = open_source(in_postgresql)
    with source._engine.connect() as connection, pytest.raises(Exception, match="read-only"):  # type: ignore[attr-defined]
        connection.execute(text("DELETE FROM metrics"))
    source.close()


def test_into_postgresql_and_out_again(ours: Stores, database: MadeByMlflow, tmp_path: Path) -> None:
    done = take(ours, database.uri, database.artifacts_from)
    assert done.failures == []
    assert [row for row in done.source.rows(done.target) if row[1] != row[2]] == []
    made = ours.runs.create_experiment("made here")
    assert made.experiment_id == "4", "the ids that were brought are not given out again"
    Exporter(ours, tmp_path / "out", Selection()).export()
    digests = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in (tmp_path / "out").glob("*.jsonl")}
    Exporter(ours, tmp_path / "again", Selection()).export()
    assert digests == {
        path.name: hashlib.sha256(path.read_bytes()).digest() for path in (tmp_path / "again").glob("*.jsonl")
    }


def test_purging_in_postgresql(ours: Stores, database: MadeByMlflow) -> None:
    take(ours, database.uri, database.artifacts_from)
    gone = ours.runs.find_experiment("gone")
    assert gone is not None
    runs = [run_id for one in database.expected.values() for run_id, run in one["runs"].items()]
    random.Random(7).shuffle(runs)
    for run_id in runs:
        if ours.runs.get_run(run_id).info.lifecycle_stage is Lifecycle.ACTIVE:
            ours.runs.update_run(run_id, lifecycle=Lifecycle.DELETED)
    assert set(ours.runs.purge(run_ids=runs, experiment_ids=[gone.experiment_id])) == {*runs, gone.experiment_id}
    assert all(not one["runs"] for one in everything(ours).values())
