"""How services are: each is asked beside the others, none is waited for, and what one says is believed for a while."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from server import Server, eventually, serving

from toolkit.deployments.records import Deployment, DeploymentState
from toolkit.server.health import Health, HealthWatch, State, watch_of
from toolkit.wiring.serving import open_deployment_store


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "no-prefect"))
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path / "home") as found:
        yield found


def _told(server: Server) -> dict[str, Health]:
    return {each.name: each for each in watch_of(server.stores).look(wait=60)}


def test_a_service_that_hangs_holds_up_nobody() -> None:
    asked, go = threading.Semaphore(0), threading.Event()

    def hangs() -> Health:
        asked.release()
        go.wait(60)
        return Health(name="slow", state=State.OK, note="here I am")

    watch = HealthWatch({"slow": hangs, "quick": lambda: Health(name="quick", state=State.OK, note="")}, slow=0.0)
    try:
        assert eventually(lambda: [each.state for each in watch.look(wait=0.05)] == [State.DOWN, State.OK])
        assert asked.acquire(timeout=10)
        assert not asked.acquire(blocking=False), "it was asked again while it had not answered"
        assert "has not answered for" in watch.look(wait=0)[0].note
    finally:
        go.set()
    assert eventually(lambda: watch.look(wait=0)[0].note == "here I am")


def test_an_answer_holds_for_a_while_and_is_told_while_it_is_asked_again() -> None:
    count = iter(range(100))
    told = HealthWatch({"a": lambda: Health(name="a", state=State.OK, note=str(next(count)))}, fresh=1e9)
    assert [told.look(wait=10)[0].note for _ in range(3)] == ["0", "0", "0"]
    again = HealthWatch({"a": lambda: Health(name="a", state=State.OK, note=str(next(count)))}, fresh=0)
    assert again.look(wait=10)[0].note == "1"
    assert eventually(lambda: int(again.look(wait=0)[0].note) > 1)


def test_what_fails_says_why_and_the_others_are_told() -> None:
    def fails() -> Health:
        raise OSError("no such disk")

    found = HealthWatch({"a": fails, "b": lambda: Health(name="b", state=State.OK, note="")}).look(wait=10)
    assert [(each.state, each.note) for each in found] == [(State.DOWN, "OSError: no such disk"), (State.OK, "")]


def test_a_server_that_is_well_says_so_to_pages_and_programs(server: Server) -> None:
    found = _told(server)
    assert list(found) == ["server", "store", "artifacts", "disk", "prefect", "deployments"]
    assert all(each.well for each in found.values()), found
    assert (found["prefect"].state, found["prefect"].note) == (State.ABSENT, "not started")
    assert eventually(lambda: server.call("GET", "/api/v1/services").json["well"] is True)
    told = server.call("GET", "/api/v1/services").json["services"]
    assert {each["name"]: each["state"] for each in told}["store"] == "ok"


def test_prefect_is_asked_where_the_user_has_named_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    other = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{other.server_port}"
    monkeypatch.setenv("PREFECT_API_URL", f"{url}/api")
    try:
        found = _told(server)["prefect"]
        assert (found.state, found.url) == (State.OK, url)
    finally:
        other.shutdown()
        other.server_close()
    found = _told(server)["prefect"]
    assert found.state is State.DOWN
    assert "PREFECT_API_URL" in found.note


def test_what_has_died_is_told_and_the_record_of_it_is_left_as_it_is(server: Server) -> None:
    record = {
        "name": "prefect",
        "url": "http://127.0.0.1:4",
        "host": "127.0.0.1",
        "port": 4,
        "pid": 2**22 + 1,
        "process_started": 1.0,
        "log": "x",
        "started_at": 1,
        "version": "3",
    }
    file = server.home / "services.json"
    file.write_text(json.dumps({"format": 1, "services": [record]}))
    found = _told(server)["prefect"]
    assert (found.state, found.help) == (State.DOWN, "toolkit up starts it again")
    assert json.loads(file.read_text())["services"] == [record]


def test_a_deployment_that_serves_nothing_is_told(server: Server) -> None:
    store = open_deployment_store(server.stores)
    made = store.create(Deployment(id="", name="live", target="local", state=DeploymentState.CREATING))
    store.change(made.id, state=DeploymentState.FAILED, message="out of memory")
    found = _told(server)["deployments"]
    assert found.state is State.DEGRADED
    assert found.note == "0 of 1 serve. live: out of memory"
