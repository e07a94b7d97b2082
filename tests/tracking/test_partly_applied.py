"""Entries of a journal, before a store that fails in their middle: what was refused by then is told all the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from server import serving

from toolkit.errors import Conflict, StoreError
from toolkit.testing.runs import new_run
from toolkit.tracking.entries import Entry, Logged
from toolkit.tracking.http import HttpRunStore
from toolkit.tracking.sql import SqlRunStore
from toolkit.tracking.store import RunStore
from toolkit.transport.client import HttpClient


@pytest.fixture(params=["sqlite", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunStore]:
    if request.param == "sqlite":
        ours = SqlRunStore(f"sqlite:///{tmp_path}/toolkit.db", "file:///artifacts")
        yield ours
        ours.close()
        return
    with serving(tmp_path) as server:
        theirs = HttpRunStore(HttpClient(server.url))
        yield theirs
        theirs.close()


def sql(tmp_path: Path, statement: str) -> None:
    with closing(sqlite3.connect(tmp_path / "toolkit.db")) as connection:
        connection.execute(statement)
        connection.commit()


def test_what_was_refused_before_the_store_failed_is_told(store: RunStore, tmp_path: Path) -> None:
    new = new_run(params={"p": "0"})
    store.create_run(new)
    refused = Logged(run_id=new.run_id, params={"p": "other"})
    entries: list[Entry | None] = [
        Logged(run_id=new.run_id, tags={"first": "1"}),
        refused,
        Logged(run_id=new.run_id, tags={"second": "1"}),
        Logged(run_id=new.run_id, tags={"third": "away"}),
    ]
    sql(
        tmp_path,
        "CREATE TRIGGER away BEFORE INSERT ON tags WHEN NEW.value = 'away' BEGIN SELECT json('{'); END",
    )
    with pytest.raises(StoreError) as failed:
        store.apply(entries, journal="j", first=0)
    (rejection,) = failed.value.rejections
    assert rejection.entry == refused
    assert isinstance(rejection.error, Conflict)
    assert failed.value.applied == 2
    sql(tmp_path, "DROP TRIGGER away")
    assert store.apply(entries, journal="j", first=0) == []
    tags = store.get_run(new.run_id).data.tags
    assert {key: tags.get(key) for key in ("first", "second", "third")} == {
        "first": "1",
        "second": "1",
        "third": "away",
    }
