"""From a training to a container that answers as the model does, and a deployment of containers that is updated."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import engine as engines
import pytest
from served import Served, Workshop, wait_for
from sklearn.datasets import load_wine

from toolkit.flows.environments.engine import Engine, connect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]  # images are built; a machine may be busy

SCRIPT = Path(__file__).parents[1] / "deployments" / "scripts" / "train_wine.py"
PATIENT = ("--config", "timeout=250")  # while an image is built beside, an answer may take long
NOT_IN_AN_IMAGE = ("prefect", "sqlalchemy", "alembic", "fastapi", "s3fs", "docker", "toolkit")
PREDICT = """
import json, sys, toolkit
from sklearn.datasets import load_wine
rows = load_wine(as_frame=True).data[["alcohol", "malic_acid", "ash"]]
print(json.dumps(toolkit.pyfunc.load_model(sys.argv[1]).predict(rows).tolist()))
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    if reason := engines.why_not():
        pytest.skip(reason)
    engine = connect(os.environ)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Workshop]:
    made = Workshop(folder=tmp_path_factory.mktemp("images"))
    made.run(str(SCRIPT))
    images: set[str] = set()
    yield made
    for container in engine.client.containers.list(True):
        if any(f"localhost/wine-quality:{number}-" in str(container.image.tags) for number in (1, 2)):
            images.update(container.image.tags)
            container.remove(force=True)
    for image in engine.client.images.list():
        for tag in image.tags:
            if tag.startswith("localhost/wine-quality:") and (tag in images or made_here(made, tag)):
                engine.client.images.remove(tag, force=True)


def made_here(workshop: Workshop, image: str) -> bool:
    digest = image.rpartition("-")[2]
    bentos = (workshop.folder / "bentoml" / "bentos" / "wine-quality").glob("*/src/model.json")
    return any(json.loads(file.read_text())["digest"].startswith(digest) for file in bentos)


@pytest.fixture(scope="module")
def answers(workshop: Workshop) -> dict[int, list[int]]:
    """What versions say of all wines, each asked in a process of its own."""
    (workshop.folder / "predict.py").write_text(PREDICT)
    return {
        number: json.loads(workshop.run("predict.py", f"models:/wine-quality/{number}").splitlines()[-1])
        for number in (1, 2)
    }


def rows() -> dict[str, Any]:
    wine = load_wine(as_frame=True).data[["alcohol", "malic_acid", "ash"]]
    return {"columns": list(wine.columns), "data": wine.to_numpy().tolist()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Container(Served):
    """A service in a container, which has no process of ours."""

    def __init__(self, port: int) -> None:
        super().__init__(process=None, port=port, log=Path(os.devnull))  # type: ignore[arg-type]


@contextmanager
def running(engine: Engine, image: str) -> Iterator[tuple[Any, Container]]:
    port = free_port()
    container = engine.client.containers.run(
        image, ["serve", "-p", str(port), "--host", "127.0.0.1"], detach=True, network_mode="host"
    )
    try:
        service = Container(port)
        wait_for(service.ready, f"{image} did not begin to answer")
        yield container, service
    except BaseException:
        print(container.logs().decode("utf-8", "replace")[-5_000:])
        raise
    finally:
        container.remove(force=True)


def test_a_trained_model_answers_from_an_image_as_it_does_here(
    engine: Engine, workshop: Workshop, answers: dict[int, list[int]]
) -> None:
    built = json.loads(workshop.toolkit("deployments", "build", "wine-quality/1", "--json", *PATIENT))
    assert (built["tag"], built["made"]) == ("wine-quality:1", True)
    backend = "podman" if "podman" in str(engine.client.version()).lower() else "docker"
    image = f"localhost/wine-quality:1-{built['digest'][:12]}"  # as the docker target calls it, which finds it then
    workshop.run("-m", "bentoml", "containerize", built["tag"], "--backend", backend, "-t", image)
    assert engine.client.images.get(image).attrs["Config"]["User"] == "bentoml"
    with running(engine, image) as (container, service):
        answer = service.score({"dataframe_split": rows()})
        assert (answer.status, answer.json) == (200, {"predictions": answers[1]})
        named = [dict(zip(rows()["columns"], row, strict=True)) for row in rows()["data"]]
        answer = service.score({"rows": named}, path="/predict")
        assert (answer.status, answer.json) == (200, {"predictions": answers[1]})
        assert service.score({"dataframe_split": {"columns": ["alcohol"], "data": [[1]]}}).status == 400
        assert service.call("GET", "/version").status == 200
        code, who = container.exec_run(["id", "-u"])
        assert (code, who.strip() not in (b"", b"0")) == (0, True)
        code, said = container.exec_run(["sh", "-c", "ls /app/.venv/lib/python3.*/site-packages"])
        installed = {line.partition("-")[0].lower() for line in said.decode().split()}
        assert code == 0
        assert installed & set(NOT_IN_AN_IMAGE) == set()


def deployment(workshop: Workshop, name: str) -> Any:  # noqa: ANN401 - a JSON document
    return json.loads(workshop.toolkit("deployments", "show", name, "--json"))


def test_a_deployment_of_containers_is_updated_without_a_lost_request(
    engine: Engine, workshop: Workshop, answers: dict[int, list[int]]
) -> None:
    options = ["--option", "network=host", "--option", f"port={free_port()}"]
    model = ["-n", "wine", "-m", "wine-quality/1", "-t", "docker"]
    workshop.toolkit("deployments", "create", *model, *options, *PATIENT)
    shown = deployment(workshop, "wine")
    service = Container(int(shown["address"].rpartition(":")[2]))
    assert service.score({"dataframe_split": rows()}).json == {"predictions": answers[1]}
    (key,) = {each.labels["toolkit.deployment"] for each in ours(engine, workshop)}
    assert len(ours(engine, workshop)) == 2  # a release, and what is in front of it

    seen, ended = [], threading.Event()

    def ask() -> None:
        while not ended.is_set():
            answer = service.score({"dataframe_split": rows()})
            seen.append((answer.status, answer.json.get("predictions")))

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for each in asking:
        each.start()
    try:
        workshop.toolkit("deployments", "update", "-n", "wine", "-m", "wine-quality/2")
    finally:
        ended.set()
        for each in asking:
            each.join()
    assert [one for one in seen if one not in ((200, answers[1]), (200, answers[2]))] == []
    assert service.score({"dataframe_split": rows()}).json == {"predictions": answers[2]}
    assert deployment(workshop, "wine")["address"] == shown["address"]

    (release,) = [each for each in ours(engine, workshop) if "toolkit.release" in each.labels]
    crashed = release.attrs["State"]["Pid"]
    os.kill(crashed, 9)

    def is_back() -> bool:
        release.reload()
        return release.attrs["State"]["Pid"] not in (0, crashed) and service.ready()

    wait_for(is_back, "what had crashed did not come back")
    assert service.score({"dataframe_split": rows()}).json == {"predictions": answers[2]}
    assert "wine-quality" in workshop.toolkit("deployments", "logs", "-n", "wine")

    workshop.toolkit("deployments", "delete", "-n", "wine")
    assert engine.client.containers.list(True, filters={"label": f"toolkit.deployment={key}"}) == []
    assert not service.ready()


def ours(engine: Engine, workshop: Workshop) -> list[Any]:
    return [
        each
        for each in engine.client.containers.list(True, filters={"label": "toolkit.deployment"})
        if each.labels["toolkit.deployment"] and any(made_here(workshop, tag) for tag in each.image.tags)
    ]
