"""The contract of search, over each kind of store; SQL by each way to a page."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from toolkit.db.effort import GivenUp
from toolkit.testing.run_store_search import SearchContract
from toolkit.tracking import sql_search_set, sql_search_walk
from toolkit.tracking.memory import MemoryRunStore
from toolkit.tracking.sql import SqlRunStore
from toolkit.tracking.store import RunStore


@contextlib.contextmanager
def no_patience(_connection: Connection, _milliseconds: int) -> Iterator[None]:
    """Give up before anything is read, as after a walk that took too long."""
    raise GivenUp
    yield


class TestMemory(SearchContract):
    @pytest.fixture
    def store(self) -> RunStore:
        return MemoryRunStore("file:///artifacts")


class TestSqlite(SearchContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[RunStore]:
        store = SqlRunStore(f"sqlite:///{tmp_path}/toolkit.db", "file:///artifacts")
        yield store
        store.close()


class TestSqliteFromFew(TestSqlite):
    """Where a walk takes long, and few runs are found."""

    @pytest.fixture(autouse=True)
    def without_walking(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sql_search_walk, "limited", no_patience)


class TestSqliteFromMany(TestSqliteFromFew):
    """Where a walk takes long, and many runs are found."""

    @pytest.fixture(autouse=True)
    def nothing_is_few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sql_search_set, "FEW", -1)
        monkeypatch.setattr(sql_search_set, "_RARE", -1)


class TestPostgres(SearchContract):
    @pytest.fixture
    def store(self, postgres_emptied_url: str) -> Iterator[RunStore]:
        store = SqlRunStore(postgres_emptied_url, "file:///artifacts")
        yield store
        store.close()


class TestPostgresFromFew(TestPostgres):
    """Where a walk takes long, and few runs are found."""

    @pytest.fixture(autouse=True)
    def without_walking(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sql_search_walk, "limited", no_patience)


class TestPostgresFromMany(TestPostgresFromFew):
    """Where a walk takes long, and many runs are found."""

    @pytest.fixture(autouse=True)
    def nothing_is_few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sql_search_set, "FEW", -1)
        monkeypatch.setattr(sql_search_set, "_RARE", -1)
