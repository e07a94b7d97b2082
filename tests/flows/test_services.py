"""Local services: a real Prefect server for what matters about it, small stand-ins for what goes wrong around it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from toolkit import settings
from toolkit.errors import ServiceError
from toolkit.flows import prefect_server
from toolkit.flows.service_process import ServiceProcess
from toolkit.flows.services import PrefectServer, Services
from toolkit.ids import now_ms


def environment(home: Path) -> dict[str, str]:
    """Return this process's environment without any Prefect server of the user's."""
    return settings.environment(
        PREFECT_API_URL=None, PREFECT_PROFILE=None, PREFECT_PROFILES_PATH=None, PREFECT_HOME=str(home / "no-prefect")
    )


def services(home: Path, **environ: str) -> Services:
    return Services(home, environ=environment(home) | environ, directory=home)


def silent(line: str) -> None:
    """Take a line of progress."""


def get(url: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.status, response.read().decode(), dict(response.headers)


# -- Prefect's real server ---------------------------------------------------------------------------

ENSURE = """
    import os, sys
    from pathlib import Path
    from toolkit.flows.services import Services
    home = Path(sys.argv[1])
    server = Services(home, environ=os.environ, directory=home).ensure_prefect(lambda line: print(line, flush=True))
    print(server.started, server.api_url, flush=True)
"""


def ensure_elsewhere(home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(ENSURE), str(home)]
    return subprocess.Popen(command, env=environment(home), stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a home whose server two processes have asked for at the same moment, while Prefect's port was taken."""
    home = tmp_path_factory.mktemp("home")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", prefect_server.PORT))
            taken.listen()
        except OSError:
            pass  # somebody else's, which is as well
        with ensure_elsewhere(home) as one, ensure_elsewhere(home) as two:
            outputs = [one.communicate()[0].splitlines(), two.communicate()[0].splitlines()]
    (home / "outputs.json").write_text(json.dumps(outputs))
    yield home
    services(home).stop_all(silent)


@pytest.fixture(scope="module")
def server(home: Path) -> PrefectServer:
    return services(home).ensure_prefect(silent)


def test_two_that_ask_at_the_same_moment_get_one_server(home: Path, server: PrefectServer) -> None:
    outputs = json.loads((home / "outputs.json").read_text())
    ends = sorted(output[-1] for output in outputs)
    assert ends == [f"False {server.api_url}", f"True {server.api_url}"]
    said = [line for output in outputs for line in output[:-1]]
    assert said.count("starting Prefect's server, for the first time") == 1
    assert f":{prefect_server.PORT}/" not in server.api_url  # its port was taken


def test_a_server_that_runs_is_found_at_once(home: Path, server: PrefectServer) -> None:
    lines: list[str] = []
    started = time.perf_counter()
    found = services(home).ensure_prefect(lines.append)
    assert time.perf_counter() - started < 0.2
    assert (found, lines) == (server, [])
    assert (server.started, server.external, server.home) == (False, False, home / "prefect")


def test_its_status(home: Path, server: PrefectServer) -> None:
    (status,) = services(home).status()
    assert (status.name, status.state, status.url) == ("prefect", "running", server.ui_url)
    assert status.record is not None
    assert psutil.pid_exists(status.record.pid)
    assert status.record.version.startswith("3.")
    assert oct((home / "services.json").stat().st_mode)[-3:] == "600"


def test_its_ui_works_at_its_port(server: PrefectServer) -> None:
    assert "<html" in get(server.ui_url)[1]
    told = json.loads(get(f"{server.ui_url}/ui-settings")[1])
    assert told["api_url"] == server.api_url
    assert told["csrf_enabled"] is True


def test_it_is_for_its_own_pages_only(server: PrefectServer) -> None:
    assert get(f"{server.api_url}/health", Origin=server.ui_url)[2]["access-control-allow-origin"] == server.ui_url
    assert "access-control-allow-origin" not in get(f"{server.api_url}/health", Origin="https://evil.example")[2]
    request = urllib.request.Request(
        f"{server.api_url}/flows/", data=b'{"name": "x"}', headers={"content-type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError, match="403"), urllib.request.urlopen(request, timeout=10):
        pass
    with socket.socket() as other_address:
        other_address.bind(("127.0.0.2", int(server.ui_url.rpartition(":")[2])))  # free: it listens on 127.0.0.1 only


def test_a_killed_server_is_noticed_and_started_again_where_it_was(home: Path, server: PrefectServer) -> None:
    (status,) = services(home).status()
    assert status.record is not None
    process = psutil.Process(status.record.pid)
    process.kill()
    process.wait(10)  # dead it is at once, but its port is free only when its last thread has ended
    assert services(home).ensure_prefect(silent) == PrefectServer(
        api_url=server.api_url, ui_url=server.ui_url, external=False, started=True, home=server.home
    )
    (status,) = services(home).status()
    assert status.record is not None
    lines: list[str] = []
    assert services(home).stop_all(lines.append) == [status.record]
    assert lines == [f"stopped prefect (pid {status.record.pid})"]
    assert not status.record.process.is_alive()
    assert [found.state for found in services(home).status()] == ["absent"]
    assert services(home).stop_all(lines.append) == []


def test_a_server_that_ends_while_it_starts_is_explained(tmp_path: Path) -> None:
    asked = services(tmp_path, PREFECT_SERVER_DATABASE_CONNECTION_URL="nonsense://")
    with pytest.raises(ServiceError, match="Prefect's server ended while it started") as caught:
        asked.ensure_prefect(silent)
    first, *lines = str(caught.value).splitlines()
    assert str(tmp_path / "logs" / "prefect-server.log") in first
    assert any("nonsense" in line for line in lines)
    assert [found.state for found in asked.status()] == ["absent"]


# -- stand-ins ---------------------------------------------------------------------------------------

STAND_IN = """
    import http.server, socketserver, sys, time
    port, delay, mute = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "mute"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if mute:
                time.sleep(600)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"true")

    time.sleep(delay)
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    print("going to listen", flush=True)
    socketserver.ThreadingTCPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Let a small program stand in for Prefect's server; the test says how it behaves."""
    behaviour = {"delay": "0", "mute": "no"}
    script = tmp_path / "stand_in.py"
    script.write_text(textwrap.dedent(STAND_IN))

    def command(port: int) -> list[str]:
        return [sys.executable, str(script), str(port), behaviour["delay"], behaviour["mute"]]

    monkeypatch.setattr(prefect_server, "command", command)
    monkeypatch.setattr(prefect_server, "_HEALTH_TIMEOUT", 0.3)
    yield behaviour
    services(tmp_path).stop_all(silent)


def test_a_port_that_is_taken_meanwhile(
    tmp_path: Path, stand_in: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = prefect_server.choose_port
    with socket.create_server(("127.0.0.1", 0)) as thief:
        taken = thief.getsockname()[1]
        answers = iter([taken])
        monkeypatch.setattr(prefect_server, "choose_port", lambda port: next(answers, None) or choose(port))
        lines: list[str] = []
        server = services(tmp_path).ensure_prefect(lines.append)
    assert f"port {taken} was taken meanwhile" in lines
    assert server.started
    assert f":{taken}/" not in server.api_url


def test_another_server_on_our_port_is_not_taken_for_ours(
    tmp_path: Path, stand_in: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = prefect_server.choose_port
    stand_in["delay"] = "0.5"  # the other one answers long before ours finds its port taken
    with answering(200) as other:
        taken = int(other.rpartition(":")[2].removesuffix("/api"))
        answers = iter([taken])
        monkeypatch.setattr(prefect_server, "choose_port", lambda port: next(answers, None) or choose(port))
        server = services(tmp_path).ensure_prefect(silent)
    assert server.api_url != other


def test_a_server_that_never_answers_is_ended(
    tmp_path: Path, stand_in: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in["mute"] = "mute"
    monkeypatch.setattr(prefect_server, "START_TIMEOUT", 1.0)
    monkeypatch.setattr(prefect_server, "_PROGRESS_EVERY", 0.3)
    lines: list[str] = []
    with pytest.raises(ServiceError, match=r"did not answer within 1 s; all that it said is in (?s:.*)going to listen"):
        services(tmp_path).ensure_prefect(lines.append)
    assert any(line.startswith("starting Prefect's server, for the first time … ") for line in lines)
    assert [status.state for status in services(tmp_path).status()] == ["absent"]
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(tmp_path / "stand_in.py") in command]


def test_a_server_that_has_fallen_silent_is_replaced(
    tmp_path: Path, stand_in: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = services(tmp_path)
    first = asked.ensure_prefect(silent)
    (status,) = asked.status()
    assert status.record is not None
    os.kill(status.record.pid, signal.SIGSTOP)
    assert [found.state for found in asked.status()] == ["starting"]
    record = json.loads((tmp_path / "services.json").read_text())
    record["services"][0]["started_at"] -= 1_000_000
    (tmp_path / "services.json").write_text(json.dumps(record))
    assert [found.state for found in asked.status()] == ["silent"]
    monkeypatch.setattr("toolkit.flows.services._GRACE", 0.2)
    lines: list[str] = []
    again = asked.ensure_prefect(lines.append)
    assert lines[0] == f"prefect (pid {status.record.pid}) does not answer and is started again"
    assert (again.started, again.api_url) == (True, first.api_url)
    assert not status.record.process.is_alive()


def test_a_server_whose_starter_was_killed_is_waited_for(tmp_path: Path, stand_in: dict[str, str]) -> None:
    """Also where another version recorded it."""
    stand_in["delay"] = "1"
    port = prefect_server.choose_port(0)
    process = prefect_server.launch(tmp_path, port, environment(tmp_path))
    asked = services(tmp_path)
    record = {
        "name": "prefect", "url": "", "host": "127.0.0.1", "port": port, "pid": process.pid,
        "process_started": process.started, "log": "", "started_at": now_ms(), "version": "", "of_tomorrow": 1,
    }  # fmt: skip
    (tmp_path / "services.json").write_text(json.dumps({"format": 1, "services": [record]}))
    server = asked.ensure_prefect(silent)
    assert (server.started, server.api_url) == (False, f"http://127.0.0.1:{port}/api")


def test_a_process_id_that_is_somebody_elses_by_now_is_left_alone(tmp_path: Path, stand_in: dict[str, str]) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        time.sleep(0.1)
        asked = services(tmp_path)
        asked.ensure_prefect(silent)
        (status,) = asked.status()
        assert status.record is not None
        status.record.process.stop(1.0)
        text = (tmp_path / "services.json").read_text()
        (tmp_path / "services.json").write_text(text.replace(f'"pid": {status.record.pid}', f'"pid": {bystander.pid}'))
        assert [found.state for found in asked.status()] == ["stale"]
        assert [found.state for found in asked.status()] == ["absent"]
        (tmp_path / "services.json").write_text(text.replace(f'"pid": {status.record.pid}', f'"pid": {bystander.pid}'))
        assert asked.stop_all(silent) == []
        assert bystander.poll() is None
        bystander.communicate(b"\n")


def test_the_whole_group_is_ended_and_what_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    from toolkit.flows import service_process

    program = (
        "import os, signal, time; signal.signal(15, signal.SIG_IGN); print(os.fork(), flush=True); time.sleep(600)"
    )
    log = tmp_path / "log"
    process = service_process.start(
        [sys.executable, "-W", "ignore", "-c", program], environment=environment(tmp_path), directory=tmp_path, log=log
    )
    while len(lines := log.read_text().split()) < 2:
        time.sleep(0.02)
    child = psutil.Process(int(max(lines, key=int)))
    assert process.stop(0.2)
    child.wait(5)
    assert not process.is_alive()
    assert not process.stop(0.2)


def test_a_record_that_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"services": [{"name": "prefect"}]}'):
        (tmp_path / "services.json").write_text(text)
        assert [status.state for status in services(tmp_path).status()] == ["absent"]


# -- the user's own server ---------------------------------------------------------------------------


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Answer each request on a port of this machine, and yield the API address of that."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/api/health" else 404)
            self.end_headers()
            self.wfile.write(b"true")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [200, 401])
def test_the_users_server_is_used_and_none_is_started(tmp_path: Path, status: int) -> None:
    with answering(status) as url:
        asked = services(tmp_path, PREFECT_API_URL=url + "/")
        assert asked.ensure_prefect(silent) == PrefectServer(
            api_url=url, ui_url=url.removesuffix("/api"), external=True, started=False, home=None
        )
        (found,) = asked.status()
    assert (found.state, found.url, found.note) == (
        "external", url, "named by the environment variable PREFECT_API_URL",
    )  # fmt: skip
    assert not (tmp_path / "prefect").exists()


def test_a_server_of_the_users_that_does_not_answer_is_said_clearly(tmp_path: Path) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/api"
        with pytest.raises(
            ServiceError, match=f"server at {url}, which the environment variable PREFECT_API_URL names"
        ):
            services(tmp_path, PREFECT_API_URL=url).ensure_prefect(silent)
    with answering(503) as url, pytest.raises(ServiceError, match="it answers 503"):
        services(tmp_path, PREFECT_API_URL=url).ensure_prefect(silent)
    with pytest.raises(ServiceError, match="cannot be used"):
        services(tmp_path, PREFECT_API_URL="no address").ensure_prefect(silent)


def test_a_process_that_never_was(tmp_path: Path) -> None:
    nobody = ServiceProcess(pid=2**22 - 3, started=1.0, since_boot=1.0)
    assert not nobody.is_alive()
    assert not nobody.listens_on(1)
    assert not nobody.stop(0.1)
