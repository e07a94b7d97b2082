"""The contract of search, over each kind of store; SQL both from few runs and along its indices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.testing.run_store_search import SearchContract
from toolkit.tracking import sql_search_walk
from toolkit.tracking.memory import MemoryRunStore
from toolkit.tracking.sql import SqlRunStore
from toolkit.tracking.store import RunStore


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


class TestSqliteAlongItsIndices(TestSqlite):
    """As in a store so large that nothing is few."""

    @pytest.fixture(autouse=True)
    def nothing_is_few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sql_search_walk, "TRIED_MS", 10_000)


class TestPostgres(SearchContract):
    @pytest.fixture
    def store(self, postgres_url: str) -> Iterator[RunStore]:
        store = SqlRunStore(postgres_url, "file:///artifacts")
        yield store
        store.close()


class TestPostgresAlongItsIndices(TestPostgres):
    """As in a store so large that nothing is few."""

    @pytest.fixture(autouse=True)
    def nothing_is_few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sql_search_walk, "TRIED_MS", 10_000)
