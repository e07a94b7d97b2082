"""The contract of artifact stores, over each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.artifacts.local import LocalArtifactStore
from toolkit.artifacts.remote import RemoteArtifactStore
from toolkit.artifacts.s3 import S3Objects
from toolkit.artifacts.s3_client import S3Options
from toolkit.artifacts.store import ArtifactStore
from toolkit.testing.artifact_store import ArtifactStoreContract


class TestLocal(ArtifactStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        return LocalArtifactStore(tmp_path / "artifact root")


class TestS3(ArtifactStoreContract):
    @pytest.fixture
    def store(self, bucket: str, aws: str) -> Iterator[ArtifactStore]:
        objects = S3Objects(bucket, S3Options(endpoint_url=aws))
        yield RemoteArtifactStore(f"s3://{bucket}/a prefix", "a prefix", objects)
        objects.close()
