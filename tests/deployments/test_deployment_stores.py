"""The contract of where deployments are remembered, over each kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from server import serving

from toolkit.db.engine import Database, open_database
from toolkit.deployments.http import HttpDeploymentStore
from toolkit.deployments.sql import SqlDeploymentStore
from toolkit.deployments.store import DeploymentStore
from toolkit.registry.events import EventQuery
from toolkit.registry.http import HttpRegistryStore
from toolkit.registry.http_events import read_events as read_events_there
from toolkit.registry.http_promotions import HttpPromotionStore
from toolkit.registry.sql import SqlRegistryStore
from toolkit.registry.sql_events import read_events
from toolkit.registry.sql_promotions import SqlPromotionStore
from toolkit.registry.store import PromotionStore, RegistryStore
from toolkit.testing.deployment_store import DeploymentStoreContract, Events
from toolkit.transport.client import HttpClient


class _Sql(DeploymentStoreContract):
    @pytest.fixture
    def deployments(self, database: Database) -> DeploymentStore:
        return SqlDeploymentStore(database)

    @pytest.fixture
    def registry(self, database: Database) -> RegistryStore:
        return SqlRegistryStore(database)

    @pytest.fixture
    def promotions(self, database: Database) -> PromotionStore:
        return SqlPromotionStore(database)

    @pytest.fixture
    def events(self, database: Database) -> Events:
        return lambda name: read_events(database, EventQuery(name=name))


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


class TestHttp(DeploymentStoreContract):
    """A real server, on sockets, before a real database."""

    @pytest.fixture
    def deployments(self, client: HttpClient) -> DeploymentStore:
        return HttpDeploymentStore(client)

    @pytest.fixture
    def registry(self, client: HttpClient) -> RegistryStore:
        return HttpRegistryStore(client)

    @pytest.fixture
    def promotions(self, client: HttpClient) -> PromotionStore:
        return HttpPromotionStore(client)

    @pytest.fixture
    def events(self, client: HttpClient) -> Events:
        return lambda name: read_events_there(client, EventQuery(name=name))

    @pytest.fixture
    def client(self, tmp_path: Path) -> Iterator[HttpClient]:
        with serving(tmp_path / "home") as server:
            client = HttpClient(server.url)
            yield client
            client.close()
