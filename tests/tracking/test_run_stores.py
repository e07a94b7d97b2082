"""The contract of run stores, over each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.testing.run_store import RunStoreContract
from toolkit.tracking.memory import MemoryRunStore
from toolkit.tracking.sql import SqlRunStore
from toolkit.tracking.store import RunStore


class TestMemory(RunStoreContract):
    clock_of_its_own = False

    @pytest.fixture
    def store(self) -> RunStore:
        return MemoryRunStore()


class TestSqlite(RunStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[RunStore]:
        store = SqlRunStore(f"sqlite:///{tmp_path}/toolkit.db", "file:///artifacts/")
        yield store
        store.close()


class TestPostgres(RunStoreContract):
    @pytest.fixture
    def store(self, postgres_emptied_url: str) -> Iterator[RunStore]:
        store = SqlRunStore(postgres_emptied_url, "file:///artifacts/")
        yield store
        store.close()
