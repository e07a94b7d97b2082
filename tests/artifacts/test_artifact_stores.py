"""The contract of artifact stores, over each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.artifacts.local import LocalArtifactStore
from toolkit.artifacts.store import ArtifactStore
from toolkit.testing.artifact_store import ArtifactStoreContract


class TestLocal(ArtifactStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        return LocalArtifactStore(tmp_path / "artifact root")
