"""The service's own endpoints, in one process: limits, methods, what goes on to BentoML's application."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from toolkit.deployments.config import ServiceConfig
from toolkit.deployments.serving.app import App, Message, Receive, Scope, ScoringApp, Send
from toolkit.deployments.serving.errors import Answer
from toolkit.deployments.serving.scorer import Asked
from toolkit.deployments.serving.worker import LOST, Worker


class Echo:
    """Answers a request by its body; ``wait`` waits until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def answers(self, asked: Sequence[Asked]) -> Iterator[tuple[int, Answer]]:
        for at, each in enumerate(asked):
            if each.body == b"wait":
                assert self.go.wait(60)
            yield at, Answer(200, each.body)


class Counts:
    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.seen.append((endpoint, status))


@dataclass
class Held:
    """What an application needs of a service."""

    config: ServiceConfig = field(default_factory=ServiceConfig)
    version: bytes = b"1.2.3"
    example: dict[str, Any] | None = None
    closed: bool = False

    def __post_init__(self) -> None:
        self.scorer = Echo()
        self.metrics = Counts()
        self.worker = Worker(self.scorer, timeout=self.config.timeout)  # type: ignore[arg-type]  # it answers

    def close(self) -> None:
        self.closed = True
        self.worker.close()

    def app(self, behind: App | None = None) -> App:
        async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 299, "headers": []})
            await send({"type": "http.response.body", "body": scope.get("path", "").encode()})

        return ScoringApp(behind or nothing, lambda: self, dict)  # type: ignore[arg-type, return-value]


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held(ServiceConfig(max_concurrency=2, max_body_bytes=10, timeout=60))
    yield made
    made.scorer.go.set()
    made.close()


async def ask(
    app: App,
    path: str = "/invocations",
    *pieces: bytes,
    method: str = "POST",
    headers: Sequence[tuple[bytes, bytes]] = (),
    more: Callable[[], Awaitable[Message]] | None = None,
) -> tuple[int, dict[bytes, bytes], bytes]:
    waiting = [
        {"type": "http.request", "body": piece, "more_body": more is not None or at + 1 < len(pieces)}
        for at, piece in enumerate(pieces or (b"",))
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        assert more is not None, "nothing more is asked for"
        return await more()

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "http", "path": path, "method": method, "headers": headers}, receive, send)
    if not sent:
        return 0, {}, b""
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


def one(
    app: App,
    path: str,
    *pieces: bytes,
    method: str = "POST",
    headers: Sequence[tuple[bytes, bytes]] = (),
    more: Callable[[], Awaitable[Message]] | None = None,
) -> tuple[int, dict[bytes, bytes], bytes]:
    return asyncio.run(ask(app, path, *pieces, method=method, headers=headers, more=more))


def test_a_body_in_pieces_is_one(held: Held) -> None:
    status, headers, body = one(held.app(), "/invocations", b"ab", b"", b"cd")
    assert (status, body) == (200, b"abcd")
    assert headers == {b"content-type": b"application/json", b"content-length": b"4"}
    assert held.metrics.seen == [("/invocations", 200)]


@pytest.mark.parametrize("path", ["/ping", "/health", "/version"])
def test_they_answer(held: Held, path: str) -> None:
    wanted = b"1.2.3" if path == "/version" else b"\n"
    assert one(held.app(), path, method="GET")[::2] == (200, wanted)
    status, headers, body = one(held.app(), path, method="HEAD")
    assert (status, body, headers[b"content-length"]) == (200, b"", b"%d" % len(wanted))
    assert one(held.app(), path, method="POST")[0] == 405


def test_the_page_asks_nobody_else(held: Held) -> None:
    """BentoML's own loads a script of Google's."""
    status, headers, body = one(held.app(), "/", method="GET")
    assert (status, headers[b"content-type"]) == (200, b"text/html; charset=utf-8")
    assert b"//" not in body
    assert headers[b"content-security-policy"].startswith(b"default-src 'self'")
    assert b"/invocations" in body


def test_the_openapi_document_has_its_usual_name_too(held: Held) -> None:
    status, _, body = one(held.app(), "/openapi.json", method="GET")
    assert (status, body) == one(held.app(), "/docs.json", method="GET")[::2]
    assert "/invocations" in json.loads(body)["paths"]


def test_a_method_that_is_none(held: Held) -> None:
    status, headers, _ = one(held.app(), "/invocations", method="GET")
    assert (status, headers[b"allow"]) == (405, b"POST")


def test_all_else_goes_on(held: Held) -> None:
    for path in ("/metrics", "/invocations/", "//ping", "/PING", "//"):
        assert one(held.app(), path, method="GET")[::2] == (299, path.encode())


@pytest.mark.parametrize(
    ("pieces", "headers"),
    [((b"",), [(b"content-length", b"11")]), ((b"12345678901",), []), ((b"123456", b"789012", b"3"), [])],
    ids=["told", "whole", "pieces"],
)
def test_a_body_that_is_too_large_is_not_kept(
    held: Held, pieces: Sequence[bytes], headers: list[tuple[bytes, bytes]]
) -> None:
    status, answered, body = one(held.app(), "/invocations", *pieces, headers=headers)
    assert status == 413
    assert answered[b"connection"] == b"close"
    assert "10 bytes" in json.loads(body)["message"]
    assert one(held.app(), "/invocations", b"1234567890")[::2] == (200, b"1234567890")


def test_requests_beyond_the_limit_are_answered_at_once(held: Held) -> None:
    async def work() -> None:
        app = held.app()
        first = [asyncio.ensure_future(ask(app, "/invocations", b"wait")) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        status, headers, body = await ask(app, "/invocations", b"x")
        assert (status, headers[b"retry-after"]) == (503, b"1")
        assert json.loads(body)["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert (await ask(app, "/ping", method="GET"))[0] == 200
        held.scorer.go.set()
        assert [each[0] for each in await asyncio.gather(*first)] == [200, 200]
        assert (await ask(app, "/invocations", b"x"))[0] == 200

    asyncio.run(work())


def test_a_client_that_goes_away_leaves_nothing(held: Held) -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    for _ in range(3):
        assert one(held.app(), "/invocations", b"x", more=gone)[0] == 0
    assert one(held.app(), "/invocations", b"x")[0] == 200


def test_a_client_that_is_too_slow() -> None:
    held = Held(ServiceConfig(timeout=0.01))

    async def never() -> Message:
        await asyncio.sleep(3600)
        raise AssertionError

    assert one(held.app(), "/invocations", b"x", more=never)[0] == 408


def test_a_model_that_hangs_gets_another_thread_and_in_the_end_the_process_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = Held(ServiceConfig(timeout=0.05))
    ended: list[int] = []
    monkeypatch.setattr("os.kill", lambda _, signal: ended.append(signal))

    async def work() -> None:
        app = held.app()
        asked = 0
        while not ended:  # a thread that began late is not taken for one that hangs: then it takes one more
            status, _, body = await ask(app, "/invocations", b"wait")
            assert status == 504
            assert json.loads(body)["error_code"] == "DEADLINE_EXCEEDED"
            asked += 1
            assert asked < 100
        assert asked >= LOST
        assert (await ask(app, "/invocations", b"x"))[0] == 503
        held.scorer.go.set()

    asyncio.run(work())


def test_nothing_is_answered_before_the_model_is_there() -> None:
    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    app = ScoringApp(behind, lambda: None, dict)
    assert one(app, "/ping", method="GET")[0] == 503


async def _awaited(work: Awaitable[None]) -> None:
    await work


def test_the_end_of_the_application_ends_the_service() -> None:
    held = Held()

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError(message)

    asyncio.run(_awaited(held.app(behind)({"type": "lifespan"}, receive, send)))
    assert held.closed
