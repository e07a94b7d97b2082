"""The tracking server as a local service: one for each store, started once, found again, ended with the others."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from threading import Thread

import pytest
from machine import has_ended

from toolkit.errors import ServiceError
from toolkit.flows import tracking_server
from toolkit.flows.mlflow_step import names_mlflow
from toolkit.flows.services import Services, TrackingServer
from toolkit.settings import environment, load
from toolkit.wiring.opened import open_stores
from toolkit.wiring.services import local_services, named_tracking, served, tracking_address


def silent(line: str) -> None:
    """Take a line of progress."""


@pytest.fixture
def services(toolkit_home: Path, workdir: Path) -> Iterator[Services]:
    """The services of a home that are ended with the test."""
    found = local_services(load())
    yield found
    found.stop_all(silent)


def ask(url: str, path: str) -> str:
    with urllib.request.urlopen(f"{url}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def test_many_that_ask_at_once_share_one_server_of_the_homes_store(services: Services, toolkit_home: Path) -> None:
    stores = served(load())
    assert stores is not None
    assert services.running_tracking(stores) is None
    found: list[TrackingServer] = []
    asking = [Thread(target=lambda: found.append(services.ensure_tracking(stores, silent))) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert sorted(server.started for server in found) == [False, False, False, True]
    (url,) = {server.url for server in found}
    opened = open_stores(load())
    opened.runs.ensure_experiment("made-directly")
    opened.close()
    assert "made-directly" in ask(url, "/api/2.0/mlflow/experiments/search?max_results=10")
    assert services.running_tracking(stores) == TrackingServer(url=url, started=False)
    (status,) = [one for one in services.status() if one.name == "tracking"]
    assert (status.state, status.url, status.note) == ("running", url, f"sqlite:///{toolkit_home}/toolkit.db")
    assert status.record is not None
    assert not status.record.process.stop(0) or services.running_tracking(stores) is None
    again = services.ensure_tracking(stores, silent)
    assert (again.started, again.url) == (True, url)  # the port is kept: clients may have it still
    assert [record.name for record in services.stop_all(silent)] == ["tracking"]
    assert services.running_tracking(stores) is None


def test_another_store_has_a_server_of_its_own(
    services: Services, tmp_path: Path, toolkit_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tracking_address(load(), silent)
    monkeypatch.setenv("TOOLKIT_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    assert tracking_address(load(), silent, False) is None
    second = tracking_address(load(), silent)
    assert second not in (None, first)
    opened = open_stores(load())
    opened.runs.ensure_experiment("only-here")
    opened.close()
    assert first is not None
    assert second is not None
    assert "only-here" in ask(second, "/api/2.0/mlflow/experiments/search?max_results=10")
    assert "only-here" not in ask(first, "/api/2.0/mlflow/experiments/search?max_results=10")
    assert len(json.loads((toolkit_home / "services.json").read_text())["services"]) == 2


def pretend_version(home: Path, version: str) -> int:
    """Let the record say that the server was started by another version; return its process id."""
    file = home / "services.json"
    told = json.loads(file.read_text())
    (record,) = told["services"]
    record["version"] = version
    file.write_text(json.dumps(told))
    return int(record["pid"])


def test_one_of_an_older_version_is_started_again(services: Services, toolkit_home: Path) -> None:
    """By whoever asks for it next, at the same address; not one of a newer version."""
    stores = served(load())
    assert stores is not None
    first = services.ensure_tracking(stores, silent)
    old = pretend_version(toolkit_home, "0.0.1.dev3")
    told: list[str] = []
    again = services.ensure_tracking(stores, told.append)
    assert (again.started, again.url) == (True, first.url)
    assert told[0] == f"tracking (pid {old}) is of version 0.0.1.dev3 and is started again with this one"
    assert has_ended(old)
    (record,) = json.loads((toolkit_home / "services.json").read_text())["services"]
    assert (record["version"], record["pid"] != old) == (metadata.version("toolkit"), True)
    assert "Default" in ask(again.url, "/api/2.0/mlflow/experiments/search?max_results=10")
    kept = pretend_version(toolkit_home, "999.0")
    assert services.ensure_tracking(stores, told.append) == TrackingServer(url=first.url, started=False)
    assert not has_ended(kept)


def test_where_the_store_is_a_server_that_is_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@tracking.example/ml")
    assert tracking_address(load(), silent) == "https://me:secret@tracking.example/ml"  # steps need all of it
    assert served(load()) is None
    assert named_tracking(load()) == "https://tracking.example/ml"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert named_tracking(load()) is None


def test_a_taken_port_is_passed_over(services: Services) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", tracking_server.PORT))
            taken.listen()
        except OSError:
            pass  # somebody has it already, which does as well
        url = tracking_address(load(), silent)
    assert url is not None
    assert not url.endswith(f":{tracking_server.PORT}")


def test_one_that_cannot_start_says_why(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACT_ROOT", "/dev/null/files")
    with pytest.raises(ServiceError, match=r"tracking server ended while it started(?s:.*)/dev/null/files"):
        tracking_address(load(), silent)
    assert [one.state for one in services.status()] == ["absent"]


def test_it_takes_nothing_over_from_who_starts_it(
    services: Services, toolkit_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables of a step, or of a user's other server, are not for it."""
    monkeypatch.setenv("TOOLKIT_RUN_ID", "0" * 32)
    monkeypatch.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", "*")
    stores = served(load())
    assert stores is not None
    services.ensure_tracking(stores, silent)
    (status,) = [one for one in services.status() if one.name == "tracking"]
    assert status.record is not None
    kept = Path(f"/proc/{status.record.pid}/environ")
    if not kept.exists():
        pytest.skip("this system does not show the variables of a process")
    names = {entry.partition("=")[0] for entry in kept.read_text().split("\0")}
    assert not names & {"TOOLKIT_RUN_ID", "MLFLOW_SERVER_ALLOWED_HOSTS"}
    assert "TOOLKIT_RUN_ID" in environment()


@pytest.mark.parametrize(
    ("lines", "there"),
    [
        ("# python 3.11\nmlflow==3.17.2\n", True),
        ("numpy==2\nmlflow-skinny==3.17.2\n", True),
        (["mlflow>=2"], True),
        (["MLflow[extras]~=3.0"], True),
        (["mlflow  # the client"], True),
        (["mlflow @ https://host/mlflow.whl"], True),
        (["kedro-mlflow"], False),
        (["mlflow-export-import==1"], False),
        ("# mlflow\n", False),
    ],
)
def test_environments_with_a_client_of_mlflows(lines: str | list[str], there: bool) -> None:
    assert names_mlflow(lines) is there
