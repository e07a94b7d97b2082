"""From URIs to stores; and where a run's artifacts are."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.artifacts.local import LocalArtifactStore
from toolkit.artifacts.location import Elsewhere, below_root, open_artifact_store, shown
from toolkit.artifacts.remote import RemoteArtifactStore
from toolkit.errors import ArtifactError, InvalidSetting, InvalidValue
from toolkit.testing.artifact_store import put, read


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("simplecache::s3://bucket/x", "is a chain"),
        ("zip://x.zip::s3://bucket/x", "is a chain"),
        ("s3://bucket::file:///etc", "is a chain"),
        ("reference://x", "is no place"),
        ("simplecache://x", "is no place"),
        ("http://169.254.169.254/x", "is no place"),
        ("github://a:b@c/x", "has credentials"),
        ("ftp://user:secret@host/x", "has credentials"),
        ("s3://key@bucket/x", "has credentials"),
        ("s3://bucket/x?versionId=1", "has a '[?]' in it"),
        ("s3://bucket/x#y", "has a '#' in it"),
        ("s3://bucket/../x", "an empty, '.' or '..' part"),
        ("s3://bucket//x", "an empty, '.' or '..' part"),
        ("s3://bucket/a\\b", "a backslash"),
        ("s3://", "names no bucket"),
        ("nope://x", "unknown scheme 'nope'"),
        ("gs://bucket/x", "pip install 'toolkit.gcs.'"),
        ("abfs://box@account.dfs.core.windows.net/x", "pip install 'toolkit.azure.'"),
        ("sftp://host/x", "needs a package that is not installed: .*paramiko"),
    ],
)
def test_uris_that_are_no_roots(uri: str, words: str) -> None:
    with pytest.raises(InvalidSetting, match=words) as error:
        open_artifact_store(uri)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_secrets_are_not_shown() -> None:
    assert shown("s3://key:secret@bucket/x") == "s3://***@bucket/x"
    assert shown("s3://bucket/x@y") == "s3://bucket/x@y"


@pytest.mark.parametrize(
    ("uri", "root", "wanted"),
    [
        ("s3://bucket/a/0/run/artifacts", "s3://bucket/a", "0/run/artifacts"),
        ("s3://bucket/a/0/run/artifacts/", "s3://bucket/a/", "0/run/artifacts"),
        ("s3://bucket/ab/0", "s3://bucket/a", None),
        ("s3://bucket/a", "s3://bucket/a", None),
        ("/data/mlruns/0/run/artifacts", "file:///data/mlruns", "0/run/artifacts"),
        ("file:/data/mlruns/0", "file:///data/mlruns", "0"),
        ("file:///data/ml%20runs/0", "file:///data/ml%20runs", "0"),
        ("/data/mlruns2/0", "file:///data/mlruns", None),
        ("memory:/0/run", "file:///data", None),
    ],
)
def test_what_is_below_a_root(uri: str, root: str, wanted: str | None) -> None:
    assert below_root(uri, root) == wanted


def test_a_run_elsewhere_is_read_where_it_is(tmp_path: Path) -> None:
    """A folder that is read gets nothing of ours; each place is opened once."""
    folder = tmp_path / "mlruns" / "0" / "r1" / "artifacts"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "MLmodel").write_text("flavors: {}")
    elsewhere = Elsewhere()
    for uri in (str(folder), folder.as_uri()):
        place = elsewhere.place(uri, "r1")
        assert read(place.store, place.key("model/MLmodel")) == b"flavors: {}"
    assert elsewhere.place(str(folder), "r1").store is elsewhere.place(str(folder), "r1").store
    assert [path.name for path in (tmp_path / "mlruns" / "0").iterdir()] == ["r1"]
    for path in ("../../r2/artifacts/x", "/etc/passwd", ""):
        with pytest.raises(InvalidValue):
            place.key(path)
    put(place.store, place.key("new"), b"new")
    assert (folder / "new").read_bytes() == b"new"


def test_only_trusted_places_are_opened_where_that_is_asked_for(tmp_path: Path) -> None:
    elsewhere = Elsewhere(trusted=[(tmp_path / "in").as_uri()])
    assert isinstance(elsewhere.place(str(tmp_path / "in" / "0" / "r1" / "artifacts"), "r1").store, LocalArtifactStore)
    for uri in (str(tmp_path / "in2"), "/etc", f"{tmp_path}/in/../out", "s3://bucket/x", "http://x/", ""):
        with pytest.raises((ArtifactError, InvalidSetting)):
            elsewhere.place(uri, "r1")


def test_what_lies_behind_mlflows_server_is_said() -> None:
    with pytest.raises(ArtifactError, match="behind an MLflow server: import the run with a copy"):
        Elsewhere().place("mlflow-artifacts:/0/r1/artifacts", "r1")


def test_nothing_is_asked_of_a_bucket_that_is_opened() -> None:
    store = open_artifact_store("s3a://bucket/some prefix")
    assert isinstance(store, RemoteArtifactStore)
    assert store.root == "s3a://bucket/some prefix"
