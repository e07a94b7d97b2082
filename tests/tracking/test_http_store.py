"""The contract of run stores over HTTP: a real server, on sockets, before a real database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from server import serving

from toolkit.testing.run_store import RunStoreContract
from toolkit.testing.run_store_search import SearchContract
from toolkit.tracking.http import HttpRunStore
from toolkit.tracking.store import RunStore
from toolkit.transport.client import HttpClient


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with serving(tmp_path / "home") as server:
        store = HttpRunStore(HttpClient(server.url))
        yield store
        store.close()


class TestHttp(RunStoreContract):
    pass


class TestHttpSearch(SearchContract):
    pass
