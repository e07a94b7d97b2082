"""The running interpreter as an environment."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from toolkit import settings
from toolkit.flows.environments.environment import PreparedEnvironment, prepare
from toolkit.flows.environments.prepared import canonical


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> PreparedEnvironment:
    home = tmp_path_factory.mktemp("home")
    return prepare(None, manager="local", home=home, project=home, report=print)


def test_python_is_the_one_that_runs_us(environment: PreparedEnvironment) -> None:
    variables = settings.environment(**environment.variables, **dict.fromkeys(environment.unset))
    done = subprocess.run(
        ["bash", "-c", "python -c 'import sys; print(sys.prefix)'"],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == sys.prefix
    assert environment.python == ".".join(map(str, sys.version_info[:3]))


def test_the_lock_names_what_is_installed(environment: PreparedEnvironment) -> None:
    pinned = [line for line in environment.lock.splitlines() if not line.startswith("#")]
    installed = {f"{canonical(found.name)}=={found.version}" for found in metadata.distributions()}
    assert set(pinned) <= installed
    assert {line.partition("==")[0] for line in pinned} == {line.partition("==")[0] for line in installed}
    assert pinned == sorted(pinned)


def test_it_takes_no_time() -> None:
    best = min(_seconds() for _ in range(3))
    assert best < 0.03


def _seconds() -> float:
    started = time.perf_counter()
    prepare(None, manager="local", home=Path("/nowhere"), project=Path("/nowhere"), report=print)
    return time.perf_counter() - started


def test_metadata_of_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / "site-packages"
    for name in ("Foo_Bar-1.0.dist-info", "old-2.1-py3.11.egg-info", "devel.egg-info", "broken.egg-info", "not.a"):
        (packages / name).mkdir(parents=True)
    (packages / "devel.egg-info" / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: devel\nVersion: 3.dev0\n\nhi\n")
    (packages / "flat-4-py3.11.egg-info").write_text("Metadata-Version: 1.0\n")
    monkeypatch.setattr(sys, "path", [str(packages), str(tmp_path / "gone" / "site-packages"), str(tmp_path)])
    environment = prepare(None, manager="local", home=tmp_path, project=tmp_path, report=print)
    assert environment.lock.splitlines()[2:] == ["devel==3.dev0", "flat==4", "foo-bar==1.0", "old==2.1"]
