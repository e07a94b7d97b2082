"""The service's own endpoints, in ASGI: what is not of them goes on to BentoML's application."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from toolkit.deployments.serving import errors, openapi, page
from toolkit.deployments.serving.errors import Answer
from toolkit.deployments.serving.scorer import Asked

if TYPE_CHECKING:
    from toolkit.deployments.serving.scoring import Scoring

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PING, HEALTH, VERSION, INVOCATIONS, PREDICT = "/ping", "/health", "/version", "/invocations", "/predict"
INDEX, DOCUMENT, OPENAPI = "/", "/docs.json", "/openapi.json"
_POST = frozenset((INVOCATIONS, PREDICT))
OWN = frozenset((PING, HEALTH, VERSION, INDEX, DOCUMENT, OPENAPI, *_POST))

BODIES = 4
"""So many of the largest bodies are held at once at most."""


class _Gone(Exception):
    """The client went away in the middle of its request."""


class ScoringApp:
    """Answers the scoring protocol; asks another application for the rest.

    Args:
        behind: The other one.
        scoring: Returns what answers, once the process has loaded its model; until then None.
        document: Returns the OpenAPI document of the other one.
    """

    def __init__(
        self, behind: App, scoring: Callable[[], Scoring | None], document: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._behind, self._scoring, self._document = behind, scoring, document
        self._held = self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        path = scope["path"]
        if scope["type"] != "http" or path not in OWN:
            await self._behind(scope, receive, send)
            return
        scoring = self._scoring()
        if scoring is None:
            await _send(errors.refused(503, "TEMPORARILY_UNAVAILABLE", "The model is being loaded."), send)
            return
        began = time.perf_counter()
        try:
            answer = await self._answer(scoring, scope, receive, path)
        except _Gone:
            return
        scoring.metrics.answered(path, answer.status, time.perf_counter() - began)
        await _send(answer, send, head=scope["method"] == "HEAD")

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._behind(scope, receive, send)
        finally:
            if (scoring := self._scoring()) is not None:
                scoring.close()

    async def _answer(self, scoring: Scoring, scope: Scope, receive: Receive, path: str) -> Answer:
        method = scope["method"]
        if path not in _POST:
            if method not in ("GET", "HEAD"):
                return _no_method("GET, HEAD")
            if path == INDEX:
                return Answer(200, page.PAGE, b"text/html; charset=utf-8", page.HEADERS)
            if path in (DOCUMENT, OPENAPI):
                return Answer(200, json.dumps(openapi.completed(self._document(), scoring.example)).encode())
            return Answer(200, scoring.version if path == VERSION else b"\n")
        if method != "POST":
            return _no_method("POST")
        config = scoring.config
        if self._held >= config.max_concurrency:
            return errors.overloaded(f"{config.max_concurrency} requests")
        self._held += 1
        taken = 0
        try:
            kind = length = None
            for name, value in scope["headers"]:
                if name == b"content-type":
                    kind = value.decode("latin-1")
                elif name == b"content-length":
                    length = int(value)
            if length is not None and length > config.max_body_bytes:
                return errors.too_large(config.max_body_bytes)
            if self._bytes + (length or 0) > BODIES * config.max_body_bytes:
                return errors.overloaded("bodies as large as there is room for")
            self._bytes += (taken := length or 0)
            try:
                async with asyncio.timeout(config.timeout):
                    body = await _body(receive, config.max_body_bytes)
            except TimeoutError:
                return errors.slow_client(config.timeout)
            if body is None:
                return errors.too_large(config.max_body_bytes)
            return await scoring.worker.ask(Asked(body, kind, path == PREDICT))
        finally:
            self._held -= 1
            self._bytes -= taken


async def _body(receive: Receive, limit: int) -> bytes | None:
    """Return a request's body; None: it is larger than the limit."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _Gone
    first: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return first if len(first) <= limit else None
    pieces, held = [first], len(first)
    while message.get("more_body"):
        if held > limit:
            return None
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        pieces.append(message.get("body", b""))
        held += len(pieces[-1])
    return b"".join(pieces) if held <= limit else None


async def _send(answer: Answer, send: Send, *, head: bool = False) -> None:
    length = b"%d" % len(answer.body)
    headers = [(b"content-type", answer.kind), (b"content-length", length), *answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})


def _no_method(allowed: str) -> Answer:
    return errors.refused(405, "BAD_REQUEST", f"Wanted one of the methods {allowed}.", {"Allow": allowed})
