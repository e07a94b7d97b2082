"""The database that our Prefect server begins with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from toolkit import settings
from toolkit.flows import prefect_database

MIGRATE = """
import asyncio
from prefect.server.database import provide_database_interface
asyncio.run(provide_database_interface().create_db())
"""


def migrate(home: Path) -> list[list[str]]:
    """Let Prefect make or bring up to date the database in a home of its own, and return what it then is.

    Its changes put the constraints of a table into any order, so that the lines of a statement are sorted.
    """
    environment = settings.environment(PREFECT_HOME=str(home), PYTHONWARNINGS=None)
    subprocess.run([sys.executable, "-c", MIGRATE], env=environment, check=True, capture_output=True)
    statements = prefect_database.dump(home / "prefect.db").split(";\n")
    return sorted(sorted(line.strip().rstrip(",") for line in statement.splitlines()) for statement in statements)


@pytest.mark.slow
def test_it_is_what_prefect_itself_makes(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    assert prefect_database.make(ours / "prefect.db", {})
    assert migrate(ours) == migrate(theirs)


def test_it_leaves_alone_what_is_there_and_what_is_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "prefect.db"
    elsewhere = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://db.example/prefect"}
    assert not prefect_database.make(file, elsewhere)
    assert not file.exists()
    file.write_text("precious")
    assert not prefect_database.make(file, {})
    assert file.read_text() == "precious"


@pytest.mark.parametrize("schema", ["-- nothing", "INSERT INTO \"alembic_version\" VALUES('ffffffffffff');", None])
def test_where_it_does_not_fit_prefect_makes_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: str | None
) -> None:
    file = tmp_path / "schema.sql"
    if schema is not None:
        file.write_text(schema)
    monkeypatch.setattr(prefect_database, "_SCHEMA", file)
    assert not prefect_database.make(tmp_path / "prefect.db", {})
    assert not (tmp_path / "prefect.db").exists()


def test_a_schema_that_sqlite_refuses_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "schema.sql"
    file.write_text(prefect_database._SCHEMA.read_text() + "CREATE NONSENSE;")
    monkeypatch.setattr(prefect_database, "_SCHEMA", file)
    assert not prefect_database.make(tmp_path / "prefect.db", {})
    assert [entry.name for entry in tmp_path.iterdir()] == ["schema.sql"]
