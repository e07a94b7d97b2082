"""The artifact store of a server keeps the contract of all artifact stores: a real server, in a run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from server import serving

from toolkit.artifacts.proxy import ProxyArtifactStore
from toolkit.testing.artifact_store import ArtifactStoreContract
from toolkit.transport.client import HttpClient


class TestProxy(ArtifactStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[ProxyArtifactStore]:
        with serving(tmp_path / "home") as server:
            store = ProxyArtifactStore(HttpClient(server.url), f"0/{server.new_run()}/artifacts")
            yield store
            store.close()
