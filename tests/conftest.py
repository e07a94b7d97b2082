"""What holds for all tests: nothing of the user's is read or written, and no test sees what another one left."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import postgres
import pytest

_OURS = ("TOOLKIT_", "MLFLOW_", "PREFECT_")

# Before anything imports Prefect, which reads its home once: a home directory that is nobody's. Downloads stay shared.
_real_home = Path.home()
_home = tempfile.TemporaryDirectory(prefix="toolkit-tests-", ignore_cleanup_errors=True)
os.environ.setdefault("UV_CACHE_DIR", str(_real_home / ".cache" / "uv"))
os.environ.setdefault("UV_PYTHON_INSTALL_DIR", str(_real_home / ".local" / "share" / "uv" / "python"))
os.environ.setdefault("PIP_CACHE_DIR", str(_real_home / ".cache" / "pip"))
os.environ["HOME"] = _home.name
os.environ["DO_NOT_TRACK"] = "1"
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # everything that tests start would run at half its speed
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: what tests start would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _name in [name for name in os.environ if name.startswith(_OURS)]:
    del os.environ[_name]


def _forget_ours() -> None:
    """Take away what a test, or what it called, has set: fixtures of a module see what is left of tests before it."""
    for name in [name for name in os.environ if name.startswith(_OURS)]:
        del os.environ[name]


@pytest.fixture(autouse=True)
def toolkit_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of the test's own, no settings of anybody's, and nothing open from the test before."""
    _forget_ours()
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("TOOLKIT_HOME", str(home))
    yield home
    _forget_ours()
    from toolkit.recording import current

    current.set_context_run(None)
    current.reset()


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL server for this process's tests."""
    if reason := postgres.why_not():
        pytest.skip(reason)
    with postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: postgres.Server) -> str:
    """A database with our schema in it, to be copied."""
    from toolkit.tracking.sql import SqlRunStore

    name = postgres_server.new_database()
    SqlRunStore(postgres_server.url(name), "file:///artifacts").close()
    return name


@pytest.fixture
def postgres_url(postgres_server: postgres.Server, postgres_template: str) -> Iterator[str]:
    """A database of the test's own, with our schema in it and nothing else."""
    name = postgres_server.new_database(postgres_template)
    yield postgres_server.url(name)
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def _postgres_shared(postgres_server: postgres.Server, postgres_template: str) -> str:
    return postgres_server.new_database(postgres_template)


@pytest.fixture
def postgres_emptied_url(postgres_server: postgres.Server, _postgres_shared: str) -> str:
    """A database with our schema in it and nothing else, which the next test gets too: for what only logs and reads."""
    postgres_server.empty(_postgres_shared)
    return postgres_server.url(_postgres_shared)
