"""The composition root: from settings to stores."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from toolkit import settings
from toolkit.errors import InvalidSetting
from toolkit.recording.process import this_process
from toolkit.testing.runs import add_run
from toolkit.tracking.records import Owner
from toolkit.wiring.opened import open_stores
from toolkit.wiring.upkeep import sweep


def test_stores_are_made_where_there_are_none(toolkit_home: Path) -> None:
    stores = open_stores(settings.load())
    run = add_run(stores.runs)
    stores.close()
    assert (toolkit_home / "toolkit.db").exists()
    again = open_stores(settings.load())
    assert again.runs.get_run(run.info.run_id) == run
    assert run.info.artifact_uri.startswith(f"file://{toolkit_home}/artifacts/0/")
    again.close()


def test_a_home_that_does_not_exist_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOOLKIT_HOME", str(tmp_path / "a" / "b"))
    open_stores(settings.load()).close()
    assert (tmp_path / "a" / "b" / "toolkit.db").exists()


def test_stores_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOOLKIT_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    monkeypatch.setenv("TOOLKIT_ARTIFACT_ROOT", str(tmp_path / "files"))
    stores = open_stores(settings.load())
    run = add_run(stores.runs)
    stores.close()
    assert (tmp_path / "runs.db").exists()
    assert run.info.artifact_uri.startswith(f"file://{tmp_path}/files/")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("TOOLKIT_TRACKING_URI", "runs.db", "sqlite:///"),
        ("MLFLOW_TRACKING_URI", "http:///nowhere", "is not a server's URL"),
        ("TOOLKIT_TRACKING_URI", "mysql://ada:sesame@db/x", r"mysql://ada:\*\*\*@db/x.*postgresql://"),
        ("TOOLKIT_ARTIFACT_ROOT", "zip://x::s3://bucket/x", "is a chain of file systems"),
    ],
)
def test_what_cannot_be_used_yet_is_said(
    monkeypatch: pytest.MonkeyPatch, toolkit_home: Path, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSetting, match=words):
        open_stores(settings.load())


class Prefect(ThreadingHTTPServer):
    """A stand-in for Prefect's server that wants a token against forged requests and takes states."""

    def __init__(self, *, healthy: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.healthy = healthy
        self.states: list[tuple[str, str]] = []

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api"


class _Handler(BaseHTTPRequestHandler):
    server: Prefect

    def do_GET(self) -> None:
        self._answer(200, {"token": "secret"} if "csrf-token" in self.path else True)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Prefect-Csrf-Token"] != "secret" or not self.headers["Prefect-Csrf-Client"]:
            self._answer(403, {})
        elif not self.server.healthy:
            self._answer(500, {})
        else:
            self.server.states.append((self.path, body["state"]["type"]))
            self._answer(201, {})

    def _answer(self, code: int, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the standard library
        """Say nothing."""


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Prefect]:
    with Prefect() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("PREFECT_API_URL", server.api_url)
        yield server
        server.shutdown()
        thread.join()


def lose_a_run() -> None:
    stores = open_stores(settings.load())
    gone = Owner(host=this_process().host, pid=2**22 + 1, started=1)
    add_run(stores.runs, owner=gone, lease_ms=60_000, tags={"prefect.flow_run_id": "flow-1"})
    stores.close()


def test_prefect_is_told_of_a_lost_flow(prefect: Prefect) -> None:
    lose_a_run()
    stores = open_stores(settings.load())
    (lost,) = sweep(stores, settings.load())
    assert lost.info.status == "FAILED"
    assert prefect.states == [("/api/flow_runs/flow-1/set_state", "CRASHED")]
    assert sweep(stores, settings.load()) == []
    assert len(prefect.states) == 1
    stores.close()


def test_a_prefect_that_does_not_take_it_is_no_error(prefect: Prefect, caplog: pytest.LogCaptureFixture) -> None:
    prefect.healthy = False
    lose_a_run()
    stores = open_stores(settings.load())
    assert len(sweep(stores, settings.load())) == 1
    stores.close()
    assert "flow-1 was not marked as crashed" in caplog.text
