"""The contract of artifact stores, over each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.artifacts.filesystem import FilesystemObjects
from toolkit.artifacts.local import LocalArtifactStore
from toolkit.artifacts.location import open_artifact_store
from toolkit.artifacts.remote import RemoteArtifactStore
from toolkit.artifacts.s3 import S3Objects
from toolkit.artifacts.s3_options import S3Options
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


class TestMemory(ArtifactStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        return open_artifact_store(f"memory://{tmp_path.name}/some/root")


class TestFilesystemThatRenames(ArtifactStoreContract):
    """As SFTP does: fsspec's own view of a local folder, which the product does not use."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        from fsspec.implementations.local import LocalFileSystem

        root = str(tmp_path / "root")
        objects = FilesystemObjects(lambda: LocalFileSystem(skip_instance_cache=True), root)
        return RemoteArtifactStore(f"file://{root}", root, objects)
