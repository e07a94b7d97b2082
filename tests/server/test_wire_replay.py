"""Requests as R's and Java's clients write them, and older ones: sent to a real server, and what is stored then."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

import pytest
from server import API, Server

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.json"))


def filled(value: Any, kept: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
    """Put what was kept where it is named: ``{run}``."""
    if isinstance(value, str):
        for name, text in kept.items():
            value = value.replace("{" + name + "}", text)
        return value
    if isinstance(value, dict):
        return {key: filled(item, kept) for key, item in value.items()}
    return [filled(item, kept) for item in value] if isinstance(value, list) else value


def is_in(wanted: Any, got: Any) -> bool:  # noqa: ANN401 - JSON
    """Tell whether all that is wanted is there; lists have no more than that, and an empty object is empty."""
    if isinstance(wanted, dict):
        if not wanted or not isinstance(got, dict):
            return bool(wanted == got)
        return all(key in got and is_in(item, got[key]) for key, item in wanted.items())
    if isinstance(wanted, list):
        return isinstance(got, list) and len(got) == len(wanted) and all(map(is_in, wanted, got))
    return bool(wanted == got) and type(wanted) is type(got)


def send(server: Server, method: str, path: str, body: str | None, headers: dict[str, str | None]) -> tuple[int, Any]:
    """Send a request with these headers and no others."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        data = None if body is None else body.encode()
        sent = {name: value for name, value in headers.items() if value is not None}
        connection.request(method, API + path, data, sent)
        answer = connection.getresponse()
        assert answer.getheader("content-type") == "application/json"
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def ordered(answer: Any) -> Any:  # noqa: ANN401 - JSON
    """Order what is a set: the metrics, parameters and tags of a run, and tags elsewhere."""
    if isinstance(answer, dict):
        found = {key: ordered(item) for key, item in answer.items()}
        if "data" in found and "info" in found:
            found["data"] = {
                key: sorted(items, key=lambda item: str(item["key"])) for key, items in found["data"].items()
            }
        return found
    return [ordered(item) for item in answer] if isinstance(answer, list) else answer


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_requests_are_answered_and_stored_as_their_clients_expect(server: Server, fixture: Path) -> None:
    told = json.loads(fixture.read_text(encoding="utf-8"))
    kept: dict[str, str] = {}
    for number, request in enumerate(told["requests"]):
        at = f"{fixture.name}, request {number + 1}: {request['call']}"
        body = request.get("body")
        body = "\n".join(body) if isinstance(body, list) else body
        headers = {**told["headers"], **request.get("headers", {})}
        if body is None:
            headers.pop("Content-Type")

        status, answer = send(
            server, request["method"], filled(request["path"], kept), filled(body, kept), filled(headers, kept)
        )

        assert status == request.get("status", 200), f"{at}: {answer}"
        for name, path in request.get("keep", {}).items():
            value = answer
            for part in path.split("."):
                value = value[part]
            kept[name] = value
        wanted = filled(request.get("answer"), kept)
        assert wanted is None or is_in(wanted, ordered(answer)), f"{at}: wanted {wanted}, got {answer}"
    _check_stored(server, filled(told["stored"], kept))


def _check_stored(server: Server, wanted: dict[str, Any]) -> None:
    run = server.stores.runs.get_run(wanted["run"])
    assert run.info.status.value == wanted["status"]
    assert run.info.end_time == wanted["end_time"]
    assert run.info.lifecycle_stage.value == wanted["lifecycle"]
    assert dict(run.data.params) == wanted["params"]
    assert {key: repr(point.value) for key, point in run.data.latest.items()} == wanted["metrics"]
    assert wanted["tags"].items() <= run.data.tags.items()
