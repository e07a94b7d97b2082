"""Environments that are built from the lock of an earlier run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import cast

import pytest

from toolkit.errors import EnvironmentBuildError
from toolkit.flows.environments import local
from toolkit.flows.environments.container import Container
from toolkit.flows.environments.engine import Engine
from toolkit.flows.environments.environment import prepare
from toolkit.flows.environments.prepared import PreparedEnvironment, write_lock
from toolkit.flows.environments.recorded import RecordedEnvironment, RecordedEnvironments, changes
from toolkit.spec.project import DockerEnv, EnvironmentRef, Project, PythonEnv

REF = EnvironmentRef(kind="python_env", path="python_env.yaml")


def silent(line: str) -> None:
    """Take a line of progress."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "python_env.yaml").write_text("dependencies: [six<1.17, -r more.txt]\n")
    (folder / "more.txt").write_text("--no-binary nothing-of-this-name\n")
    return Project(directory=folder, environment=REF)


def test_a_lock_is_built_again_where_its_environment_is_gone(project: Project, tmp_path: Path) -> None:
    """What the project asks for would be newer by now; the lock says what it was."""
    home = tmp_path / "home"
    spec = PythonEnv(source="python_env", file=project.directory / "python_env.yaml", dependencies=("six<1.17",))
    first = prepare(spec, manager="uv", home=home, project=project.directory, report=silent)
    assert "six==1.16.0" in first.lock
    lock = first.lock.replace("six==1.16.0", "six==1.15.0")
    for text, key, same in ((first.lock, first.key, True), (lock, first.key, False)):
        recorded = RecordedEnvironments(by_ref={REF: RecordedEnvironment(kind="uv", key=key, lock=text)})
        found = recorded.prepare(REF, project=project, home=home, report=silent)
        assert found is not None
        assert (found.lock, found.key == first.key, recorded.changes) == (text, same, [])
    first.release()
    shutil.rmtree(home / "envs" / first.key)
    lines: list[str] = []
    recorded = RecordedEnvironments(by_ref={REF: RecordedEnvironment(kind="uv", key=first.key, lock=first.lock)})
    found = recorded.prepare(REF, project=project, home=home, report=lines.append)
    assert found is not None
    assert (found.lock, found.key == first.key) == (first.lock, False)
    assert lines[0].startswith("building environment")
    log = (home / "logs" / f"env-{found.key}.log").read_text()
    assert "--no-deps" in log
    assert "--no-binary nothing-of-this-name" in log, "where packages come from is the project's to say"


def test_the_running_interpreter_is_used_where_it_is_as_it_was(project: Project, tmp_path: Path) -> None:
    here = local.prepare()
    recorded = RecordedEnvironments(by_ref={None: RecordedEnvironment(kind="local", key="local", lock=here.lock)})
    found = recorded.prepare(None, project=project, home=tmp_path, report=silent)
    assert found is not None
    assert found.kind == "local"
    assert recorded.prepare(REF, project=project, home=tmp_path, report=silent) is None, "nothing is recorded of it"
    older = RecordedEnvironments(
        by_ref={None: RecordedEnvironment(kind="local", key="local", lock=write_lock(here.python, ["six==1.16.0"]))}
    )
    found = older.prepare(None, project=project, home=tmp_path, report=silent)
    assert found is not None
    assert (found.kind, "six==1.16.0" in found.lock) == ("uv", True)


@pytest.mark.parametrize(
    ("python", "line", "says"),
    [("3.11.99", "six==1.16.0", "this Python"), ("", "six==0.0.99", "there is no version of six==0.0.99")],
    ids=["python", "package"],
)
def test_what_cannot_be_had_any_more_is_named(
    project: Project, tmp_path: Path, python: str, line: str, says: str
) -> None:
    lock = write_lock(python or local.prepare().python, [line])
    recorded = RecordedEnvironments(by_ref={REF: RecordedEnvironment(kind="uv", key="0" * 16, lock=lock)})
    with pytest.raises(EnvironmentBuildError, match="the recorded lock") as caught:
        recorded.prepare(REF, project=project, home=tmp_path / "home", report=silent)
    assert says in str(caught.value)


def test_a_package_of_the_project_comes_from_where_the_project_is_now(project: Project, tmp_path: Path) -> None:
    package = project.directory / "package"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        "[project]\nname = 'ours'\nversion = '1'\n[tool.setuptools]\npy-modules=[]\n"
    )
    gone = tmp_path / "gone"
    lock = write_lock(local.prepare().python, [f"ours @ {(gone / 'package').as_uri()}"])
    environments: dict[EnvironmentRef | None, RecordedEnvironment] = {
        REF: RecordedEnvironment(kind="uv", key="0" * 16, lock=lock)
    }
    recorded = RecordedEnvironments(by_ref=environments, directory=gone)
    found = recorded.prepare(REF, project=project, home=tmp_path / "home", report=silent)
    assert found is not None
    assert package.as_uri() in found.lock
    assert recorded.changes == []
    with pytest.raises(EnvironmentBuildError, match="gone/package"):
        RecordedEnvironments(by_ref=environments).prepare(REF, project=project, home=tmp_path / "home", report=silent)


def test_a_conda_environment_that_is_gone_is_named(project: Project, tmp_path: Path) -> None:
    lock = write_lock("3.11.1", ["numpy==1.0"])
    recorded = RecordedEnvironments(by_ref={REF: RecordedEnvironment(kind="conda", key="0" * 16, lock=lock)})
    with pytest.raises(EnvironmentBuildError, match="--allow environment"):
        recorded.prepare(REF, project=project, home=tmp_path / "home", report=silent)


def test_a_container_is_of_the_very_image_or_none(project: Project) -> None:
    """By the project's name for it, by its id, or by what its registry calls it."""
    ref = EnvironmentRef(kind="docker_env", docker=DockerEnv(image="python:3.11"))
    lock = "# image python:3.11\n# id sha256:aaaa\n# digest python@sha256:dddd\n"
    recorded = RecordedEnvironments(by_ref={ref: RecordedEnvironment(kind="docker", key="aaaa", lock=lock)})
    here = {"python:3.11": "sha256:bbbb"}
    released: list[str] = []

    def prepared(wanted: EnvironmentRef) -> PreparedEnvironment:
        assert wanted.docker is not None
        image = wanted.docker.image
        if image not in here:
            raise EnvironmentBuildError(f"there is no image {image}")
        container = Container(
            engine=cast(Engine, None), image=image, image_id=here[image], code="mounted", directory="/"
        )
        return PreparedEnvironment(
            kind="docker",
            key="",
            directory=None,
            python="",
            lock="",
            container=container,
            release=lambda: released.append(image),
        )

    with pytest.raises(EnvironmentBuildError, match=r"the image aaaa .* python:3.11 is bbbb by now; there is no image"):
        recorded.image(ref, prepared)
    assert released == ["python:3.11"]
    here["python@sha256:dddd"] = "sha256:aaaa"
    found = recorded.image(ref, prepared).container
    assert found is not None
    assert found.image == "python@sha256:dddd"
    here["python:3.11"] = "sha256:aaaa"
    found = recorded.image(ref, prepared).container
    assert found is not None
    assert found.image == "python:3.11"


def test_what_changed_between_two_locks_is_listed() -> None:
    old = write_lock("3.11.1", ["six==1.0", "gone==2", "toolkit==0.1", "-e file:///a"])
    new = write_lock("3.11.2", ["six==1.1", "-e file:///b"])
    assert changes(old, new) == ["gone 2 -> (none)", "python 3.11.1 -> 3.11.2", "six 1.0 -> 1.1"]
