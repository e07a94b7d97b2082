"""Models are registered, moved, searched and copied by scripts: in a database, and through a server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from server import serving

import toolkit
from toolkit.client import MlflowClient
from toolkit.errors import AlreadyExists, ArtifactCorrupt, Conflict, InvalidValue, NotFound
from toolkit.recording import current
from toolkit.registry.catalog import catalog_of
from toolkit.tracking.logged_models import ModelStatus, NewLoggedModel
from toolkit.tracking.records import ArtifactEntry


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("served") / "home") as server:
        yield server.url


@pytest.fixture(params=["database", "server"])
def client(request: pytest.FixtureRequest, toolkit_home: Path, address: str) -> Iterator[MlflowClient]:
    if request.param == "server":
        toolkit.set_tracking_uri(address)
    yield MlflowClient()
    current.reset()
    toolkit.set_tracking_uri("")


def name_of(request: pytest.FixtureRequest) -> str:
    return str(request.node.name.translate(str.maketrans("[]", "--")))


@pytest.fixture
def name(request: pytest.FixtureRequest, client: MlflowClient) -> str:
    """A name that no other test of the server uses."""
    return name_of(request)


@pytest.fixture
def run_id(tmp_path: Path, client: MlflowClient) -> str:
    """A run with a folder that is a model, and one that is none."""
    (tmp_path / "model" / "data").mkdir(parents=True)
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}\n")
    (tmp_path / "model" / "data" / "weights").write_bytes(b"123")
    with toolkit.start_run(run_name="fit") as run:
        toolkit.log_artifacts(str(tmp_path / "model"), "deep/model")
        toolkit.log_text("no model", "notes/text.txt")
    return run.info.run_id


def logged(name: str, *, size: int = 3, digest: str | None = None, status: ModelStatus = ModelStatus.READY) -> str:
    """Make a logged model with two files; return its id."""
    stores = current.stores()
    models = catalog_of(stores).logged
    model = models.create_model(NewLoggedModel(experiment_id="0", name=name))
    folder = model.artifact_uri.removeprefix(stores.artifact_root).strip("/")
    for path, content in (("MLmodel", b"flavors: {}\n"), ("weights", b"123")):
        stored = stores.artifacts.put_stream(f"{folder}/{path}", io.BytesIO(content))
        told = ArtifactEntry(path=path, size=stored.size, sha256=stored.sha256)
        if path == "weights":
            told = replace(told, size=size, sha256=digest * 64 if digest else told.sha256)
        models.record_files(model.model_id, [told])
    models.finish_model(model.model_id, status)
    return model.model_id


def test_a_model_of_a_run_is_registered(client: MlflowClient, name: str, run_id: str) -> None:
    first = toolkit.register_model(f"runs:/{run_id}/deep/model", name, tags={"checked": True}, description="the first")
    assert (first.name, int(first.version), first.status, first.run_id) == (name, 1, "READY", run_id)
    assert (first.tags, first.description, first.source) == (
        {"checked": "True"},
        "the first",
        f"runs:/{run_id}/deep/model",
    )
    assert first.user_id
    place = toolkit.get_run(run_id).info.artifact_uri
    second = toolkit.register_model(f"{place}/deep/model", name)
    assert (int(second.version), second.run_id) == (2, run_id)
    assert client.get_model_version_download_uri(name, "2") == f"{place}/deep/model"
    third = toolkit.register_model(f"models:/{name}/1", name)
    assert (int(third.version), third.run_id) == (3, run_id)
    assert client.get_model_version_download_uri(name, 3) == f"{place}/deep/model"


def test_a_logged_model_is_registered(client: MlflowClient, name: str) -> None:
    model_id = logged(name)
    made = toolkit.register_model(f"models:/{model_id}", name)
    assert (made.model_id, made.source) == (model_id, f"models:/{model_id}")
    told = catalog_of(current.stores()).logged.get_model(model_id)
    assert told.tags["mlflow.modelVersions"] == f'[{{"name": "{name}", "version": 1}}]'
    assert client.get_model_version_download_uri(name, 1) == told.artifact_uri


def test_what_is_no_model_is_not_registered(client: MlflowClient, name: str, run_id: str, tmp_path: Path) -> None:
    """In one line that says what there is instead, and nothing is left behind."""
    for uri, kind, said in (
        (f"runs:/{run_id}/model", NotFound, r"run fit \(\w+\) has no model 'model': its models are deep/model"),
        (f"runs:/{run_id}/notes", NotFound, "has no model 'notes'"),
        (f"runs:/{'f' * 32}/model", NotFound, "Run with id=f+ not found"),
        ("runs:/", InvalidValue, "names no run"),
        (f"models:/m-{'0' * 32}", NotFound, "not found"),
        ("models:/nobody's/1", NotFound, "not found"),
        ("models:/a/b/c", InvalidValue, "Not a proper models:/ URI"),
        (str(tmp_path / "model"), InvalidValue, "is a folder of this machine"),
        ("", InvalidValue, "an empty text names no model"),
    ):
        with pytest.raises(kind, match=said) as failure:
            toolkit.register_model(uri, name)
        assert "\n" not in str(failure.value)
    with pytest.raises(InvalidValue, match="cannot contain"):
        toolkit.register_model(f"runs:/{run_id}/deep/model", "a/b")
    with pytest.raises(NotFound):
        client.get_registered_model(name)


def test_a_model_that_is_not_whole_is_not_registered(client: MlflowClient, name: str) -> None:
    pending, changed, other = logged(name, status=ModelStatus.FAILED), logged(name, size=4), logged(name, digest="0")
    with pytest.raises(Conflict, match="is FAILED: only a model whose files are all there"):
        toolkit.register_model(f"models:/{pending}", name)
    for model_id in (changed, other):
        with pytest.raises(ArtifactCorrupt, match="its file weights does not match the recorded SHA-256"):
            toolkit.register_model(f"models:/{model_id}", name)


def test_the_model_of_a_deleted_run_is_not_registered(client: MlflowClient, name: str, run_id: str) -> None:
    toolkit.delete_run(run_id)
    with pytest.raises(Conflict, match="was deleted: restore it"):
        toolkit.register_model(f"runs:/{run_id}/deep/model", name)


def test_a_client_does_what_mlflows_does(client: MlflowClient, name: str, run_id: str) -> None:
    """Under the same names, with numbers as numbers or as text."""
    made = client.create_registered_model(name, tags={"team": 1}, description="red")
    assert (made.name, made.tags, made.description) == (name, {"team": "1"}, "red")
    with pytest.raises(AlreadyExists):
        client.create_registered_model(name)
    with pytest.raises(NotFound):
        client.create_model_version("nobody's", f"runs:/{run_id}/deep/model", run_id)
    place = toolkit.get_run(run_id).info.artifact_uri
    for source in (f"{place}/deep/model", f"runs:/{run_id}/deep/model"):
        client.create_model_version(name, source, run_id, tags={"a": 1}, run_link="http://x")
    version = client.get_model_version(name, "1")
    assert (version.tags, version.run_link, version.current_stage) == ({"a": "1"}, "http://x", "None")
    client.set_registered_model_alias(name, "best", "1")
    client.set_registered_model_alias(name, "best", 2)
    assert int(client.get_model_version_by_alias(name, "best").version) == 2
    assert client.get_model_version(name, 2).aliases == ["best"]
    assert client.get_registered_model(name).aliases == {"best": 2}
    moved = client.transition_model_version_stage(name, 1, "production")
    assert moved.current_stage == "Production"
    client.transition_model_version_stage(name, "2", "Production", archive_existing_versions=True)
    assert [each.version for each in client.get_latest_versions(name, ["Archived"])] == [1]
    assert client.get_model_version_stages(name, 1) == ["None", "Staging", "Production", "Archived"]
    client.set_model_version_tag(name, 1, "b", 2)
    client.set_model_version_tag(name, key="c", value="3", stage="production")
    client.delete_model_version_tag(name, 1, "a")
    assert client.get_model_version(name, 1).tags == {"b": "2"}
    assert client.get_model_version(name, 2).tags == {"a": "1", "c": "3"}
    with pytest.raises(InvalidValue, match="either version or stage"):
        client.set_model_version_tag(name, key="c", value="3")
    assert client.update_model_version(name, 1, "good").description == "good"
    assert client.update_registered_model(name, "both").description == "both"
    client.set_registered_model_tag(name, "x", 1)
    client.delete_registered_model_tag(name, "team")
    renamed = client.rename_registered_model(name, f"{name} new")
    assert (renamed.tags, len(renamed.latest_versions)) == ({"x": "1"}, 2)
    name = renamed.name
    copied = client.copy_model_version(f"models:/{name}@best", f"{name} copy")
    assert (int(copied.version), copied.source, copied.tags, copied.aliases) == (
        1,
        f"models:/{name}/2",
        {"a": "1", "c": "3"},
        [],
    )
    with pytest.raises(InvalidValue, match="is no version"):
        client.copy_model_version(f"models:/m-{'0' * 32}", "x")
    client.delete_registered_model_alias(name, "best")
    client.delete_model_version(name, "2")
    with pytest.raises(NotFound):
        client.get_model_version(name, 2)
    client.delete_registered_model(name)
    with pytest.raises(NotFound):
        client.get_registered_model(name)


def test_searches(client: MlflowClient, name: str, run_id: str) -> None:
    for number in range(3):
        client.create_registered_model(f"{name} {number}", tags={"of": name})
        toolkit.register_model(f"runs:/{run_id}/deep/model", f"{name} {number}", tags={"of": name})
    toolkit.set_model_version_tag(f"{name} 1", 1, "seen", "yes")
    found = toolkit.search_registered_models(filter_string=f"tags.of = '{name}'", order_by=["name DESC"])
    assert [each.name for each in found] == [f"{name} {number}" for number in (2, 1, 0)]
    assert len(toolkit.search_registered_models(2, f"tags.of = '{name}'")) == 2
    page = client.search_registered_models(f"tags.of = '{name}'", 2)
    assert len(client.search_registered_models(f"tags.of = '{name}'", 2, page_token=page.token)) == 1
    versions = toolkit.search_model_versions(filter_string=f"run_id = '{run_id}' AND tags.seen = 'yes'")
    assert [each.name for each in versions] == [f"{name} 1"]
    assert len(client.search_model_versions(f"run_id = '{run_id}'", 2)) == 2
    with pytest.raises(InvalidValue):
        client.search_model_versions("nmae = 'x'")


def test_models_can_be_registered_elsewhere(client: MlflowClient, tmp_path: Path, run_id: str) -> None:
    """Where the registry's URI says; runs stay where they are."""
    elsewhere = f"sqlite:///{tmp_path}/registry.db"
    try:
        toolkit.set_registry_uri(elsewhere)
        toolkit.register_model(f"runs:/{run_id}/deep/model", "elsewhere")
        assert client.get_model_version("elsewhere", 1).run_id == run_id
    finally:
        toolkit.set_registry_uri("")
    with pytest.raises(NotFound):
        client.get_registered_model("elsewhere")
    own = MlflowClient(registry_uri=elsewhere)
    assert own.get_model_version_download_uri("elsewhere", 1).endswith("/deep/model")
