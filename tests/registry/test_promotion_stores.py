"""The contract of what guards moves, over each kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from server import serving

from toolkit.db.engine import Database, open_database
from toolkit.registry.http import HttpRegistryStore
from toolkit.registry.http_promotions import HttpPromotionStore
from toolkit.registry.sql import SqlRegistryStore
from toolkit.registry.sql_promotions import SqlPromotionStore
from toolkit.registry.store import PromotionStore, RegistryStore
from toolkit.testing.promotion_store import PromotionStoreContract
from toolkit.tracking.http import HttpRunStore
from toolkit.tracking.http_logged_models import HttpLoggedModelStore
from toolkit.tracking.logged_models import LoggedModelStore
from toolkit.tracking.sql import SqlRunStore
from toolkit.tracking.sql_logged_models import SqlLoggedModelStore
from toolkit.tracking.store import RunStore
from toolkit.transport.client import HttpClient


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
        database = open_database(f"sqlite:///{tmp_path}/toolkit.db", wait=240)
        yield database
        database.close()


class TestPostgres(_Sql):
    @pytest.fixture
    def database(self, postgres_emptied_url: str) -> Iterator[Database]:
        database = open_database(postgres_emptied_url, wait=240)
        yield database
        database.close()


class TestHttp(PromotionStoreContract):
    """A real server, on sockets, before a real database."""

    @pytest.fixture
    def runs(self, client: HttpClient) -> RunStore:
        return HttpRunStore(client)

    @pytest.fixture
    def models(self, client: HttpClient) -> LoggedModelStore:
        return HttpLoggedModelStore(client)

    @pytest.fixture
    def registry(self, client: HttpClient) -> RegistryStore:
        return HttpRegistryStore(client)

    @pytest.fixture
    def promotions(self, client: HttpClient) -> PromotionStore:
        return HttpPromotionStore(client)

    @pytest.fixture
    def client(self, tmp_path: Path) -> Iterator[HttpClient]:
        with serving(tmp_path / "home") as server:
            client = HttpClient(server.url)
            yield client
            client.close()
