"""Lookups in a large registry go by an index: no table is read from end to end, and nothing large is sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from toolkit.db.engine import Database, open_database
from toolkit.registry.history import Action, ChangeQuery
from toolkit.registry.promotion import RequestQuery, Target
from toolkit.registry.records import Stage
from toolkit.registry.sql import SqlRegistryStore
from toolkit.registry.sql_promotions import SqlPromotionStore
from toolkit.testing.registry_store import new_version
from toolkit.tracking.records import SearchQuery

Call = Callable[[SqlRegistryStore], object]
NOT_PROMPTS = "tag.`mlflow.prompt.is_prompt` != 'true'"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path}/toolkit.db")
    yield database
    database.close()


BEST = Target(alias="best")


def promotions(registry: SqlRegistryStore) -> SqlPromotionStore:
    """Return what guards the moves of a registry."""
    return SqlPromotionStore(registry._db)


def plans(database: Database, call: Call) -> list[str]:
    """Return the steps of the plans of all that a call asks for."""
    registry = SqlRegistryStore(database)
    registry.create_model("wine")
    registry.create_version(new_version())
    registry.set_alias("wine", "best", 1)
    asked: list[tuple[str, Any]] = []

    def note(connection: Connection, cursor: object, statement: str, values: Any, *_: object) -> None:  # noqa: ANN401
        if statement.startswith("SELECT"):
            asked.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    call(registry)
    event.remove(database.engine, "before_cursor_execute", note)
    assert asked
    with database.read() as connection:
        return [
            str(row[-1])
            for statement, values in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]


@pytest.mark.parametrize(
    "call",
    [
        lambda registry: registry.get_model("wine"),
        lambda registry: registry.latest_versions("wine", [Stage.PRODUCTION]),
        lambda registry: registry.get_version("wine", 1),
        lambda registry: registry.find_alias("wine", "best"),
        lambda registry: registry.needed_by("a" * 32),
        lambda registry: registry.search_models(SearchQuery(filter="name = 'wine'")),
        lambda registry: registry.search_models(SearchQuery(filter=f"name LIKE 'wi%' AND {NOT_PROMPTS}")),
        lambda registry: registry.search_versions(SearchQuery(filter="name = 'wine'")),
        lambda registry: registry.search_versions(SearchQuery(filter=f"run_id = '{'a' * 32}'")),
        lambda registry: registry.search_versions(
            SearchQuery(filter="name = 'wine'", order_by=["version_number DESC"])
        ),
        lambda registry: promotions(registry).history(ChangeQuery(name="wine")),
        lambda registry: promotions(registry).history(ChangeQuery(name="wine", actions=(Action.ALIAS,), key="best")),
        lambda registry: promotions(registry).history(ChangeQuery(name="wine", since=1, until=2)),
        lambda registry: promotions(registry).policies("wine"),
        lambda registry: promotions(registry).check("wine", 1, BEST),
        lambda registry: promotions(registry).requests(RequestQuery(name="wine")),
    ],
)
def test_no_table_is_read_from_end_to_end(database: Database, call: Call) -> None:
    """What is scanned are lists that came with the question."""
    scanned = [step for step in plans(database, call) if step.startswith("SCAN")]
    given = ("SCAN toolkit_schema", "SCAN stages", "SCAN CONSTANT ROW", "SCAN chosen")
    assert [step for step in scanned if "VIRTUAL TABLE" not in step and not step.startswith(given)] == []


@pytest.mark.parametrize(
    "query",
    [
        SearchQuery(filter="name = 'wine'"),
        SearchQuery(),
        SearchQuery(filter="name = 'wine'", order_by=["version_number DESC"]),
    ],
)
def test_pages_come_in_the_order_of_an_index(database: Database, query: SearchQuery) -> None:
    """Only what ties is sorted: the first page of 200,000 versions is as quick as that of ten."""
    assert "USE TEMP B-TREE FOR ORDER BY" not in plans(database, lambda registry: registry.search_versions(query))


def test_a_page_of_models_asks_as_much_as_one(database: Database) -> None:
    """Tags, aliases and latest versions of all models of a page come together."""
    registry = SqlRegistryStore(database)
    counts = []
    for number in range(3):
        registry.create_model(f"m{number}")
        registry.create_version(new_version(f"m{number}"))
        seen: list[str] = []

        def note(connection: Connection, cursor: object, statement: str, *_: object, seen: list[str] = seen) -> None:
            seen.append(statement)

        event.listen(database.engine, "before_cursor_execute", note)
        registry.search_models(SearchQuery())
        event.remove(database.engine, "before_cursor_execute", note)
        counts.append(len(seen))
    assert len(set(counts)) == 1
