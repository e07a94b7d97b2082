"""Lineage, asked in both directions, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from server import serving
from sqlalchemy import event

from toolkit.db.engine import Database, open_database
from toolkit.errors import InvalidValue, NotFound
from toolkit.registry import http_lineage, lineage, sql_lineage
from toolkit.registry.lineage import Direction, Edge, Key, Kind, Relation
from toolkit.registry.sql import SqlRegistryStore
from toolkit.registry.sql_lineage import read_lineage
from toolkit.testing.registry_store import new_version
from toolkit.testing.runs import add_run
from toolkit.tracking.logged_models import ModelOutput, NewLoggedModel
from toolkit.tracking.records import Dataset, DatasetInput
from toolkit.tracking.sql import SqlRunStore
from toolkit.tracking.sql_logged_models import SqlLoggedModelStore
from toolkit.transport.client import HttpClient


@dataclass(frozen=True)
class Made:
    """What there is: data → train (a part of flow) → model → wine/1 and wine/2; other → train2 → wine/3."""

    database: Database
    flow: str
    train: str
    other: str
    model: str

    def asked(self, kind: Kind, name: str, direction: Direction, depth: int = 50) -> lineage.Lineage:
        return read_lineage(self.database, Key(kind, name), direction, depth=depth)

    def ids(self, kind: Kind, name: str, direction: Direction, depth: int = 50) -> list[str]:
        return [node.key.id for node in self.asked(kind, name, direction, depth).nodes]


def data(digest: str) -> DatasetInput:
    dataset = Dataset(name="wine", digest=digest, source_type="local", source="wine.csv")
    return DatasetInput(dataset=dataset, tags={"mlflow.data.context": "training", "more": "x"})


def made(database: Database) -> Made:
    runs, models, registry = (
        SqlRunStore(database, "file:///artifacts/"),
        SqlLoggedModelStore(database),
        SqlRegistryStore(database),
    )
    flow = add_run(runs, run_name="flow").info.run_id
    train = add_run(runs, run_name="train", parent_run_id=flow).info.run_id
    other = add_run(runs, experiment_id=runs.create_experiment("other").experiment_id).info.run_id
    runs.log_inputs(train, [data("d1"), data("d2")])
    runs.log_inputs(other, [data("d1")])  # the same file in another experiment
    model = models.create_model(NewLoggedModel(experiment_id="0", name="forest", source_run_id=train)).model_id
    models.log_outputs(train, [ModelOutput(model_id=model, step=1), ModelOutput(model_id=model, step=2)])
    models.log_inputs(other, [model])
    registry.create_model("wine")
    for _ in range(2):
        registry.create_version(new_version(run_id=train, model_id=model))
    registry.create_version(new_version(run_id=other))
    return Made(database, flow, train, other, model)


@pytest.fixture(params=["sqlite", "postgres"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/toolkit.db" if sqlite else request.getfixturevalue("postgres_emptied_url")
    database = open_database(url)
    yield made(database)
    database.close()


def test_what_a_version_comes_from(there: Made) -> None:
    found = there.asked(Kind.VERSION, "wine/1", Direction.UP)
    assert [node.key.id for node in found.nodes] == ["wine/1", there.model, there.train, "d1", "d2", there.flow]
    train, model = Key(Kind.RUN, there.train), Key(Kind.MODEL, there.model)
    assert found.edges == [
        Edge(model, Key(Kind.VERSION, "wine/1"), Relation.REGISTERED),
        Edge(train, model, Relation.MADE),
        Edge(Key(Kind.DATASET, "d1"), train, Relation.USED, "training"),
        Edge(Key(Kind.DATASET, "d2"), train, Relation.USED, "training"),
        Edge(Key(Kind.RUN, there.flow), train, Relation.CONTAINS),
    ]
    assert [(node.name, node.state) for node in found.nodes[:3]] == [
        ("wine version 1", "None"),
        ("forest", "PENDING"),
        ("train", "RUNNING"),
    ]
    assert found.whole


def test_which_versions_saw_a_file(there: Made) -> None:
    def versions(digest: str) -> set[str]:
        found = there.asked(Kind.DATASET, digest, Direction.DOWN)
        return {node.key.id for node in found.nodes if node.key.kind is Kind.VERSION}

    assert versions("d1") == {"wine/1", "wine/2", "wine/3"}
    assert versions("d2") == {"wine/1", "wine/2", "wine/3"}  # by the model that the third one's run used


def test_both_ways_from_a_run(there: Made) -> None:
    assert there.ids(Kind.RUN, there.other, Direction.BOTH) == [
        there.other,
        "d1",
        there.model,
        there.train,
        "d2",
        there.flow,
        "wine/3",
    ]


def test_only_so_far(there: Made) -> None:
    near = there.asked(Kind.VERSION, "wine/1", Direction.UP, depth=1)
    assert [node.key.id for node in near.nodes] == ["wine/1", there.model]
    assert not near.whole
    assert there.asked(Kind.VERSION, "wine/1", Direction.UP, depth=3).whole
    assert there.ids(Kind.VERSION, "wine/1", Direction.UP, depth=0) == ["wine/1"]


def test_what_was_deleted_is_left_out(there: Made) -> None:
    SqlRegistryStore(there.database).delete_version("wine", 3)
    assert "wine/3" not in there.ids(Kind.DATASET, "d1", Direction.DOWN)
    with pytest.raises(NotFound, match="there is no version wine/3"):
        there.asked(Kind.VERSION, "wine/3", Direction.UP)


def test_a_large_graph_is_cut_and_says_so(there: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "MOST_NODES", 3)
    found = there.asked(Kind.VERSION, "wine/1", Direction.UP)
    assert len(found.nodes) == 3
    assert not found.whole


def test_data_that_very_many_runs_used_is_cut_and_says_so(there: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    assert there.asked(Kind.DATASET, "d1", Direction.DOWN, depth=1).whole is False  # its runs made something
    whole = there.asked(Kind.DATASET, "d2", Direction.DOWN)
    assert whole.whole
    monkeypatch.setattr(sql_lineage, "MOST_EDGES", 1)
    cut = there.asked(Kind.DATASET, "d1", Direction.DOWN)
    assert not cut.whole
    assert len([edge for edge in cut.edges if edge.source == Key(Kind.DATASET, "d1")]) == 1
    assert "wine/1" in there.ids(Kind.VERSION, "wine/1", Direction.UP)
    assert "wine/2" in there.ids(Kind.VERSION, "wine/2", Direction.UP)  # the second of its model


def test_a_circle_ends(there: Made) -> None:
    """A run that uses the model that it makes."""
    SqlLoggedModelStore(there.database).log_inputs(there.train, [there.model])
    assert there.model in there.ids(Kind.RUN, there.train, Direction.BOTH)


def test_the_number_of_statements_does_not_grow_with_the_nodes(there: Made) -> None:
    counts = []
    for more in (0, 30):
        runs = SqlRunStore(there.database, "file:///artifacts/")
        for _ in range(more):
            runs.log_inputs(add_run(runs).info.run_id, [data("d1")])
        asked: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object, seen: list[str] = asked) -> None:
            seen.append(statement)

        event.listen(there.database.engine, "before_cursor_execute", note)
        there.asked(Kind.DATASET, "d1", Direction.DOWN)
        event.remove(there.database.engine, "before_cursor_execute", note)
        counts.append(len(asked))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("cat", "x", "wanted one of dataset, run, model, version, bento, deployment"),
        ("version", "wine", "wanted NAME/NUMBER"),
        ("run", "", "wanted an id"),
    ],
)
def test_what_names_nothing(kind: str, name: str, says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        Key.read(kind, name)


def test_steps_that_give_each_other_what_they_leave(there: Made) -> None:
    """By their parameters: one artifact, or a list of them; among the parts of a run."""
    runs = SqlRunStore(there.database, "file:///artifacts/")
    whole = add_run(runs, run_name="whole").info.run_id
    prepare, other = (add_run(runs, run_name=name, parent_run_id=whole).info.run_id for name in ("prepare", "other"))
    artifacts = f"[runs:/{prepare}/a.txt, runs:/{other}/b/c.txt]"
    given = {"data": f"runs:/{prepare}/data.csv", "all": artifacts, "own": "runs:", "title": "no runs:/at all"}
    train = add_run(runs, run_name="train", parent_run_id=whole, params=given).info.run_id
    stranger = add_run(runs, run_name="elsewhere", params={"data": f"runs:/{prepare}/data.csv"}).info.run_id
    gave = {
        (edge.source.id, edge.target.id, edge.detail)
        for edge in there.asked(Kind.RUN, train, Direction.UP).edges
        if edge.relation is Relation.GAVE
    }
    assert gave == {
        (prepare, train, "data: data.csv"),
        (prepare, train, "all: a.txt"),
        (other, train, "all: b/c.txt"),
    }
    assert train in there.ids(Kind.RUN, prepare, Direction.DOWN)
    assert train in there.ids(Kind.RUN, other, Direction.DOWN)
    assert stranger not in there.ids(Kind.RUN, prepare, Direction.DOWN)
    assert prepare in there.ids(Kind.RUN, stranger, Direction.UP)


def test_a_server_tells_the_same(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as server:
        assert server.stores.database is not None
        there = made(server.stores.database)
        client = HttpClient(server.url)
        for kind, name in ((Kind.VERSION, "wine/1"), (Kind.RUN, there.train), (Kind.DATASET, "d1")):
            told = http_lineage.read_lineage(client, Key(kind, name), Direction.BOTH, depth=50)
            assert told == there.asked(kind, name, Direction.BOTH)
        with pytest.raises(NotFound):
            http_lineage.read_lineage(client, Key(Kind.VERSION, "wine/9"), Direction.UP, depth=5)
        with pytest.raises(InvalidValue):
            http_lineage.read_lineage(client, Key(Kind.VERSION, "wine/1"), Direction.UP, depth=51)
        client.close()
