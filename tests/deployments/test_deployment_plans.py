"""Lookups of deployments, and their lineage, go by an index: no table is read from end to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from toolkit.db.engine import Database, open_database
from toolkit.deployments.records import Deployment, DeploymentState
from toolkit.deployments.sql import SqlDeploymentStore
from toolkit.registry.lineage import Direction, Key, Kind
from toolkit.registry.sql import SqlRegistryStore
from toolkit.registry.sql_lineage import read_lineage
from toolkit.testing.deployment_store import new_deployment, new_release, serve
from toolkit.testing.registry_store import new_version

Call = Callable[[SqlDeploymentStore, Deployment], object]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path}/toolkit.db")
    yield database
    database.close()


def lineage(kind: Kind, name: str) -> Call:
    return lambda store, made: read_lineage(store._db, Key(kind, name or made.id), Direction.BOTH, depth=1)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda store, _: store.get("prod"), id="get"),
        pytest.param(lambda store, made: store.releases(made.id), id="releases"),
        pytest.param(lambda store, made: store.change(made.id, state=DeploymentState.UPDATING, release=1), id="change"),
        pytest.param(lambda store, made: store.change(made.id, state=DeploymentState.DELETED), id="delete"),
        pytest.param(lambda store, made: store.begin_release(new_release(made)), id="begin"),
        pytest.param(lambda store, made: store.change_release(made.id, 1, message="x"), id="change_release"),
        pytest.param(lineage(Kind.DEPLOYMENT, ""), id="lineage_of_deployment"),
        pytest.param(lineage(Kind.BENTO, "wine:1"), id="lineage_of_bento"),
        pytest.param(lineage(Kind.VERSION, "wine/1"), id="lineage_of_version"),
    ],
)
def test_no_table_is_read_from_end_to_end(database: Database, call: Call) -> None:
    """What is scanned are lists that came with the question."""
    registry, store = SqlRegistryStore(database), SqlDeploymentStore(database)
    registry.create_model("wine")
    registry.create_version(new_version())
    made = store.create(new_deployment())
    serve(store, made, 1)
    store.begin_release(new_release(made))
    asked: list[tuple[str, Any]] = []

    def note(connection: Connection, cursor: object, statement: str, values: Any, *_: object) -> None:  # noqa: ANN401
        if statement.startswith(("SELECT", "UPDATE")):
            asked.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    call(store, made)
    event.remove(database.engine, "before_cursor_execute", note)
    assert asked
    with database.read() as connection:
        scanned = [
            (str(row[-1]), statement)
            for statement, values in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            if str(row[-1]).startswith("SCAN") and "VIRTUAL TABLE" not in str(row[-1])
        ]
    assert scanned == []
