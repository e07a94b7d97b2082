"""Nonsense on MLflow's wire and on the socket: it is answered in time and never the server's fault, which serves on."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from server import API, PROXY, Answer, Server, serving

from toolkit.server import guard, protocol
from toolkit.server.artifacts.files import Limits
from toolkit.server.wire.routes import ENDPOINTS

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "4"))
SEED = int(os.environ.get("FAULT_SEED", "20261121"))
WITHIN = 20.0
"""Seconds after which a request that is not answered hangs."""

_TRACES = re.compile(rb'Traceback|File "|sqlalchemy|sqlite3|psycopg|/work/|/tmp/')
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["0", "", "NaN", "ACTIVE_ONLY", "RUNNING", "metrics.m < 1", "a" * 9_000, "\ud800", "\0", "../x"])
    | st.sampled_from([2**63, -(2**63) - 1, 10**400, 1e308, "9" * 5_000, "1e400", "-0", "1_0", "٣", "%", "'", '"'])
)
_JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
)
_drawn = settings(
    max_examples=ROUNDS,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("raw") / "home") as found:
        yield found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stocked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Right]]:
    """A server, and right requests to each endpoint of the wire."""
    url = None
    if request.param == "postgresql":
        made = request.getfixturevalue("postgres_server")
        url = made.url(made.new_database(request.getfixturevalue("postgres_template")))
    print(f"FAULT_SEED={SEED}")
    with serving(tmp_path_factory.mktemp("stocked") / "home", tracking_uri=url) as found:
        yield found, right_requests(found)


@pytest.fixture(autouse=True)
def no_failure_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What the server takes for its own fault is in its log."""
    yield
    faults = [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    assert faults == [], [record.getMessage() for record in faults]


def is_well(server: Server) -> None:
    assert server.call("GET", "/health").body == b"OK"
    assert server.call("GET", f"{API}experiments/get", None, None, experiment_id="0").status == 200


# -- MLflow's wire -----------------------------------------------------------------------------------

Right = dict[tuple[str, str], dict[str, Any]]


def right_requests(server: Server) -> Right:
    """Return a right request for each endpoint; what it is about is made."""
    experiment = server.api("POST", "experiments/create", {"name": "fuzzed"})["experiment_id"]
    run = server.new_run(experiment)
    model = server.api("POST", "logged-models", {"experiment_id": experiment, "name": "m"})["model"]["info"]["model_id"]
    server.api("POST", "registered-models/create", {"name": "wine"})
    server.api("POST", "model-versions/create", {"name": "wine", "source": f"runs:/{run}/y", "run_id": run})
    metric = {"key": "m", "value": 1.5, "timestamp": 7, "step": 3}
    pair = {"key": "k", "value": "v"}
    dataset = {"name": "d", "digest": "1", "source_type": "local", "source": "{}", "schema": "{}"}
    version = {"name": "wine", "version": "1"}
    page = {"max_results": 5, "page_token": ""}
    logged = {"run_id": run, "artifact_path": "a", "utc_time_created": "2026", "flavors": {}}
    about: dict[str, dict[str, Any]] = {
        "experiments/create": {"name": "other", "artifact_location": "s3://b/x", "tags": [pair]},
        "experiments/get": {"experiment_id": experiment},
        "experiments/get-by-name": {"experiment_name": "fuzzed"},
        "experiments/search": {"filter": "name = 'fuzzed'", "order_by": ["name"], "view_type": "ALL", **page},
        "experiments/update": {"experiment_id": experiment, "new_name": "fuzzed"},
        "experiments/delete": {"experiment_id": experiment},
        "experiments/restore": {"experiment_id": experiment},
        "experiments/set-experiment-tag": {"experiment_id": experiment, **pair},
        "experiments/delete-experiment-tag": {"experiment_id": experiment, "key": "k"},
        "experiments/search-datasets": {"experiment_ids": [experiment]},
        "runs/create": {"experiment_id": experiment, "user_id": "u", "start_time": 1, "tags": [pair], "run_name": "n"},
        "runs/get": {"run_id": run},
        "runs/update": {"run_id": run, "status": "RUNNING", "end_time": 5, "run_name": "n"},
        "runs/delete": {"run_id": run},
        "runs/restore": {"run_id": run},
        "runs/search": {"experiment_ids": [experiment], "filter": "metrics.m > 0", "order_by": ["params.p"], **page},
        "runs/log-metric": {"run_id": run, **metric},
        "runs/log-parameter": {"run_id": run, **pair},
        "runs/set-tag": {"run_id": run, **pair},
        "runs/delete-tag": {"run_id": run, "key": "k"},
        "runs/log-batch": {"run_id": run, "metrics": [metric], "params": [pair], "tags": [pair]},
        "runs/log-inputs": {"run_id": run, "datasets": [{"dataset": dataset, "tags": [pair]}], "models": []},
        "runs/outputs": {"run_id": run, "models": [{"model_id": model, "step": 1}]},
        "runs/log-model": {"run_id": run, "model_json": json.dumps(logged)},
        "metrics/get-history": {"run_id": run, "metric_key": "m", **page},
        "metrics/get-history-bulk": {"run_id": [run], "metric_key": "m", "max_results": 5},
        "metrics/get-history-bulk-interval": {"run_ids": [run], "metric_key": "m", "start_step": 0, "end_step": 9},
        "artifacts/list": {"run_id": run, "path": "", "page_token": ""},
        "logged-models": {"experiment_id": experiment, "name": "m", "params": [pair], "tags": [pair]},
        "logged-models/search": {
            "experiment_ids": [experiment],
            "filter": "metrics.m > 0",
            "datasets": [{"dataset_name": "d", "dataset_digest": "1"}],
            "order_by": [{"field_name": "metrics.m", "ascending": True, "dataset_name": "d"}],
            **page,
        },
        "logged-models/{model_id}": {"status": "LOGGED_MODEL_READY"},
        "logged-models/{model_id}/tags": {"tags": [pair]},
        "logged-models/{model_id}/params": {"params": [pair]},
        "logged-models/{model_id}/artifacts/directories": {"artifact_directory_path": ""},
        "registered-models/create": {"name": "beer", "description": "d", "tags": [pair]},
        "registered-models/get": {"name": "wine"},
        "registered-models/search": {"filter": "name LIKE 'w%'", "order_by": ["name ASC"], **page},
        "registered-models/rename": {"name": "beer", "new_name": "ale"},
        "registered-models/update": {"name": "wine", "description": "d"},
        "registered-models/delete": {"name": "ale"},
        "registered-models/get-latest-versions": {"name": "wine", "stages": ["None"]},
        "registered-models/set-tag": {"name": "wine", **pair},
        "registered-models/delete-tag": {"name": "wine", "key": "k"},
        "registered-models/alias": {**version, "alias": "best"},
        "model-versions/create": {"name": "wine", "source": f"runs:/{run}/y", "run_id": run, "tags": [pair]},
        "model-versions/get": version,
        "model-versions/search": {"filter": "name = 'wine'", "order_by": ["version_number DESC"], **page},
        "model-versions/update": {**version, "description": "d"},
        "model-versions/transition-stage": {**version, "stage": "Staging", "archive_existing_versions": True},
        "model-versions/delete": {"name": "wine", "version": "7"},
        "model-versions/get-download-uri": version,
        "model-versions/set-tag": {**version, **pair},
        "model-versions/delete-tag": {**version, "key": "k"},
    }
    found: Right = {}
    for endpoint in ENDPOINTS:
        path = endpoint.path.replace("{model_id}", model).replace("{tag_key:path}", "k")
        body = about.get(endpoint.path, {})
        found |= {(method, path): body for method in endpoint.methods}
    unknown = {endpoint.path for endpoint in ENDPOINTS} - set(about) - {"logged-models/{model_id}/tags/{tag_key:path}"}
    assert not unknown, f"say what a right request to {unknown} is"
    return found


def _wrong(draw: Callable[[st.SearchStrategy[Any]], Any], body: Any) -> Any:  # noqa: ANN401 - any JSON
    """Change something of a right request, here or further inside."""
    if isinstance(body, list) and body and draw(st.booleans()):
        return [*body[:-1], _wrong(draw, body[-1])]
    if isinstance(body, dict) and body:
        changed = dict(body)
        for name in draw(st.lists(st.sampled_from([*body, "extra", "runUuid", "\0"]), min_size=1, max_size=2)):
            kind = draw(st.integers(0, 4))
            if kind == 0:
                changed.pop(name, None)
            elif kind == 1 and name in changed:
                changed[name] = _wrong(draw, changed[name])
            elif kind == 2:
                changed[name] = [changed.get(name)] * draw(st.integers(0, 3))
            else:
                changed[name] = draw(_JSON)
        return changed
    return draw(_JSON)


def _is_answer(answer: Answer, sent: object) -> None:
    """Check that it is an answer that a client of MLflow's reads."""
    assert answer.status in (200, 400, 403, 404, 409), (sent, answer)
    assert not _TRACES.search(answer.body) or answer.status == 200, (sent, answer.body)
    told = json.loads(answer.body.decode("utf-8"))
    assert answer.status == 200 or {"error_code", "message"} <= set(told), (sent, told)


def _send(server: Server, method: str, path: str, body: Any) -> Answer:  # noqa: ANN401 - any JSON
    if method != "GET":
        return server.call(method, f"{API}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    pairs = [
        (name.encode("utf-8", "surrogatepass"), str(each).encode("utf-8", "surrogatepass"))
        for name, value in (body.items() if isinstance(body, dict) else ())
        for each in (value if isinstance(value, list) else [value])
    ]
    return server.call("GET", f"{API}{path}?{urlencode(pairs)}"[:60_000])


def test_right_requests_are_right(stocked: tuple[Server, Right]) -> None:
    """Those that are changed below."""
    server, right = stocked
    for (method, path), body in right.items():
        answer = _send(server, method, path, body)
        _is_answer(answer, (method, path, body))
        assert answer.status in (200, 404) or "already" in answer.json["message"], (path, answer.body)


@seed(SEED)
@_drawn
@given(data=st.data())
def test_requests_of_the_wire_that_are_nearly_right(stocked: tuple[Server, Right], data: st.DataObject) -> None:
    """Each endpoint gets one in each example; all are answered with a reason, or done."""
    server, right = stocked
    for (method, path), body in right.items():
        sent = _wrong(data.draw, body)
        _is_answer(_send(server, method, path, sent), (method, path, sent))
    is_well(server)


def test_lists_without_measure(stocked: tuple[Server, Right]) -> None:
    """More values than a statement of the database can have."""
    server, count = stocked[0], 300_000
    ids = [str(number) for number in range(count)]
    for path, body in (
        ("runs/search", {"experiment_ids": ids}),
        ("experiments/search-datasets", {"experiment_ids": ids}),
        ("logged-models/search", {"experiment_ids": ids}),
        ("runs/search", {"experiment_ids": ["0"], "order_by": ["metrics.m"] * (count // 10)}),
        ("runs/search", {"experiment_ids": ["0"], "filter": " AND ".join(["metrics.m > 1"] * (count // 20))}),
        ("model-versions/search", {"filter": " AND ".join(["name = 'a'"] * (count // 20))}),
        ("runs/search", {"experiment_ids": ["0"], "filter": "run_id IN (" + ",".join(["'a'"] * count) + ")"}),
    ):
        _is_answer(_send(server, "POST" if path != "model-versions/search" else "GET", path, body), path)
    ours = {"Content-Type": "application/json"}
    owner = {"host": "h", "pid": 1, "started": 1}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("runs/sizes", {"run_ids": ids[:90_000]}),
        ("runs/list", {"experiment_ids": ids}),
        ("runs/list", {"status": ["RUNNING"] * count}),
        ("purge", {"run_ids": ids, "experiment_ids": ids[:1000]}),
        ("leases/renew", {"run_ids": ids[:90_000], "owner": owner, "lease_ms": 1}),
    ]
    for path, body in asked:
        answer = server.call("POST", f"/api/v1/{path}", json.dumps(body, separators=(",", ":")).encode(), ours)
        assert answer.status in (200, 400, 413), (path, answer.status, answer.body[:300])
    is_well(server)


@pytest.mark.parametrize(
    "query",
    [
        "run_id=" + "a" * 50_000,
        "&" * 60_000,
        "run_id=%00",
        "run_id=%ff%fe",
        "run_id=%",
        "run_id=%zz%u1234",
        "run_id[]=a&run_id[b]=c",
        "&".join(f"a{n}={n}" for n in range(4_000)),
        "&".join(["run_id=a"] * 6_000),
        "run_id=a;path=b",
        "=&==&=a",
        "run_id=a#b?c",
        "run_id=" + "%41" * 15_000,
    ],
    ids=lambda query: query[:20],
)
def test_absurd_queries(server: Server, query: str) -> None:
    for path in ("runs/get", "artifacts/list", "experiments/search", "metrics/get-history"):
        _is_answer(server.call("GET", f"{API}{path}?{query}"), (path, query[:50]))
    for path in (PROXY, f"{PROXY}/x", "/get-artifact", "/api/v1/runs/x", "/api/v1/experiments", "/"):
        assert server.call("GET", f"{path}?{query}").status in (200, 400, 403, 404), path


@pytest.mark.parametrize(
    "body",
    [
        b"\x00" * 1_000,
        b'{"name": "\xff\xfe"}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\x00b"}',
        b'\xef\xbb\xbf{"name": "a"}',
        '{"name": "a"}'.encode("utf-16"),
        b'{"name": ' + b"9" * 100_000 + b"}",
        b'{"name": 1e' + b"9" * 1_000 + b"}",
        b'{"name": "a", ' * 2_000,
        b'{"a": [' + b"[" * 40 + b'"' + b'\\"' * 2_000_000,
        b"[" * 40 + b'"\\' * 2_000_000,
        b"[{" * 1_000_000,
        b"{" + b",".join(b'"k%d": {}' % n for n in range(200_000)) + b"}",
        b'{"name": {"name": "a"}}',
        b"NaN",
        b'"' + b"\\" * 999_999,
        json.dumps(json.dumps({"name": ["twice"]})).encode(),
    ],
    ids=lambda body: repr(body[:14]),
)
def test_bodies_that_are_no_json(server: Server, body: bytes) -> None:
    """Also those that take long where somebody looks twice at each byte."""
    began = time.monotonic()
    for path in ("experiments/create", "runs/log-batch", "runs/search", "logged-models"):
        _is_answer(server.call("POST", f"{API}{path}", body, {"Content-Type": "application/json"}), body[:50])
    for method, path in (("POST", "runs"), ("PUT", "journal/j/entries?first=0"), ("POST", "runs/x/batch")):
        answer = server.call(method, f"/api/v1/{path}", body, {"Content-Type": "application/json"})
        assert answer.status in (200, 400, 404), (path, answer.body[:300])
    assert time.monotonic() - began < 7 * WITHIN
    is_well(server)


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/json; charset=utf-16", "application/json;" * 500, "\xff", "multipart/form-data"],
)
def test_bodies_of_other_types(server: Server, kind: str) -> None:
    for path in (f"{API}experiments/create", "/api/v1/experiments"):
        answer = server.call("POST", path, b'{"name": "typed"}', {"Content-Type": kind})
        assert answer.status in (200, 400), (path, answer.body)


# -- the socket --------------------------------------------------------------------------------------


def talk(port: int, sent: bytes | Sequence[bytes], *, pause: float = 0.0) -> bytes:
    """Send bytes; return all that comes until the server ends the connection.

    Where it says nothing, it is told that nothing more comes: then it has to end, too.
    """
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=WITHIN) as connection:
        try:
            for piece in [sent] if isinstance(sent, bytes) else sent:
                connection.sendall(piece)
                time.sleep(pause)
            connection.settimeout(0.4)
            try:
                while chunk := connection.recv(1 << 16):
                    got += chunk
                return got
            except TimeoutError:
                connection.settimeout(WITHIN)
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(1 << 16):
                got += chunk
        except ConnectionError:  # it has heard enough, and does not listen to the rest
            pass
    return got


def statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def is_harmless(answer: bytes, sent: object) -> None:
    assert all(status < 500 for status in statuses(answer)), (sent, answer[:500])
    assert not _TRACES.search(answer), (sent, answer[:500])


def templates(port: int) -> list[bytes]:
    """Return right requests, as bytes."""
    host = f"Host: 127.0.0.1:{port}\r\n"
    body = b'{"experiment_ids": ["0"], "max_results": 1}'
    head = f"POST {API}runs/search HTTP/1.1\r\n{host}Content-Type: application/json\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\n\r\n"
    get = f"GET {API}experiments/get?experiment_id=0 HTTP/1.1\r\n{host}Accept: */*\r\n\r\n".encode()
    put = f"PUT {PROXY}/0/x/artifacts/a HTTP/1.1\r\n{host}Content-Length: 10\r\n\r\n0123456789".encode()
    journal = (
        f"PUT /api/v1/journal/raw/entries?first=0 HTTP/1.1\r\n{host}Content-Type: application/vnd.toolkit.journal\r\n"
    )
    return [
        get,
        f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body,
        f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks,
        f"{head}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body,
        put,
        f"{journal}Transfer-Encoding: chunked\r\n\r\n4\r\n\0\0\0\0\r\n0\r\nX: y\r\n\r\n".encode(),
        get * 3,
        put + get,
        f"DELETE {PROXY}/0/x/artifacts/a HTTP/1.1\r\n{host}\r\n".encode(),
        f"GET /get-artifact?run_id=x&path=a HTTP/1.1\r\n{host}Range: bytes=0-5\r\nIf-None-Match: *\r\n\r\n".encode(),
    ]


def spoilt(request: bytes, draws: random.Random) -> bytes:
    """Return a request with something wrong."""
    at, end = sorted((draws.randrange(len(request) + 1), draws.randrange(len(request) + 1)))
    noise = draws.choice([b"\r\n", b"\n", b"\0", b"\xff", b": ", b" ", b"\r\n\r\n", b"%00", b"../", draws.randbytes(9)])
    match draws.randrange(7):
        case 0:
            return request[:at]
        case 1:
            return request[:at] + noise + request[at:]
        case 2:
            return request[:at] + request[end:]
        case 3:
            return request[:at] + request[at:end] * 2 + request[end:]
        case 4:
            return re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % draws.choice([0, 5, 10**6, 10**20]), request)
        case 5:
            return request[:at] + bytes([draws.randrange(256)]) + request[at + 1 :]
        case _:
            lines = request.split(b"\r\n")
            draws.shuffle(lines)
            return b"\r\n".join(lines)


def test_requests_that_were_spoilt_on_their_way(server: Server) -> None:
    """Cut, doubled, with bytes that are not theirs, with wrong lengths, their lines out of order."""
    print(f"FAULT_SEED={SEED}")
    draws = random.Random(SEED)
    sent = [spoilt(each, draws) for each in templates(server.port) for _ in range(4 * ROUNDS)]
    with ThreadPoolExecutor(32) as pool:
        for request, answer in zip(sent, pool.map(lambda each: talk(server.port, each), sent), strict=True):
            is_harmless(answer, request)
    is_well(server)


def test_right_requests_are_answered_by_the_socket(server: Server) -> None:
    """Those that are spoilt above."""
    for request in templates(server.port):
        answer = talk(server.port, request)
        assert statuses(answer), request
        is_harmless(answer, request)


HEADERS = {
    "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "nearly chunks": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks, then more": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "folded": b"X: a\r\n b\r\n\tc\r\nContent-Length: 2\r\n\r\n{}",
    "space before a colon": b"Content-Length : 2\r\n\r\n{}",
    "no colon": b"Content-Length\r\n\r\n{}",
    "bare lines": b"X: a\nContent-Length: 2\n\n{}",
    "a NUL": b"X: a\0b\r\nContent-Length: 2\r\n\r\n{}",
    "a length with a sign": b"Content-Length: +2\r\n\r\n{}",
    "a hexadecimal length": b"Content-Length: 0x2\r\n\r\n{}",
    "a length of the moon": b"Content-Length: 99999999999999999999999999\r\n\r\n{}",
    "a huge chunk": b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
    "a chunk below zero": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
    "a chunk without an end": b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
    "words beside a chunk": b"Transfer-Encoding: chunked\r\n\r\n2;a=" + b"x" * 9_000 + b"\r\n{}\r\n0\r\n\r\n",
    "bytes that are no ASCII": "X-é: ü\r\nContent-Length: 2\r\n\r\n{}".encode(),
    "many headers": b"".join(b"X-%d: y\r\n" % n for n in range(3_000)) + b"Content-Length: 2\r\n\r\n{}",
    "upgrade": b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}",
    "http2": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}",
    "expects wonders": b"Expect: 200-ok\r\nContent-Length: 2\r\n\r\n{}",
    "a body that never comes": b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
}


@pytest.mark.parametrize("rest", HEADERS.values(), ids=list(HEADERS))
def test_heads_that_are_wrong_in_some_way(server: Server, rest: bytes) -> None:
    for path in (f"{API}experiments/create", "/api/v1/journal/j/entries?first=0"):
        method = "PUT" if "journal" in path else "POST"
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Type: application/json\r\n"
        answer = talk(server.port, head.encode() + rest)
        is_harmless(answer, rest)
        assert len(statuses(answer)) <= 2, answer  # nothing of a body was taken for a request
    is_well(server)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n" * 5_000,
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET  /  HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 500,
        b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET //evil.example/%2e%2e HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n",
        b"GET /%00%0d%0aX:%20y HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n",
        b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n",
        b"GET /" + b"%ff" * 10_000 + b" HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n",
        b"A" * 100_000,
        b"BREW /health HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n",
        b"TRACE /health HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n",
        b"HEAD /api/v1/about HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:24]),
)
def test_what_is_hardly_a_request(server: Server, sent: bytes) -> None:
    is_harmless(talk(server.port, sent.replace(b"{port}", str(server.port).encode())), sent[:100])
    is_well(server)


def test_many_requests_in_one_packet_are_answered_in_their_order(server: Server) -> None:
    host = f"Host: localhost:{server.port}\r\n"
    asked = [
        f"GET {API}experiments/get-by-name?experiment_name=e{n} HTTP/1.1\r\n{host}\r\n".encode() for n in range(200)
    ]
    answer = talk(server.port, b"".join(asked))
    assert statuses(answer) == [404] * 200
    assert [int(n) for n in re.findall(rb"with name 'e(\d+)'", answer)] == list(range(200))


def test_a_connection_goes_on_after_an_upgrade_that_was_not_made(server: Server) -> None:
    """Clients that would rather speak HTTP/2 ask for it with their first request, and then send the next one."""
    host = f"Host: localhost:{server.port}\r\n"
    wish = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    first = f"GET /health HTTP/1.1\r\n{host}{wish}\r\n".encode()
    second = f"GET /version HTTP/1.1\r\n{host}\r\n".encode()
    answer = talk(server.port, [first, second], pause=0.2)
    assert statuses(answer)[0] == 200
    closed = b"connection: close" in answer.lower()
    assert statuses(answer) == ([200] if closed else [200, 200]), answer


def test_trailers_are_no_headers(server: Server) -> None:
    """What was let in does not change afterwards, and trailers have an end."""
    head = (
        f"POST {API}experiments/create HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Type: application/json\r\n"
    )
    chunks = b'12\r\n{"name": "trailed"}\r\n0\r\n'
    few = talk(server.port, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"Host: evil\r\n\r\n")
    assert statuses(few) in ([200], [400]), few
    endless = [b"X-%d: " % n + b"y" * 8_000 + b"\r\n" for n in range(200)]
    assert statuses(talk(server.port, [f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks, *endless])) == []
    is_well(server)


def test_who_goes_away_in_the_middle_is_forgotten(server: Server) -> None:
    """With a reset, wherever the request was."""
    draws = random.Random(SEED)
    for request in templates(server.port) * ROUNDS:
        with socket.create_connection(("127.0.0.1", server.port), timeout=WITHIN) as connection:
            connection.sendall(request[: draws.randrange(1, len(request) + 1)])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    is_well(server)


def test_many_that_say_nothing_are_sent_away_and_are_in_nobodys_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A byte now and then, of a head, of a body, of a file."""
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 1.0)
    monkeypatch.setattr(guard, "READ_TIME", 1.0)
    with serving(tmp_path / "home", limits=Limits(pause=1.0, reserve=0)) as server:
        host = f"Host: localhost:{server.port}\r\n"
        kind = "Content-Type: application/json\r\nContent-Length: 99\r\n\r\n"
        post = f"POST {API}experiments/create HTTP/1.1\r\n{host}{kind}"
        experiment = server.api("POST", "experiments/create", {"name": "slow"})["experiment_id"]
        place = f"{PROXY}/{experiment}/{server.new_run(experiment)}/artifacts/{quote('a b')}"
        put = f"PUT {place} HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n5\r\n"

        def slowly(begun: str) -> bytes:
            return talk(server.port, [begun.encode(), *[b"{"] * 12], pause=0.25)

        begun = [f"GET /health HTTP/1.1\r\n{host}X: ", post, put] * 12
        with ThreadPoolExecutor(len(begun)) as pool:
            slow = [pool.submit(slowly, each) for each in begun]
            for _ in range(20):
                is_well(server)
            for each in slow:
                assert set(statuses(each.result())) <= {400, 408}
        assert server.api("GET", "artifacts/list", None, run_id=place.split("/")[-3]).get("files", []) == []
