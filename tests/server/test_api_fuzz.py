"""Nonsense sent to our API, shaped as its document says and not quite: it is answered, and never the server's fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server import Server, serving

from toolkit.testing.runs import add_run
from toolkit.tracking.http_codec import JOURNAL_TYPE

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["0", "NaN", "active", "RUNNING", "m", "metrics.m < 1", "a" * 9_000, "\ud800", "\0", "../x"])
)
_JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
)
_fuzzed = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, Any], str]]:
    with serving(tmp_path_factory.mktemp("fuzzed") / "home") as server:
        run_id = add_run(server.stores.runs, params={"a": "1"}).info.run_id
        yield server, server.call("GET", "/api/v1/openapi.json").json, run_id


def _near(schema: dict[str, Any], document: dict[str, Any], depth: int = 4) -> st.SearchStrategy[Any]:
    """Return values that mostly have the form of a schema."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema and depth:
        return st.one_of([_near(each, document, depth - 1) for each in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | _SCALARS
    kind = schema.get("type")
    if kind == "object" and depth and "properties" in schema:
        fields = {name: _near(each, document, depth - 1) | _JSON for name, each in schema["properties"].items()}
        needed = {name: _near(schema["properties"][name], document, depth - 1) for name in schema.get("required", ())}
        return st.fixed_dictionaries(needed, optional={name: fields[name] for name in fields if name not in needed})
    if kind == "object" and depth:
        return st.dictionaries(st.text(max_size=9), _JSON, max_size=3)
    if kind == "array" and depth:
        return st.lists(_near(schema.get("items", {}), document, depth - 1), max_size=3)
    if kind == "integer":
        return st.integers(-(2**65), 2**65) | st.sampled_from([0, 1, 1000])
    if kind == "number":
        return st.floats()
    if kind == "string":
        return st.text(max_size=20) | st.sampled_from(["0", "m", "active", "a/b", "x" * 300])
    return _JSON


@_fuzzed
@given(data=st.data())
def test_bodies_near_their_schema(fuzzed: tuple[Server, dict[str, Any], str], data: st.DataObject) -> None:
    """Each endpoint with a body gets one in each example; all are answered with a reason, or done."""
    server, document, run_id = fuzzed
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None:
                continue
            body = data.draw(_near(content["schema"], document))
            target = path.replace("{run_id}", run_id).replace("{experiment_id}", "0").replace("{name}", "j")
            query = {"first": "0"} if "journal" in path else {}
            answer = server.call(
                method.upper(), target, json.dumps(body).encode(), {"Content-Type": "application/json"}, **query
            )
            assert answer.status in (200, 400, 404), (method, path, body, answer.body)
            assert answer.status == 200 or set(answer.json) == {"code", "message"}


@_fuzzed
@given(body=st.binary(max_size=300), framed=st.lists(st.binary(max_size=80), max_size=4))
def test_bytes_as_entries(fuzzed: tuple[Server, dict[str, Any], str], body: bytes, framed: list[bytes]) -> None:
    server = fuzzed[0]
    whole = b"".join(len(each).to_bytes(4, "little") + each for each in framed)
    kinds = b"".join(
        len(each).to_bytes(4, "little") + b"jmM"[n % 3 : n % 3 + 1] + each[1:] for n, each in enumerate(framed) if each
    )
    for sent in (body, whole, kinds):
        answer = server.call("PUT", "/api/v1/journal/k/entries", sent, {"Content-Type": JOURNAL_TYPE}, first="0")
        assert answer.status in (200, 400), (sent, answer.body)


@_fuzzed
@given(data=st.data())
def test_queries(fuzzed: tuple[Server, dict[str, Any], str], data: st.DataObject) -> None:
    server, document, run_id = fuzzed
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(["0", "-1", "9" * 30, "m"])
    for path, operations in document["paths"].items():
        operation = operations.get("get")
        if operation is None or path.endswith(("/{run_id}/events", "/stream")):
            continue
        names = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
        query = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(names, texts)))
        target = path.replace("{run_id}", run_id).replace("{experiment_id}", "0")
        answer = server.call("GET", target, None, None, **query)
        assert answer.status in (200, 400, 404), (path, query, answer.body)
