"""Journeys with MLflow's own clients, the newest and the oldest of 2.x, each check of ``scripts/journey*.py`` a test.

With ``TEST_MLFLOW_SERVER=1`` MLflow's own server is asked the same, to see that what is wanted is MLflow's behaviour:
it fails those checks that say why ours differs, and no others.
"""

from __future__ import annotations

import ast
import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from peer import NO_MLFLOW, NO_OLD_MLFLOW, mlflow_python, old_mlflow_python
from process import server_process
from server import eventually

from toolkit.settings import environment

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parent / "scripts"
Lines = dict[str, dict[str, Any]]


def names(script: str) -> list[str]:
    """Return the checks of a journey, read from its modules without running them: MLflow is not ours to import."""
    modules = [
        alias.name
        for node in ast.parse((SCRIPTS / f"{script}.py").read_text()).body
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name.startswith("journey_")
    ]
    return [
        f"{module.removeprefix('journey_')}.{node.name}"
        for module in modules
        for node in ast.parse((SCRIPTS / f"{module}.py").read_text()).body
        if isinstance(node, ast.FunctionDef) and _is_check(node)
    ]


def _is_check(function: ast.FunctionDef) -> bool:
    marks = [mark.func if isinstance(mark, ast.Call) else mark for mark in function.decorator_list]
    return any(isinstance(mark, ast.Name) and mark.id in ("check", "differs") for mark in marks)


NEW, OLD = names("journey"), names("journey_old")


def journey(python: str, script: str, uri: str, folder: Path, seconds: float = 380) -> Lines:
    """Go a journey; return what each check found."""
    done = subprocess.run(
        [python, SCRIPTS / f"{script}.py"],
        env={**environment(), "MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["name"]: line for line in lines}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that both journeys go to."""
    with server_process(tmp_path_factory.mktemp("server") / "home") as found:
        yield found.url


@pytest.fixture(scope="module")
def newest(server: str, tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """What the newest client finds."""
    python = mlflow_python()
    if python is None:
        pytest.skip(NO_MLFLOW)
    return journey(python, "journey", server, tmp_path_factory.mktemp("newest"))


@pytest.fixture(scope="module")
def oldest(server: str, tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """What the oldest client finds."""
    python = old_mlflow_python()
    if python is None:
        pytest.skip(NO_OLD_MLFLOW)
    return journey(python, "journey_old", server, tmp_path_factory.mktemp("oldest"))


def judge(line: dict[str, Any]) -> None:
    if "skipped" in line:
        pytest.skip(line["skipped"])
    assert "why" not in line, line["why"]


@pytest.mark.parametrize("name", NEW)
def test_the_newest_client(newest: Lines, name: str) -> None:
    judge(newest[name])


@pytest.mark.parametrize("name", OLD)
def test_the_oldest_client(oldest: Lines, name: str) -> None:
    judge(oldest[name])


def test_the_journeys_are_whole() -> None:
    assert (len(set(NEW)), len(set(OLD))) == (len(NEW), len(OLD))
    assert len(NEW) >= 60
    assert len(OLD) >= 30


@contextmanager
def mlflow_server(python: str, folder: Path) -> Iterator[str]:
    """Run MLflow's own server for a block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [Path(python).with_name("mlflow"), "server", "--workers", "1", "--port", str(port)],
        env=environment(MLFLOW_DISABLE_TELEMETRY="true"),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def healthy() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        assert eventually(healthy, 380)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.timeout(900)
@pytest.mark.skipif(not os.environ.get("TEST_MLFLOW_SERVER"), reason="takes minutes: asked for by TEST_MLFLOW_SERVER=1")
def test_what_is_wanted_is_what_mlflow_does(tmp_path: Path) -> None:
    python = mlflow_python()
    if python is None:
        pytest.skip(NO_MLFLOW)
    with mlflow_server(python, tmp_path) as uri:
        found = journey(python, "journey", uri, tmp_path, 800)
    failed = {name: line["why"] for name, line in found.items() if "why" in line and not line["differs"]}
    assert failed == {}
    assert [name for name, line in found.items() if line["differs"] and "why" not in line] == []
