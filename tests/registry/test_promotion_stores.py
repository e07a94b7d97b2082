"""The contract of what guards moves, over each kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.db.engine import Database, open_database
from toolkit.registry.sql import SqlRegistryStore
from toolkit.registry.sql_promotions import SqlPromotionStore
from toolkit.registry.store import PromotionStore, RegistryStore
from toolkit.testing.promotion_store import PromotionStoreContract
from toolkit.tracking.logged_models import LoggedModelStore
from toolkit.tracking.sql import SqlRunStore
from toolkit.tracking.sql_logged_models import SqlLoggedModelStore
from toolkit.tracking.store import RunStore


class _Sql(PromotionStoreContract):
    @pytest.fixture(autouse=True)
    def runs(self, database: Database) -> RunStore:
        return SqlRunStore(database, "file:///artifacts/")

    @pytest.fixture
    def models(self, database: Database) -> LoggedModelStore:
        return SqlLoggedModelStore(database)

    @pytest.fixture
    def registry(self, database: Database) -> RegistryStore:
        return SqlRegistryStore(database)

    @pytest.fixture
    def promotions(self, database: Database) -> PromotionStore:
        return SqlPromotionStore(database)


class TestSqlite(_Sql):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Iterator[Database]:
        database = open_database(f"sqlite:///{tmp_path}/toolkit.db")
        yield database
        database.close()


class TestPostgres(_Sql):
    @pytest.fixture
    def database(self, postgres_emptied_url: str) -> Iterator[Database]:
        database = open_database(postgres_emptied_url)
        yield database
        database.close()
