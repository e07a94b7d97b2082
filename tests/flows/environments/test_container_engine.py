"""The container engine: found or not, its images there or not. What goes wrong is one line that says what to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import engine as engines
import pytest
from projects import plan

from toolkit.errors import EnvironmentBuildError
from toolkit.flows.environments import docker
from toolkit.flows.environments.container import DockerOptions
from toolkit.flows.environments.engine import Engine, connect
from toolkit.flows.environments.prepared import PreparedEnvironment


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    if reason := engines.why_not():
        pytest.skip(reason)
    engine = connect(os.environ)
    yield engine
    engine.close()


def prepare(folder: Path, declared: str, **options: object) -> PreparedEnvironment:
    made = plan(folder, f"name: x\ndocker_env: {{{declared}}}\nentry_points: {{main: {{command: ls}}}}")
    assert made.project.environment is not None
    return docker.prepare(
        made.project.environment,
        plan=made,
        options=DockerOptions(**options),  # type: ignore[arg-type]  # a test's own
        artifact_root="file:///nowhere",
        report=lambda _: None,
    )


def test_no_engine(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBuildError) as caught:
        connect({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert str(caught.value).startswith(
        "docker_env needs a container engine, and none answers at "
        f"unix://{tmp_path}/none.sock (there is no such socket)"
    )


def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "dead.sock"))
    with pytest.raises(EnvironmentBuildError, match=r"none answers at .*nobody listens there"):
        connect({"DOCKER_HOST": f"unix://{tmp_path}/dead.sock"})


def test_an_address_that_is_none() -> None:
    with pytest.raises(EnvironmentBuildError, match="none answers at nonsense://here"):
        connect({"DOCKER_HOST": "nonsense://here"})


REFUSED = """
import os, sys
from toolkit.flows.environments.engine import connect
os.setuid(65534)
try:
    connect({"DOCKER_HOST": sys.argv[1]})
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


def test_an_engine_that_refuses_the_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else, whom a socket refuses")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as bound:
        Path(folder).chmod(0o755)
        place = Path(folder) / "engine.sock"
        bound.bind(str(place))
        place.chmod(0o600)
        bound.listen()
        command = [sys.executable, "-c", REFUSED, f"unix://{place}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("EnvironmentBuildError: the container engine at unix:///tmp/"), done
    assert "refuses this user (permission denied): add the user to the group" in done.stdout


def test_an_image_that_is_nowhere(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBuildError) as caught:
        prepare(tmp_path, "image: localhost:1/no-such-image-zz:1")
    text = str(caught.value)
    assert text.startswith("the image localhost:1/no-such-image-zz:1 is not on this machine and cannot be pulled (")
    assert "docker build -t localhost:1/no-such-image-zz:1 DIRECTORY" in text
    assert "\n" not in text


def test_a_variable_that_is_not_set(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBuildError, match=r"copies the variable NOT_SET_ZZ .* not set here"):
        prepare(tmp_path, "image: x, environment: [NOT_SET_ZZ]")


def test_a_project_without_its_files_in_the_container(engine: Engine, tmp_path: Path) -> None:
    prepared = prepare(tmp_path, f"image: {engines.IMAGE}, mount: false")
    try:
        assert prepared.container is not None
        assert (prepared.container.code, prepared.container.directory) == (None, "/")
    finally:
        prepared.release()


def test_the_lock_names_the_image_and_not_the_secrets(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD_ZZ", "canary-secret")
    prepared = prepare(
        tmp_path, f"image: {engines.IMAGE}, environment: [PASSWORD_ZZ]", arguments=("env=OTHER=canary-secret",)
    )
    try:
        assert prepared.container is not None
        assert prepared.container.variables == {"PASSWORD_ZZ": "canary-secret", "OTHER": "canary-secret"}
        assert "canary" not in repr(prepared)
        assert prepared.lock.startswith(f"# image {engines.IMAGE}\n# id sha256:")
    finally:
        prepared.release()


def test_a_base_image_that_cannot_be_built_on(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBuildError, match=r"the image of .* cannot be built on no-such-base-zz:1: "):
        engine.build("no-such-base-zz:1", tmp_path, [], tag="toolkit-test-zz:1", labels={})
