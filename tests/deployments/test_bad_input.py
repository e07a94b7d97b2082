"""Bad input to a model that ``bentoml serve`` serves: MLflow's status, the field by its name, no 500, no traceback."""

from __future__ import annotations

import http.client
import json
import pickle
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import Answer, Served, Workshop, serving

SCRIPT = Path(__file__).parent / "scripts" / "train_people.py"
JSON = "application/json"
ROW: dict[str, Any] = {"age": 30, "income": 1000.5, "colour": "red", "member": True}
LIMIT = 4 * 2**20

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    workshop = Workshop(folder=tmp_path_factory.mktemp("bad-input"))
    workshop.run(str(SCRIPT))
    workshop.toolkit("deployments", "build", "people/1", "--config", f"max_body_bytes={LIMIT}")
    with serving(workshop, "people:1") as found:
        yield found
        said = found.log.read_text()
        assert "Service people initialized" in said


def records(**changed: object) -> dict[str, object]:
    return {"dataframe_records": [{**ROW, **changed}]}


def without(name: str) -> dict[str, object]:
    return {"dataframe_records": [{key: value for key, value in ROW.items() if key != name}]}


def refused(answer: Answer, status: int = 400, *, code: str | None = "BAD_REQUEST") -> str:
    """Return the message of an answer that refuses a request in the form of MLflow's."""
    assert answer.status == status, answer.body
    text = answer.body.decode()
    assert "Traceback" not in text
    assert 'File "' not in text
    if code is None:
        return text
    told = answer.json
    assert told["error_code"] == code, told
    assert "stack_trace" not in told
    return str(told["message"])


def test_what_is_good_is_answered(served: Served) -> None:
    """All forms of it, to the same prediction: what is refused below is not refused for something else."""
    (expected,) = served.score(records()).json["predictions"]
    names, values = list(ROW), list(ROW.values())
    csv = f"{','.join(names)}\n30,1000.5,red,true\n".encode()
    good: list[tuple[object, str]] = [
        ({"dataframe_split": {"columns": names, "data": [values]}}, JSON),
        ({"instances": [ROW]}, "Application/JSON; Charset=UTF-8"),
        ({"inputs": {name: [value] for name, value in ROW.items()}}, JSON),
        ({**records(), "something": "else"}, JSON),
        (records(extra=1), JSON),
        (csv, "text/csv"),
    ]
    for body, kind in good:
        answer = served.score(body, kind)
        assert (answer.status, answer.json) == (200, {"predictions": [pytest.approx(expected)]}), body
    assert served.score({"rows": [ROW]}, path="/predict").json == {"predictions": [pytest.approx(expected)]}


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (without("age"), "INVALID_PARAMETER_VALUE", ["missing", "'age'"]),
        (records(age="old"), "BAD_REQUEST", ["age", "long", "row 0"]),
        (records(age=1.5), "BAD_REQUEST", ["age", "fraction"]),
        (records(age=2**70), "BAD_REQUEST", ["age", "out of range"]),
        (records(age=True), "BAD_REQUEST", ["age", "true or false"]),
        (records(age=None), "BAD_REQUEST", ["age", "null"]),
        (records(age=[1]), "BAD_REQUEST", ["age", "a list"]),
        (records(income="much"), "BAD_REQUEST", ["income", "double", "text"]),
        (records(income=True), "BAD_REQUEST", ["income", "true or false"]),
        (records(income={"a": 1}), "BAD_REQUEST", ["income", "an object"]),
        (records(colour=5), "BAD_REQUEST", ["colour", "string", "a number"]),
        (records(member="x"), "BAD_REQUEST", ["member", "boolean", "text"]),
        (records(member=None), "BAD_REQUEST", ["member", "null"]),
        (records(income=None), "BAD_REQUEST", ["'income'", "row 0", "missing"]),
        ({"dataframe_records": [ROW, {**ROW, "income": "x"}]}, "BAD_REQUEST", ["income", "row 1"]),
        (
            {"dataframe_split": {"columns": [*ROW, "age"], "data": [[*ROW.values(), 1]]}},
            "INVALID_PARAMETER_VALUE",
            ["age", "more than once"],
        ),
        ({"dataframe_records": []}, "INVALID_PARAMETER_VALUE", ["missing", "age"]),
        ({"inputs": [1, 2, 3]}, "INVALID_PARAMETER_VALUE", ["missing", "age"]),
        ({"inputs": {**{name: [value] for name, value in ROW.items()}, "age": [1, 2]}}, None, ["length"]),
        ({"prompt": "hello"}, "INVALID_PARAMETER_VALUE", ["missing", "age"]),
        ({"instances": [{"age": 1, "income": 2.0}, {"age": 1}]}, "BAD_REQUEST", ["length of values"]),
    ],
    ids=lambda value: None if not isinstance(value, list) else " ".join(str(word) for word in value).replace("'", ""),
)
def test_rows_that_do_not_fit_are_refused_by_the_name_of_the_field(
    served: Served, body: dict[str, object], code: str | None, words: list[str]
) -> None:
    answer = served.score(body)
    told = refused(answer, code=code or answer.json["error_code"])
    for word in words:
        assert word in told
    for value in ("old", "much", "1180591620717411303424"):
        assert value not in told, "what came is not repeated"


@pytest.mark.parametrize(
    "value", [b"NaN", b"Infinity", b"-Infinity", b"1e999"], ids=["nan", "inf", "minus inf", "huge"]
)
def test_a_value_that_the_model_fails_on_is_the_clients_and_named(served: Served, value: bytes) -> None:
    """The signature lets such a double pass, and some models take it; this one does not."""
    body = b'{"dataframe_records":[{"age":30,"income":%s,"colour":"red","member":true}]}' % value
    told = refused(served.score(body))
    assert "'income'" in told
    assert "row 0" in told


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ["valid JSON"]),
        (b'{"a":', ["valid JSON", "character 5"]),
        (b'{"dataframe_records":[{"colour":"\xff\xfe"}]}', ["valid JSON"]),
        (b'{"dataframe_records":[{"colour":"\\ud800","age":1,"income":1.0,"member":true}]}', ["valid JSON"]),
        (b"\x1f\x8b\x08junk", ["valid JSON"]),
        (b'{"dataframe_records":' + b"[" * 100_000 + b"]" * 100_000 + b"}", ["valid JSON"]),
        (b'{"dataframe_records":[{"age":' + b"9" * 5_000 + b"}]}", ["valid JSON"]),
        (b"[1]", ["JSON dictionary", "Received a list"]),
        (b"3", ["JSON dictionary", "int"]),
        (b"null", ["JSON dictionary"]),
        (b'{"foo": 1}', ["exactly one", "['foo']"]),
        (b'{"inputs": 1, "instances": []}', ["exactly one", "['inputs', 'instances']"]),
        (b'{"dataframe_split": [1]}', ["must be a dictionary", "list"]),
        (b'{"dataframe_split": {"columns": ["a"]}}', ["'data' field", "['columns']"]),
        (b'{"dataframe_split": {"data": [[1]], "rows": 1}}', ["'data' field"]),
        (b'{"dataframe_split": {"columns": ["age", "income"], "data": [[1]]}}', ["row 0", "2 values"]),
        (b'{"dataframe_records": {"a": 1}}', ["list of records", "dictionary"]),
        (b'{"dataframe_records": [1]}', ["record 0"]),
        (b'{"dataframe_records": null}', ["list of records"]),
    ],
    ids=lambda value: None if isinstance(value, bytes) else "-".join(value).replace(" ", "_").replace("'", ""),
)
def test_bodies_that_are_none_are_refused(served: Served, body: bytes, words: list[str]) -> None:
    told = refused(served.score(body))
    for word in words:
        assert word in told


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"", "text/csv", ["CSV"]),
        (b"\x00\xff\xfe", "text/csv", ["UTF-8"]),
        (b"age,income,colour,member\nold,1.5,red,true\n", "text/csv", ["age", "row 0"]),
        (b"PAR1junkPAR1", "application/vnd.apache.parquet", ["Parquet"]),
        (b"", "application/vnd.apache.parquet", ["Parquet"]),
    ],
    ids=["empty csv", "binary csv", "text in a csv", "parquet", "empty parquet"],
)
def test_csv_and_parquet_that_are_none_are_refused(served: Served, body: bytes, kind: str, words: list[str]) -> None:
    told = refused(served.score(body, kind))
    for word in words:
        assert word in told


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (None, ["Content-Type"]),
        ("text/xml", ["application/json", "text/xml"]),
        ("application/json; charset=latin-1", ["UTF-8"]),
        ("application/json; format=pandas-split", ["format", "MLflow version 2.0"]),
        ("application/vnd.bentoml+pickle", ["application/json"]),
        ("application/octet-stream", ["application/json"]),
        ("multipart/form-data; boundary=" + "-" * 20_000, []),
    ],
    ids=["none", "xml", "latin-1", "format of 1.x", "pickle", "bytes", "multipart"],
)
@pytest.mark.parametrize("path", ["/invocations", "/predict"])
def test_other_types_are_refused(served: Served, kind: str | None, words: list[str], path: str) -> None:
    told = refused(served.score(records(), kind, path), 415, code=None)
    for word in words:
        assert word in told


class _Touch:
    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self._file), "w")


@pytest.mark.parametrize(
    "path", ["/predict", "/predict/", "/%70redict", "/invocations", "/", "/schema.json", "/ping", "/readyz", "/metrics"]
)
def test_nothing_is_unpickled(served: Served, tmp_path: Path, path: str) -> None:
    body = pickle.dumps(_Touch(tmp_path / "ran"))
    headers = {"Content-Type": "application/vnd.bentoml+pickle", "Payload-Container": "DefaultContainer"}
    answer = served.call("POST", path, body, headers)
    assert 300 <= answer.status < 500
    assert not (tmp_path / "ran").exists()


def test_nobody_is_asked_for_what_a_url_names(served: Served) -> None:
    """A trap listens: a text that is a URL, wherever a value may stand, is a text."""
    asked: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.5)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/model"

        def listen() -> None:
            try:
                asked.append(trap.accept())
            except TimeoutError:
                return

        listening = threading.Thread(target=listen)
        listening.start()
        assert served.score(records(colour=url)).status == 200
        for body in ({"inputs": url}, {"dataframe_records": url}, {"dataframe_split": {"data": url}}):
            refused(served.score(body), code=served.score(body).json["error_code"])
        for given in ({"rows": url}, {"rows": [url]}, {"rows": [{**ROW, "age": url}]}):
            assert served.score(given, path="/predict").status == 400
        multipart = f'--x\r\nContent-Disposition: form-data; name="rows"\r\n\r\n{url}\r\n--x--\r\n'.encode()
        refused(served.score(multipart, "multipart/form-data; boundary=x", "/predict"), 415, code=None)
        listening.join()
    assert asked == []


def test_a_boundary_of_a_million_dashes_is_refused(served: Served) -> None:
    body = b"-" * 1_000_000
    for path in ("/predict", "/invocations"):
        refused(served.score(body, "multipart/form-data; boundary=" + "-" * 60_000, path), 415, code=None)
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Type: multipart/form-data; boundary="
    assert raw(served, head + body + b"\r\n\r\nxx") in (b"HTTP/1.1 400", b"HTTP/1.1 415", b"HTTP/1.1 431")


def raw(served: Served, request: bytes) -> bytes:
    """Send bytes as they are; return how the answer begins."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=300) as connection:
        connection.sendall(request)
        return connection.recv(12)


def test_a_body_above_the_limit_is_refused_before_it_is_read(served: Served) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    assert raw(served, head + b"Content-Length: 100000000\r\n\r\n") == b"HTTP/1.1 413", "and none of it was sent"
    chunk = b"100000\r\n" + b"1" * 2**20 + b"\r\n"
    assert raw(served, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 5) == b"HTTP/1.1 413"
    body = b"[" + b"1," * (LIMIT // 2) + b"1]"
    try:
        told = refused(served.score(body), 413)
    except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
        return  # it was closed while we sent
    assert str(LIMIT) in told


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/invocations", 405),
        ("PUT", "/predict", 405),
        ("POST", "/ping", 405),
        ("DELETE", "/health", 405),
        ("POST", "/nowhere", 404),
        ("GET", "/../../etc/passwd", 404),
    ],
)
def test_other_methods_and_paths_are_refused(served: Served, method: str, path: str, status: int) -> None:
    refused(served.call(method, path, b"{}" if method != "GET" else None), status, code=None)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, ["'rows'"]),
        ({"rows": [ROW], "row": 1}, ["'row'", "'rows'"]),
        ({"rows": [{"age": 1}]}, ["'income'", "'colour'", "'member'"]),
        ({"rows": [{**ROW, "age": "old"}]}, ["age", "long"]),
        ({"rows": ROW}, ["list of records"]),
        ([ROW], ["JSON dictionary"]),
    ],
    ids=["nothing", "another field", "missing columns", "a text", "no list", "a list"],
)
def test_the_typed_endpoint_names_the_field_too(served: Served, body: object, words: list[str]) -> None:
    answer = served.score(body, path="/predict")
    told = refused(answer, code=answer.json["error_code"])
    for word in words:
        assert word in told


def test_many_bad_requests_at_once_do_not_spoil_the_good_ones(served: Served) -> None:
    """They are asked about together; each gets its own answer."""
    expected = served.score(records()).json
    bodies = [records(), records(age="old"), records(income=None), without("colour")] * 10
    wanted = [200, 400, 400, 400] * 10
    answers: dict[int, Answer] = {}

    def ask(at: int) -> None:
        answers[at] = served.score(bodies[at])

    threads = [threading.Thread(target=ask, args=[at]) for at in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[at].status for at in range(len(bodies))] == wanted
    assert all(answers[at].json == expected for at in range(0, len(bodies), 4))


def test_the_log_says_no_value_that_came(served: Served) -> None:
    secret = "a-very-secret-value"
    served.score(records(age=secret))
    served.score(json.dumps({secret: 1}).encode() + b"}")
    assert secret not in served.log.read_text()
