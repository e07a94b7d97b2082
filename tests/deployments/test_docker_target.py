"""Containers as a target, without an engine: options, what is missing, and the process in front. With one: journeys."""

from __future__ import annotations

import http.server
import json
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from placements import placement

from toolkit.deployments import front_process
from toolkit.deployments.containerize import backend_of, image_name
from toolkit.deployments.quantity import cpu_cores, memory_bytes
from toolkit.deployments.target import Instance
from toolkit.deployments.targets.docker import DockerTarget
from toolkit.errors import InvalidValue, MissingTool, TargetFailed
from toolkit.flows.environments import engine

LONG = 300.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bla": "1"}, "docker has no option 'bla': wanted some of backend, host, network, port"),
        ({"port": "0"}, "option port of docker is '0'"),
        ({"port": "70000"}, "option port of docker is 70000: wanted a number from 1 to 65535"),
        ({"port": "80; touch broken"}, "option port of docker is '80; touch broken'"),
        ({"host": "example.com"}, "wanted an IP address"),
        ({"network": "other"}, "wanted bridge or host"),
        ({"backend": "rm"}, "wanted one of docker, podman, buildah, nerdctl"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_an_engine_is_asked(
    options: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(InvalidValue, match=said):
        DockerTarget().require(options)


def test_without_an_engine_it_says_what_is_missing_and_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(MissingTool, match="the docker target needs a container engine, and none answers at unix:///no"):
        DockerTarget().require({})
    assert DockerTarget().found("wine", 1) == []
    health = DockerTarget().health(Instance(id="toolkit-wine-1", private_address="http://127.0.0.1:1"))
    assert (health.state, "none answers" in health.message) == ("failing", True)


class HangingEngine(socketserver.ThreadingUnixStreamServer):
    """An engine that says once who it is, and hangs then, as one does whose disk or machine is stuck."""

    daemon_threads = True

    def __init__(self, place: Path) -> None:
        super().__init__(str(place), Hanging)
        self.asked: list[str] = []
        self.over = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()


class Hanging(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        engine = self.server
        assert isinstance(engine, HangingEngine)
        engine.asked.append(self.path)
        if len(engine.asked) > 1:
            engine.over.wait(LONG)
            return
        body = json.dumps({"ApiVersion": "1.44", "Components": [{"Name": "Engine"}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "a socket"  # of which the library expects a host and a port

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the form of it
        pass


def test_an_engine_that_hangs_is_told_as_such(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hanging = HangingEngine(tmp_path / "engine.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
    monkeypatch.setattr(engine, "_DOES_IN", 0.5)
    try:
        with pytest.raises(TargetFailed, match=r"^the engine does not answer: .*timed out"):
            DockerTarget().require({})
        assert len(hanging.asked) == 2  # it was there, and then it was not
        monkeypatch.setattr(engine, "_ANSWERS_IN", 0.5)
        health = DockerTarget().health(Instance(id="toolkit-wine-1", private_address="http://127.0.0.1:1"))
        assert health.state == "failing"
    finally:
        hanging.end()


def test_without_a_builder_of_images_it_says_which_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="docker, podman, buildah or nerdctl, and none of them is here"):
        backend_of("")
    with pytest.raises(MissingTool, match="built with buildah, and there is no such program here"):
        backend_of("buildah", engine="podman")
    for name in ("docker", "buildah"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert [backend_of(""), backend_of("buildah"), backend_of("", engine="podman")] == ["docker", "buildah", "docker"]


def test_an_image_is_called_after_what_it_was_built_from(tmp_path: Path) -> None:
    bento = placement(tmp_path, {}).bento
    assert image_name(bento) == "localhost/wine-quality:3-abababababab"


@pytest.mark.parametrize(
    ("text", "size"),
    [("512Mi", 512 * 2**20), ("2G", 2 * 10**9), ("1.5Gi", 3 * 2**29), ("1000", 1000), ("1K", 1000), ("64MiB", 2**26)],
)
def test_memory_is_written_as_for_clusters(text: str, size: int) -> None:
    assert memory_bytes(text) == size


@pytest.mark.parametrize(("text", "cores"), [("2", 2.0), ("0.5", 0.5), ("500m", 0.5)])
def test_processor_time_is_written_as_for_clusters(text: str, cores: float) -> None:
    assert cpu_cores(text) == cores


@pytest.mark.parametrize("text", ["", "much", "-1", "0", "1Zi", "1 G B"])
def test_no_quantity_is_told(text: str) -> None:
    with pytest.raises(InvalidValue, match="wanted such as"):
        memory_bytes(text)
    with pytest.raises(InvalidValue, match="wanted such as"):
        cpu_cores(text)


# -- the process in front ----------------------------------------------------------------------------


class Release(http.server.ThreadingHTTPServer):
    """Answers its name, after a while if it is asked to."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.word = name
        self.begun, self.go = threading.Event(), threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, Release)
        size = len(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/wait":
            self.server.begun.set()
            self.server.go.wait(LONG)
        body = f"{self.server.word} {size}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the form of it
        pass


@contextmanager
def front(target: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = Path(str(front_process.__file__)).read_text()
    process = subprocess.Popen(
        [sys.executable, "-c", source, "127.0.0.1", str(port), str(target)], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert b"passing" in process.stdout.readline()
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.communicate()


def ask(url: str, body: bytes = b"") -> str:
    with urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST"), timeout=LONG) as answer:
        text: str = answer.read().decode()
        return text


def move(target: Path, place: str) -> None:
    new = target.with_suffix(".new")
    new.write_text(place)
    new.replace(target)


def test_traffic_moves_by_a_replaced_file_and_what_has_begun_is_answered(tmp_path: Path) -> None:
    target = tmp_path / "target"
    one, two = Release("one"), Release("two")
    with front(target) as (url, process):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(url)
        with refused.value:
            assert (refused.value.code, json.load(refused.value)["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        move(target, one.place)
        assert ask(url, b"x" * 3_000_000) == "one 3000000"
        answers: list[str] = []
        waiting = threading.Thread(target=lambda: answers.append(ask(f"{url}/wait", b"abc")))
        waiting.start()
        assert one.begun.wait(LONG)
        move(target, two.place)
        assert ask(url, b"abc") == "two 3"
        process.terminate()  # it ends after what it has begun
        time.sleep(0.2)
        assert process.poll() is None
        one.go.set()
        waiting.join(LONG)
        assert answers == ["one 3"]
        assert process.wait(LONG) == 0
    for each in (one, two):
        each.shutdown()
        each.server_close()


def test_a_release_that_is_gone_is_told_at_once(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with front(target) as (url, _):
        target.write_text("127.0.0.1:1")
        with pytest.raises(urllib.error.HTTPError, match="503"):
            ask(url)
