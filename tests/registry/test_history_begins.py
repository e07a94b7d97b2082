"""A registry that is older than the record of changes: the history begins with what is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.db.engine import Database, open_database
from toolkit.db.schema import upgrade
from toolkit.db.tables import metadata
from toolkit.registry.history import Author, ChangeQuery
from toolkit.registry.promotion import Target
from toolkit.registry.records import Stage
from toolkit.registry.sql import SqlRegistryStore
from toolkit.registry.sql_promotions import SqlPromotionStore


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of the schema before, with a model in use and one that was deleted."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/toolkit.db"
    else:
        server = request.getfixturevalue("postgres_server")
        url = server.url(server.new_database())
    database = open_database(url)
    models, versions = metadata.tables["registered_models"], metadata.tables["model_versions"]
    with database.write() as connection:
        upgrade(connection, database.place, "0005")
        for key, name, deleted in ((1, "beer", 9), (2, "wine", None)):
            row = {"id": key, "name": name, "created": 10 * key, "updated": 70, "deleted": deleted, "last_version": 2}
            connection.execute(models.insert().values(**row))
        for number, stage in ((1, "None"), (2, "Production")):
            row = {"id": number, "model": 2, "number": number, "source": f"s3://b/{number}", "location": "s3://b"}
            more = {"stage": stage, "status": "READY", "created": 40, "updated": 50, "user_id": "ada"}
            connection.execute(versions.insert().values(**row, **more))
        connection.execute(metadata.tables["model_aliases"].insert().values(model=2, alias="best", version=1))
    yield database
    database.close()


def test_history_begins_with_what_is_there(old: Database) -> None:
    promotions = SqlPromotionStore(old)
    changes = promotions.history(ChangeQuery(name="wine")).items
    assert sorted((change.action.value, change.version, change.key, change.old, change.new) for change in changes) == [
        ("alias", 1, "best", None, "1"),
        ("model.created", None, None, None, "wine"),
        ("stage", 2, None, "None", "Production"),
        ("version.created", 1, None, None, "s3://b/1"),
        ("version.created", 2, None, None, "s3://b/2"),
    ]
    assert {change.reason for change in changes} == {"found when the record of changes began"}
    assert {change.user for change in changes if change.action.value == "version.created"} == {"ada"}
    assert promotions.history(ChangeQuery(name="beer")).items == []
    held = promotions.held("wine")
    assert (held.aliases, held.stages) == ({"best": 1}, {2: Stage.PRODUCTION})
    assert promotions.held("wine", 45).stages == {}
    SqlRegistryStore(old).set_alias("wine", "best", 2)
    promotions.acting(Author(reason="no")).rollback("wine", Target(alias="best"))
    assert promotions.held("wine").aliases == {"best": 1}
