"""Who may ask, which page may have sent it, and how large it may be."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from server import API, PROXY, Server, serving

from toolkit.server import guard, protocol


def get(server: Server, host: str, path: str = "/health") -> int:
    answer = server.raw(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode(), wait=5)
    return status(answer)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def names(server: Server) -> int:
    return len(server.api("GET", "experiments/search", max_results="100")["experiments"])


# -- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LocalHost:{port}"])
def test_the_own_names(server: Server, host: str) -> None:
    assert get(server, host.format(port=server.port)) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "localhost",
        "localhost:1",
        "localhost.:{port}",
        "localhost.evil:{port}",
        "127.0.0.1.evil:{port}",
        "10.attacker.example:{port}",
        "192.168.attacker.example",
        "172.20.x.example",
        "localhost:x.attacker.example",
        "localhost:{port}@evil.example",
        "evil.example#localhost:{port}",
        "[::2]:{port}",
        "[::ffff:127.0.0.1]:{port}",
        "0.0.0.0:{port}",
        "",
    ],
)
def test_cve_2025_14279_no_other_name_is_served(server: Server, host: str) -> None:
    for path in ("/health", "/version", f"{API}experiments/search?max_results=1", f"{PROXY}?path=0"):
        assert get(server, host.format(port=server.port), path) in (400, 403), path


def test_two_names_or_none_are_refused(server: Server) -> None:
    own = f"Host: localhost:{server.port}\r\n"
    for sent in (
        f"GET /health HTTP/1.1\r\n{own}Host: evil.example\r\nConnection: close\r\n\r\n",
        f"GET /health HTTP/1.1\r\n{own}{own}Connection: close\r\n\r\n",
        "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET /health HTTP/1.0\r\n\r\n",
    ):
        assert status(server.raw(sent.encode(), wait=5)) == 400, sent


def test_cve_2026_48710_a_whole_url_as_target_is_refused(server: Server) -> None:
    own = f"Host: localhost:{server.port}\r\nConnection: close\r\n\r\n"
    for target in ("http://evil.example/health", f"http://localhost:{server.port}/health", "*", "evil.example:80"):
        assert status(server.raw(f"GET {target} HTTP/1.1\r\n{own}".encode(), wait=5)) == 400, target


def test_names_that_the_operator_adds(tmp_path: Path) -> None:
    with serving(tmp_path / "home", allowed_hosts=["mlflow.example", "other.example:8443"]) as server:
        served = ["mlflow.example", f"MLFLOW.example:{server.port}", "mlflow.example:443", "other.example:8443"]
        assert [get(server, host) for host in [*served, f"localhost:{server.port}"]] == [200] * 5
        refused = ["mlflow.example:99", "other.example", "x.mlflow.example", "mlflow.example.evil", "mlflow.example."]
        assert [get(server, host) for host in refused] == [403] * 5


def test_any_name_if_the_operator_says_so(tmp_path: Path) -> None:
    with serving(tmp_path / "home", allowed_hosts=["*"]) as server:
        assert get(server, "whatever.example") == 200
        made = server.call(
            "POST", f"{API}experiments/create", {"name": "e"}, {"Host": "a.example", "Origin": "http://evil.example"}
        )
        assert made.status == 403


# -- pages -------------------------------------------------------------------------------------------

FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "file://"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://127.0.0.1.evil.example"},
]
CHANGES = [
    ("POST", f"{API}experiments/create"),
    ("POST", "/ajax-api/2.0/mlflow/experiments/create"),
    ("POST", f"{API}runs/delete"),
    ("PUT", f"{PROXY}/0/r/artifacts/a"),
    ("DELETE", f"{PROXY}/0/r/artifacts/a"),
    ("PATCH", f"{API}logged-models/m"),
    ("POST", "/no/such/route"),
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_cve_2026_2611_pages_of_others_change_nothing(server: Server, headers: dict[str, str]) -> None:
    for method, path in CHANGES:
        answer = server.call(method, path, {"name": "forged"}, headers)
        assert (answer.status, answer.json["error_code"]) == (403, "PERMISSION_DENIED"), path
    assert names(server) == 1


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None, "", "text/json"],
)
def test_cve_2023_43472_a_simple_request_with_json_in_it_changes_nothing(server: Server, kind: str | None) -> None:
    body = json.dumps({"name": "forged"}).encode()
    answer = server.call("POST", f"{API}experiments/create", body, {} if kind is None else {"Content-Type": kind})

    assert answer.status == 400
    assert names(server) == 1


def test_our_own_pages_and_programs_may(server: Server) -> None:
    own = f"http://127.0.0.1:{server.port}"
    for number, headers in enumerate(
        [{"Origin": own}, {"Origin": own, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}]
    ):
        answer = server.call("POST", f"{API}experiments/create", {"name": f"e{number}"}, headers)
        assert answer.status == 200, headers


def test_no_other_page_may_read(server: Server) -> None:
    asked = server.call("OPTIONS", f"{API}experiments/create", None, {"Origin": "http://evil.example"})
    read = server.call("GET", f"{API}experiments/search", None, {"Origin": "http://evil.example"}, max_results="1")

    assert asked.status == 405
    assert not [name for name in {**asked.headers, **read.headers} if name.startswith("access-control")]


def test_headers_of_every_answer(server: Server) -> None:
    for path in ("/health", "/no/such", f"{API}experiments/get?experiment_id=99"):
        headers = server.call("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["content-security-policy"].startswith("default-src 'self'; script-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]


def test_cve_2023_6568_what_a_client_says_does_not_come_back_as_a_page(server: Server) -> None:
    script = "<script>alert(1)</script>"
    answers = [
        server.call("POST", f"{API}experiments/create", b"{}", {"Content-Type": script}),
        server.call("GET", f"/{script}"),
        server.call("GET", f"{API}experiments/get-by-name", experiment_name=script),
    ]
    assert [answer.headers["content-type"] for answer in answers] == ["application/json"] * 3


# -- sizes and times ---------------------------------------------------------------------------------


def test_a_body_over_the_limit_is_refused_before_it_is_read(server: Server) -> None:
    head = (
        f"POST {API}experiments/create HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Type: application/json\r\n"
    )
    announced = server.raw(f"{head}Content-Length: {guard.BODY_LIMIT + 1}\r\n\r\n".encode(), wait=2)
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    chunked = server.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 65, wait=2)

    assert status(announced) == 413
    assert status(chunked) == 413


def test_a_body_at_the_limit_is_taken(server: Server) -> None:
    body = b'{"name": "e"}'
    padded = body + b" " * (guard.BODY_LIMIT - len(body))

    answer = server.call("POST", f"{API}experiments/create", padded, {"Content-Type": "application/json"})

    assert answer.status == 200
    assert names(server) == 2


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 100_000, b'{"name":' + b"[{" * 30 + b"}]" * 30 + b"}", b"[ " * 50_000],
    ids=["lists", "objects", "whole", "spaces"],
)
def test_deep_json_is_refused(server: Server, body: bytes) -> None:
    answer = server.call("POST", f"{API}experiments/create", body, {"Content-Type": "application/json"})

    assert answer.status == 400
    assert "nested" in answer.json["message"]


def test_brackets_in_texts_are_no_nesting(server: Server) -> None:
    name = '["{' * 50 + "\\"
    made = server.api("POST", "experiments/create", {"name": name})

    assert server.api("GET", "experiments/get", experiment_id=made["experiment_id"])["experiment"]["name"] == name


def test_long_batches_are_not_deep(server: Server) -> None:
    run = server.new_run()
    metrics = [{"key": "m", "value": 1.0, "timestamp": 1, "step": step} for step in range(1000)]

    server.api("POST", "runs/log-batch", {"run_id": run, "metrics": metrics})


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server that waits for a part of a second where it would wait for half a minute."""
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 0.5)
    monkeypatch.setattr(guard, "READ_TIME", 0.5)
    with serving(tmp_path / "home") as found:
        yield found


def test_who_sends_headers_slowly_is_sent_away(impatient: Server) -> None:
    for first in (b"", b"G", b"GET /health HTTP/1.1\r\nHost: "):
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", impatient.port), timeout=20) as connection:
            connection.sendall(first)
            assert connection.recv(100) == b""
        assert time.monotonic() - began < 15


def test_who_sends_a_body_slowly_is_sent_away(impatient: Server) -> None:
    lines = [f"POST {API}experiments/create HTTP/1.1", f"Host: localhost:{impatient.port}"]
    lines += ["Content-Type: application/json", "Content-Length: 100", "", ""]

    answer = impatient.raw(["\r\n".join(lines).encode(), *[b"{"] * 3], pause=0.2)

    assert status(answer) == 408
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: {own}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: {own}\r\nContent-Length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: {own}\r\nContent-Length: 1, 2\r\n\r\nab",
        b"POST /x HTTP/1.1\r\nHost: {own}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: {own}\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: {own}\r\nX: " + b"y" * 400_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(server: Server, sent: bytes) -> None:
    own = f"localhost:{server.port}".encode()

    answer = server.raw(sent.replace(b"{own}", own), end=True, wait=5)

    assert 400 <= status(answer) < 500
    assert server.call("GET", "/health").status == 200
