"""Deployments on this machine: real workers of small Bentos, kept by a real supervisor."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
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
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from typer.testing import CliRunner

from toolkit.deployments import log_file, supervised
from toolkit.deployments.bento import BuiltBento
from toolkit.deployments.config import ServiceConfig
from toolkit.deployments.control import Control
from toolkit.deployments.target import Health, Instance, Placement
from toolkit.deployments.targets.local import LocalTarget
from toolkit.errors import InvalidValue, TargetFailed
from toolkit.flows.services import Services
from toolkit.settings import environment

LONG = 300.0
"""Seconds that anything may take on a slow machine."""

SERVICE = """
import asyncio
import os
from pathlib import Path

import bentoml
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

WORD = Path(__file__).with_name("word.txt").read_text()
if WORD == "bad":
    raise RuntimeError("this version cannot be loaded")


async def word(request):
    await asyncio.sleep(float(request.query_params.get("wait", "0")))
    return PlainTextResponse(
        f"{WORD} {os.getpid()} {os.environ.get('TOOLKIT_HOME', '-')} "
        f"{os.environ.get('TOOLKIT_SAMPLES', '-')}"
    )


@bentoml.service(name="words", logging={"access": {"enabled": False}})
class Words:
    @bentoml.api
    def hello(self, name: str) -> str:
        return f"{WORD} {name}"


Words.mount_asgi_app(Starlette(routes=[Route("/word", word)]), path="/")
"""

BUILD = """
import sys
from pathlib import Path

import bentoml

for word in sys.argv[1:]:
    Path("word.txt").write_text(word)
    bentoml.bentos.build("service:Words", name="words", version=word, include=["service.py", "word.txt"], build_ctx=".")
"""


@pytest.fixture(scope="module")
def bentos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of BentoML's with ``words:one``, ``words:two`` and ``words:bad``."""
    source, store = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("bentoml")
    (source / "service.py").write_text(SERVICE)
    (source / "build.py").write_text(BUILD)
    told = environment(BENTOML_HOME=str(store), BENTOML_DO_NOT_TRACK="True")
    command = [sys.executable, "-P", "build.py", "one", "two", "bad"]
    done = subprocess.run(command, cwd=source, env=told, capture_output=True, text=True, timeout=LONG, check=False)
    assert done.returncode == 0, done.stderr
    return store


@pytest.fixture(scope="module")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose supervisor is ended with the module."""
    home = tmp_path_factory.mktemp("running")
    yield home
    services(home).stop_all(silent)


@pytest.fixture
def home(_running: Path, bentos: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That home; what a test leaves running in it is stopped."""
    monkeypatch.setenv("BENTOML_HOME", str(bentos))
    monkeypatch.setenv("TOOLKIT_HOME", str(_running))
    yield _running
    target = LocalTarget(_running)
    port = services(_running).running_supervisor()
    for each in [] if port is None else Control(_running, port).all():
        target.stop(Instance(id=each["id"]))


def services(home: Path) -> Services:
    return Services(home, environ=environment(), directory=home)


def silent(line: str) -> None:
    """Take a line of progress."""


def control(home: Path) -> Control:
    port = services(home).running_supervisor()
    assert port is not None
    return Control(home, port)


def placement(
    home: Path, name: str, release: int, word: str, workers: int = 1, sample_rate: float = 0.0, **options: str
) -> Placement:
    folder = home / "deployments" / name / str(release)
    folder.mkdir(parents=True, exist_ok=True)
    bento = BuiltBento(
        tag=f"words:{word}",
        digest="",
        path=folder,
        model="words",
        version=release,
        run_id=None,
        model_path=folder,
        made=True,
    )
    config = ServiceConfig(workers=workers, sample_rate=sample_rate)
    return Placement(deployment=name, release=release, bento=bento, config=config, options=options, folder=folder)


def eventually(target: LocalTarget, instance: Instance, *states: str) -> Health:
    """Wait until it is in one of the states."""
    until = time.monotonic() + LONG
    while (health := target.health(instance)).state not in states:
        assert time.monotonic() < until, health
        time.sleep(0.05)
    return health


def started(home: Path, name: str, release: int, word: str, workers: int = 1, **options: str) -> Instance:
    target = LocalTarget(home)
    instance = target.start(placement(home, name, release, word, workers, 0.0, **options))
    assert eventually(target, instance, "ready", "gone") == Health(state="ready")
    return instance


def get(url: str | None) -> str:
    assert url is not None
    with urllib.request.urlopen(url, timeout=LONG) as answer:
        return str(answer.read().decode())


def word(url: str | None) -> str:
    return get(f"{url}/word").split()[0]


def free_port() -> int:
    """Return a port that is free, and none of those that the system gives out."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), closing(socket.create_server(("127.0.0.1", port))):
            return port


class Asking:
    """Clients that ask without a pause until told to stop: half of them keep their connection, half never do."""

    def __init__(self, address: str, clients: int = 4) -> None:
        self._where = urlsplit(address).netloc
        self._stop = threading.Event()
        self.words: list[str] = []
        self.problems: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(number % 2 == 0,)) for number in range(clients)]

    def __enter__(self) -> Asking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def until(self, word: str, count: int) -> None:
        """Wait until a word was heard a number of times."""
        until = time.monotonic() + LONG
        while self.words.count(word) < count:
            assert not self.problems, self.problems
            assert time.monotonic() < until
            time.sleep(0.01)

    def _ask(self, keep: bool) -> None:
        connection, answered = http.client.HTTPConnection(self._where, timeout=LONG), 0.0
        while not self._stop.is_set():
            idle = time.monotonic() - answered
            try:
                connection.request("GET", "/word")
                self.words.append(connection.getresponse().read().decode().split()[0])
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if not answered or idle < 3:  # a server may end a connection that is idle for 5 s
                    self.problems.append(repr(error))
            answered = time.monotonic() if keep else 0.0
            if not keep:
                connection.close()
            time.sleep(0.002)
        connection.close()


def test_a_release_serves_on_the_loopback_address_and_its_successor_takes_over_without_a_lost_request(
    home: Path,
) -> None:
    target = LocalTarget(home)
    one = started(home, "words", 1, "one")
    assert one.address is None
    assert word(one.private_address) == "one"
    one = target.switch(one, None)
    assert word(one.address) == "one"
    supervisor = next(each for each in services(home).status() if each.name == "deployments").record
    assert supervisor is not None
    family = [psutil.Process(supervisor.pid), *psutil.Process(supervisor.pid).children(recursive=True)]
    listening = [each.laddr.ip for process in family for each in process.net_connections() if each.status == "LISTEN"]
    assert set(listening) == {"127.0.0.1"}
    assert get(f"{one.address}/word").split()[2:] == ["-", "-"]  # the Bento is told nothing of ours

    assert one.address is not None
    with Asking(one.address) as asking, ThreadPoolExecutor(1) as beside:
        asking.until("one", 20)
        two = started(home, "words", 2, "two", workers=2)
        assert word(one.address) == "one"  # no traffic comes to it
        assert word(two.private_address) == "two"
        slow = beside.submit(get, f"{one.address}/word?wait=2")
        time.sleep(0.5)
        two = target.switch(two, one)
        asking.until("two", 20)
        target.stop(one)
        assert slow.result(LONG).split()[0] == "one"  # what was begun is answered
        asking.until("two", asking.words.count("two") + 20)
    assert asking.problems == []
    assert asking.words[-1] == "two"
    assert two.address == one.address
    assert target.health(one).state == "gone"
    assert target.health(two) == Health(state="ready")
    target.stop(one)  # what is gone is no error


def test_a_bad_version_is_given_up_and_takes_no_traffic(home: Path) -> None:
    target = LocalTarget(home)
    good = target.switch(started(home, "good", 1, "one"), None)
    bad = target.start(placement(home, "good", 2, "bad"))
    assert "this version cannot be loaded" in eventually(target, bad, "gone").message
    with pytest.raises(TargetFailed, match="does not answer"):
        target.switch(bad, good)
    assert word(good.address) == "one"
    assert "RuntimeError: this version cannot be loaded" in list(target.logs(bad))
    assert list(target.logs(bad, lines=1)) == ["RuntimeError: this version cannot be loaded"]
    target.stop(bad)
    assert target.found("good", 2) == []
    assert [each.id for each in target.found("good", 1)] == [good.id]


def test_a_worker_that_is_killed_comes_back_and_who_asks_meanwhile_waits(home: Path) -> None:
    target = LocalTarget(home)
    one = target.switch(started(home, "killed", 1, "one"), None)
    for _ in range(2):
        (before,) = control(home).one(one.id)["pids"]
        os.kill(before, signal.SIGKILL)
        assert word(one.address) == "one"  # of the next worker, or of the last breath of this one
        until = time.monotonic() + LONG
        while control(home).one(one.id)["pids"] in ([], [before]):
            assert time.monotonic() < until
        assert int(get(f"{one.address}/word").split()[1]) != before
    assert eventually(target, one, "ready") == Health(state="ready")
    assert control(home).one(one.id)["starts"] == 3


def test_what_served_is_taken_up_again_at_its_address(home: Path) -> None:
    target = LocalTarget(home)
    one = target.switch(started(home, "again", 1, "one"), None)
    beside = target.start(placement(home, "again", 2, "two"))
    pids = [pid for each in control(home).all() for pid in each["pids"]]
    assert [record.name for record in services(home).stop_all(silent)] == ["deployments"]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(urllib.error.URLError):
        word(one.address)
    assert target.health(one).state == "gone"
    services(home).ensure_supervisor(silent)
    assert word(one.address) == "one"
    assert target.health(beside).state == "gone"  # it never served
    port = services(home).running_supervisor()

    record = next(each.record for each in services(home).status() if each.name == "deployments")
    assert record is not None
    workers = [psutil.Process(pid) for pid in control(home).one(one.id)["pids"]]
    os.kill(record.pid, signal.SIGKILL)
    assert psutil.wait_procs(workers, timeout=LONG)[1] == []  # nobody would look after them
    assert services(home).ensure_supervisor(silent) == (port, True)
    assert word(one.address) == "one"
    services(home).stop_all(silent)
    target.stop(one)  # which starts what has to forget it
    assert supervised.read(home).doors == ()


def test_a_port_that_is_taken_is_told_before_and_after(home: Path) -> None:
    target = LocalTarget(home)
    port = free_port()
    told = f"port {port} on 127.0.0.1 cannot be listened on"
    with closing(socket.create_server(("127.0.0.1", port))), pytest.raises(TargetFailed, match=told):
        target.start(placement(home, "taken", 1, "one", port=str(port)))
    with pytest.raises(TargetFailed, match=r"192\.0\.2\.1 is no address of this machine"):  # it is nobody's
        target.start(placement(home, "taken", 1, "one", host="192.0.2.1"))
    assert target.found("taken", 1) == []
    one = target.switch(started(home, "taken", 1, "one", port=str(port)), None)
    assert one.address == f"http://127.0.0.1:{port}"
    services(home).stop_all(silent)
    with closing(socket.create_server(("127.0.0.1", port))):
        services(home).ensure_supervisor(silent)
        health = eventually(target, one, "failing")
        assert f"port {port} on 127.0.0.1 cannot be listened on" in health.message
    assert eventually(target, one, "ready") == Health(state="ready")
    assert word(one.address) == "one"


def test_an_update_may_move_to_another_port(home: Path) -> None:
    target = LocalTarget(home)
    one = target.switch(started(home, "moved", 1, "one"), None)
    port = free_port()
    two = target.switch(started(home, "moved", 2, "two", port=str(port)), one)
    assert word(two.address) == "two"
    assert two.address == f"http://127.0.0.1:{port}"
    with pytest.raises(urllib.error.URLError):
        word(one.address)
    back = target.switch(one, two)  # it is there still, and asks for no port
    assert (word(back.address), back.address) == ("one", two.address)


def test_lines_that_come_are_followed_until_the_end(home: Path) -> None:
    target = LocalTarget(home)
    one = started(home, "followed", 1, "one")
    log = Path(one.detail["log"])
    assert log == home / "deployments" / "followed" / "1.log"
    assert log.stat().st_mode & 0o077 == 0
    lines: list[str] = []
    reading = threading.Thread(target=lambda: lines.extend(target.logs(one, lines=50, follow=True)))
    reading.start()
    with log.open("a") as output:
        output.write("a line\n")
    target.stop(one)
    reading.join(LONG)
    assert "a line" in lines
    assert lines[-1].endswith("worker 1 has ended in order")


def test_what_a_release_sampled_is_collected_before_its_files_go(home: Path) -> None:
    target = LocalTarget(home)
    one = target.start(placement(home, "sampled", 1, "one", sample_rate=0.5))
    assert eventually(target, one, "ready", "gone").state == "ready"
    folder = Path(get(f"{one.private_address}/word").split()[3])
    assert folder == home / "deployments" / "sampled" / "samples" / "1"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text('{"time": 1}\n')
    target.stop(one)
    assert not (folder / "a.jsonl").exists()
    assert (home / "artifacts" / folder.relative_to(home) / "a.jsonl").read_text() == '{"time": 1}\n'


def test_commands_say_a_token(home: Path) -> None:
    one = started(home, "token", 1, "one")
    port = services(home).running_supervisor()
    for headers in ({}, {"Authorization": "Bearer guess"}):
        for method, path in (("GET", "/releases"), ("DELETE", f"/releases/{one.id}")):
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers, method=method)
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(request, timeout=LONG)
    assert (home / "deployments" / ".supervisor.token").stat().st_mode & 0o077 == 0
    assert LocalTarget(home).health(one).state == "ready"


def test_up_status_and_down_know_the_deployments(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.cli import down, status, up

    target = LocalTarget(home)
    one = target.switch(started(home, "listed", 1, "one"), None)
    runner = CliRunner()
    shown = runner.invoke(status.app, ["--json"])
    (row,) = [each for each in json.loads(shown.stdout)["services"] if each["name"] == "deployments"]
    assert (row["state"], row["note"]) == ("running", f"listed at {one.address}")
    assert "stopped deployments (pid" in runner.invoke(down.app, []).output
    assert "deployments" not in runner.invoke(status.app, []).output
    with answering() as prefect:
        monkeypatch.setenv("PREFECT_API_URL", f"{prefect}/api")
        monkeypatch.setenv("TOOLKIT_TRACKING_URI", f"{prefect}")
        said = runner.invoke(up.app, [])
    assert f"deployments  listed at {one.address}  (started)" in said.output, said.output
    assert word(one.address) == "one"


def answering() -> closing[Answering]:
    return closing(Answering())


class Answering:
    """Something that says that it is well: the Prefect server that a user has named."""

    def __init__(self) -> None:
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"true")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __format__(self, spec: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"port": "0"}, "option port is '0': wanted a number from 1 to 65535"),
        ({"port": "http"}, "option port is 'http'"),
        ({"color": "red"}, "knows no option 'color': wanted host or port"),
        ({"host": ""}, "option host is empty"),
    ],
    ids=["port-0", "port-text", "unknown", "no-host"],
)
def test_options_are_checked(tmp_path: Path, options: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        LocalTarget(tmp_path).require(options)
    assert told in str(caught.value)


def test_without_a_supervisor_there_is_nothing(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path)
    nothing = Instance(id="words-1-0")
    assert target.health(nothing).state == "gone"
    assert target.found("words", 1) == []
    target.stop(nothing)
    with pytest.raises(TargetFailed, match="toolkit up starts it"):
        target.switch(nothing, None)
    assert not (tmp_path / "services.json").exists()


def test_a_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    assert log_file.last_lines(log, 5) == []
    with log.open("a") as writer:
        print("first", "second", sep="\n", file=writer, flush=True)
        assert not log_file.turn_over(log, limit=100)
        assert log_file.turn_over(log, limit=5)
        print("third", file=writer, flush=True)
    assert log.read_text() == "third\n"
    assert log_file.last_lines(log, 5) == ["first", "second", "third"]
    assert log_file.last_lines(log, 2) == ["second", "third"]
    assert log_file.last_lines(log, 0) == []
    assert log_file.last_words(log) == "third"
    log.write_text(
        "Traceback (most recent call last):\n  File\na.b.NoWeights: none\n\n1 ERROR it ends\nSystemExit: 3\n"
    )
    assert log_file.last_words(log) == "a.b.NoWeights: none"


def test_a_file_that_cannot_be_understood_keeps_nothing(tmp_path: Path) -> None:
    file = tmp_path / "deployments" / ".supervisor.json"
    file.parent.mkdir()
    for text in ("", "[]", '{"doors": 3}', textwrap.dedent("""{"doors": [{"deployment": "x"}], "instances": []}""")):
        file.write_text(text)
        assert supervised.read(tmp_path) == supervised.Remembered()
