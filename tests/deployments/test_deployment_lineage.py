"""From data to what serves, and back: lineage through Bentos and deployments, on both databases and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from server import serving

from toolkit.db.engine import Database, open_database
from toolkit.deployments.records import Bento, DeploymentState, ReleaseState
from toolkit.deployments.sql import SqlDeploymentStore
from toolkit.registry import http_lineage
from toolkit.registry.lineage import Direction, Edge, Key, Kind, Lineage, Relation
from toolkit.registry.sql import SqlRegistryStore
from toolkit.registry.sql_lineage import read_lineage
from toolkit.testing.deployment_store import new_deployment, new_release, serve
from toolkit.testing.registry_store import new_version
from toolkit.testing.runs import add_run
from toolkit.tracking.records import Dataset, DatasetInput
from toolkit.tracking.sql import SqlRunStore
from toolkit.transport.client import HttpClient


@dataclass(frozen=True)
class Made:
    """What there is.

    d1 → train → wine/1 and wine/2; d2 → again → wine/3. In prod wine/2 serves, wine/1 did; in shadow wine/3 serves.
    wine/2 was refused in shadow; in gone, which was deleted, wine/1 served. A Bento of wine/3 serves nowhere.
    """

    database: Database
    train: str
    again: str
    prod: str
    shadow: str
    gone: str

    def asked(self, kind: Kind, name: str, direction: Direction) -> Lineage:
        return read_lineage(self.database, Key(kind, name), direction, depth=50)

    def serving(self, digest: str) -> set[tuple[str, str]]:
        """Say which Bentos that saw data serve, and in which deployments."""
        found = self.asked(Kind.DATASET, digest, Direction.DOWN)
        return {(each.source.id, each.target.id) for each in found.edges if each.relation is Relation.SERVES}

    def served(self, digest: str) -> set[tuple[str, str]]:
        found = self.asked(Kind.DATASET, digest, Direction.DOWN)
        return {(each.source.id, each.target.id) for each in found.edges if each.relation is Relation.SERVED}


def made(database: Database) -> Made:
    runs, registry = SqlRunStore(database, "file:///artifacts/"), SqlRegistryStore(database)
    deployments = SqlDeploymentStore(database)
    train, again = (add_run(runs, run_name=name).info.run_id for name in ("train", "again"))
    for run_id, digest in ((train, "d1"), (again, "d2")):
        dataset = Dataset(name="wine", digest=digest, source_type="local", source="wine.csv")
        runs.log_inputs(run_id, [DatasetInput(dataset=dataset)])
    registry.create_model("wine")
    for run_id in (train, train, again):
        registry.create_version(new_version(run_id=run_id))
    of = {1: {"run_id": train}, 2: {"run_id": train}, 3: {"run_id": again}}
    prod, shadow, gone = (deployments.create(new_deployment(name)) for name in ("prod", "shadow", "gone"))
    serve(deployments, prod, 1, **of[1])
    serve(deployments, prod, 2, **of[2])
    serve(deployments, shadow, 3, **of[3])
    refused = deployments.begin_release(new_release(shadow, 2, **of[2])).number
    deployments.change_release(shadow.id, refused, state=ReleaseState.REFUSED)
    serve(deployments, gone, 1, **of[1])
    deployments.change(gone.id, state=DeploymentState.DELETED)
    deployments.remember_bento(Bento(tag="wine-large:3", digest="9" * 64, model="wine", version=3, run_id=again))
    return Made(database, train, again, prod.id, shadow.id, gone.id)


@pytest.fixture(params=["sqlite", "postgres"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/toolkit.db" if sqlite else request.getfixturevalue("postgres_emptied_url")
    database = open_database(url)
    yield made(database)
    database.close()


def test_which_serving_versions_saw_a_file(there: Made) -> None:
    """Not those that were refused, or that serve no longer."""
    assert there.serving("d1") == {("wine:2", there.prod)}
    assert there.serving("d2") == {("wine:3", there.shadow)}
    assert there.served("d1") == {("wine:1", there.prod), ("wine:1", there.gone)}
    assert there.served("d2") == set()


def test_what_a_deployment_saw(there: Made) -> None:
    found = there.asked(Kind.DEPLOYMENT, there.prod, Direction.UP)
    prod, wine1, wine2 = Key(Kind.DEPLOYMENT, there.prod), Key(Kind.BENTO, "wine:1"), Key(Kind.BENTO, "wine:2")
    train = Key(Kind.RUN, there.train)
    assert found.edges == [
        Edge(wine1, prod, Relation.SERVED, "release 1"),
        Edge(wine2, prod, Relation.SERVES, "release 2"),
        Edge(Key(Kind.VERSION, "wine/1"), wine1, Relation.BUILT),
        Edge(Key(Kind.VERSION, "wine/2"), wine2, Relation.BUILT),
        Edge(train, Key(Kind.VERSION, "wine/1"), Relation.MADE),
        Edge(train, Key(Kind.VERSION, "wine/2"), Relation.MADE),
        Edge(Key(Kind.DATASET, "d1"), train, Relation.USED),
    ]
    assert [(node.name, node.state) for node in found.nodes[:2]] == [("prod", "serving"), ("wine:1", "")]
    assert found.whole


def test_what_became_of_a_version(there: Made) -> None:
    found = there.asked(Kind.VERSION, "wine/3", Direction.DOWN)
    assert [node.key.id for node in found.nodes] == ["wine/3", "wine-large:3", "wine:3", there.shadow]
    assert there.asked(Kind.BENTO, "wine:2", Direction.DOWN).edges == [
        Edge(Key(Kind.BENTO, "wine:2"), Key(Kind.DEPLOYMENT, there.prod), Relation.SERVES, "release 2")
    ]


def test_a_version_that_was_deleted_still_serves(there: Made) -> None:
    """What it saw is known all the same, by its run; also where another model has the name of its model now."""
    registry = SqlRegistryStore(there.database)
    registry.delete_version("wine", 2)
    assert there.serving("d1") == {("wine:2", there.prod)}
    registry.delete_model("wine")
    registry.create_model("wine")
    for _ in range(3):
        registry.create_version(new_version(run_id=there.again))
    assert there.serving("d1") == {("wine:2", there.prod)}
    assert there.serving("d2") == {("wine:3", there.shadow)}
    built = [
        each
        for each in there.asked(Kind.DEPLOYMENT, there.prod, Direction.UP).edges
        if each.relation is Relation.BUILT and each.target.id == "wine:2"
    ]
    train = Key(Kind.RUN, there.train)
    assert built == [Edge(train, Key(Kind.BENTO, "wine:2"), Relation.BUILT, "wine/2")]


def test_a_model_that_was_renamed_still_serves(there: Made) -> None:
    SqlRegistryStore(there.database).update_model("wine", new_name="vin")
    assert there.serving("d1") == {("wine:2", there.prod)}
    built = there.asked(Kind.BENTO, "wine:2", Direction.UP).edges[0]
    assert built.source == Key(Kind.VERSION, "vin/2")


def test_what_serves_no_longer(there: Made) -> None:
    """Of a deployment that was stopped, or has failed, nothing serves."""
    deployments = SqlDeploymentStore(there.database)
    deployments.change(there.prod, state=DeploymentState.UPDATING)
    assert there.serving("d1") == {("wine:2", there.prod)}
    deployments.change(there.prod, state=DeploymentState.STOPPED)
    assert there.serving("d1") == set()
    assert ("wine:2", there.prod) in there.served("d1")


def test_a_server_tells_the_same(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as server:
        assert server.stores.database is not None
        there = made(server.stores.database)
        client = HttpClient(server.url)
        asked = ((Kind.DEPLOYMENT, there.prod), (Kind.BENTO, "wine:1"), (Kind.DATASET, "d1"), (Kind.VERSION, "wine/2"))
        for kind, name in asked:
            told = http_lineage.read_lineage(client, Key(kind, name), Direction.BOTH, depth=50)
            assert told == there.asked(kind, name, Direction.BOTH)
        client.close()
