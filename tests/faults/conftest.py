"""Where faults happen: a scene on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import gate
import postgres
import pytest
import scene


@pytest.fixture(params=["sqlite", "postgresql"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[scene.Scene]:
    """A scene on a database that is new."""
    kind: Literal["sqlite", "postgresql"] = request.param
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    made = scene.Scene(folder=tmp_path / "scene", url=url)
    yield made
    made.stop_all()


@pytest.fixture
def sqlite_stage(tmp_path: Path) -> Iterator[scene.Scene]:
    """A scene on SQLite."""
    made = scene.Scene(folder=tmp_path / "scene")
    yield made
    made.stop_all()


@pytest.fixture
def before_postgres(postgres_server: postgres.Server) -> Iterator[gate.Gate]:
    """A gate before PostgreSQL."""
    with gate.gate(postgres_server.port) as made:
        yield made


@pytest.fixture
def gated_stage(
    postgres_server: postgres.Server, postgres_url: str, before_postgres: gate.Gate, tmp_path: Path
) -> Iterator[scene.Scene]:
    """A scene on PostgreSQL, behind the gate."""
    url = postgres_url.replace(f":{postgres_server.port}/", f":{before_postgres.port}/")
    made = scene.Scene(folder=tmp_path / "scene", url=url, direct=postgres_url)
    yield made
    made.stop_all()
