"""Stores that MLflow made, and what MLflow itself read from them."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_by_mlflow import MadeByMlflow, opened_at
from peer import NO_MLFLOW, mlflow_python

from toolkit.recording.stores import Stores
from toolkit.settings import environment

DATA = Path(__file__).resolve().parents[1] / "data" / "mlflow"
PLACE = "file:///srv/mlflow"


@pytest.fixture
def stores(toolkit_home: Path) -> Iterator[Stores]:
    with opened_at(toolkit_home) as opened:
        yield opened


@pytest.fixture
def database(tmp_path: Path) -> MadeByMlflow:
    """MLflow's SQLite database, with its artifacts."""
    folder = tmp_path / "mlflow"
    shutil.copytree(DATA / "database", folder)
    connection = sqlite3.connect(folder / "mlflow.db")
    connection.executescript((folder / "mlflow.sql").read_text(encoding="utf-8"))
    connection.close()
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return MadeByMlflow(
        uri=f"sqlite:///{folder}/mlflow.db", artifacts_from=(f"{PLACE}={folder}",), expected=expected, folder=folder
    )


@pytest.fixture
def mlruns(tmp_path: Path) -> MadeByMlflow:
    """An ``mlruns`` folder that was moved after MLflow made it."""
    folder = tmp_path / "mlflow"
    shutil.copytree(DATA / "folder", folder)
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return MadeByMlflow(uri=str(folder / "mlruns"), artifacts_from=(), expected=expected, folder=folder)


@pytest.fixture
def live(tmp_path: Path) -> Callable[[str], MadeByMlflow]:
    """Lets MLflow make a store, if there is an interpreter that has it."""
    python = mlflow_python()
    if python is None:
        pytest.skip(NO_MLFLOW)

    def make(uri: str) -> MadeByMlflow:
        folder = tmp_path / "live"
        folder.mkdir()
        uri = uri.replace("FOLDER", str(folder))
        done = subprocess.run(
            [python, str(DATA / "make_store.py"), uri, str(folder)],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
        uri = uri.removeprefix("file://") if uri.startswith("file:") else uri
        return MadeByMlflow(uri=uri, artifacts_from=(), expected=expected, folder=folder)

    return make
