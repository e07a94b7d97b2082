"""What every request passes first: who it says that it asks, which page sent it, and how large its body is.

A server on one's own machine can be reached by every page that one's browser shows. So its name must be exactly one of
its own (a page cannot choose it: that stops DNS rebinding), and what changes something must not come from a page of
somebody else (that stops forged requests). Only headers and the path decide here, never a URL put together from them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolkit.server.wire import errors
from toolkit.server.wire.messages import encode
from toolkit.server.wire.request import BODY

BODY_LIMIT = 4 << 20
"""Bytes of a body that is read into memory."""

NESTING = 32
"""How deep the JSON of a body may be nested."""

READ_TIME = 30.0
"""Seconds that such a body may take to come."""

ANY_HOST = "*"
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_OWN_PAGES = (b"same-origin", b"none")
_BRACKETS = b"[]{}"
_NOT_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
# A text that does not end goes to the end: else it would be looked for from each of its quotes again. Nothing is tried
# twice (``*+``), so the time is linear whatever is sent.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_STAIRS = re.compile(rb"[\[{]{%d}" % (NESTING + 1))

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_POLICY = b"content-security-policy"
_OWN_POLICY = (
    _POLICY,
    b"default-src 'self'; script-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'",
)


class Refused(Exception):
    """A request that goes no further.

    Args:
        status: Of the answer.
        code: MLflow's word for it.
        message: For people.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What a server takes.

    Attributes:
        hosts: Names by which it may be called besides its own address: ``name``, on the usual ports and its own, or
            ``name:port``; ``*``: any.
        streamed: Beginnings of paths that files are PUT to: their bodies are not read into memory here.
        body_limit: Bytes of any other body.
        read_time: Seconds that it may take to come.
    """

    hosts: Sequence[str] = ()
    streamed: tuple[str, ...] = ()
    body_limit: int = BODY_LIMIT
    read_time: float = field(default_factory=lambda: READ_TIME)


class Guard:
    """An application behind the rules.

    Args:
        app: The application.
        rules: What it takes.
    """

    def __init__(self, app: ASGIApp, rules: Rules | None = None) -> None:
        self._app = app
        self._rules = rules or Rules()
        self._any_host = ANY_HOST in self._rules.hosts
        self._names: dict[tuple[str, int | None], frozenset[bytes]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or say why not."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = list(message.get("headers", ()))
                own = {name for name, _ in headers}
                headers += [each for each in (*SECURITY_HEADERS, _OWN_POLICY) if each[0] not in own]
            await send(message)

        try:
            self._check(scope)
            if scope["method"] not in _SAFE and not self._is_streamed(scope):
                body = await self._read(scope, receive)
                scope[BODY], receive = body, _again(body, receive)
        except Refused as refused:
            body = encode(errors.body(refused.code, refused.message))
            headers = {"connection": "close"} if refused.status == 408 else None
            answer = Response(body, refused.status, headers, media_type="application/json")
            await answer(scope, receive, guarded)
            return
        except _Gone:
            return
        await self._app(scope, receive, guarded)

    def _is_streamed(self, scope: Scope) -> bool:
        return bool(scope["method"] == "PUT" and scope["path"].startswith(self._rules.streamed))

    def _check(self, scope: Scope) -> None:
        """Check the headers.

        Raises:
            Refused: They are not those of a request for this server.
        """
        host = origin = site = None
        for name, value in scope["headers"]:
            if name == b"host":
                if host is not None:
                    raise Refused(400, "BAD_REQUEST", "the request has two Host headers")
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
        if not scope["path"].startswith("/"):
            raise Refused(400, "BAD_REQUEST", "the request names a whole URL: wanted a path")
        if host is None:
            raise Refused(400, "BAD_REQUEST", "the request has no Host header")
        names = self._own_names(scope["server"] or ("", None))
        if not self._any_host and host.lower() not in names:
            raise Refused(
                403,
                "PERMISSION_DENIED",
                "the Host header is not a name of this server: start it with --allowed-hosts to add one",
            )
        if scope["method"] in _SAFE:
            return
        if site is not None and site not in _OWN_PAGES:
            raise Refused(403, "PERMISSION_DENIED", "a page of another site may not change anything here")
        if origin is not None and not self._is_own(origin, host, names):
            raise Refused(403, "PERMISSION_DENIED", "a page of another origin may not change anything here")

    def _is_own(self, origin: bytes, host: bytes, names: frozenset[bytes]) -> bool:
        scheme, _, name = origin.lower().partition(b"://")
        return scheme in (b"http", b"https") and (name == host.lower() or name in names)

    def _own_names(self, server: tuple[str, int | None]) -> frozenset[bytes]:
        """Return the names by which the server may be called at one of its addresses."""
        found = self._names.get(server)
        if found is None:
            found = self._names[server] = frozenset(_names(server, self._rules.hosts))
        return found

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        """Read the body, as long as it is within the limits.

        Raises:
            Refused: It is too large, too deep, or too slow.
        """
        limit = self._rules.body_limit
        for name, value in scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or len(value) > 18 or int(value) > limit):
                raise _too_large(limit)
        try:
            async with asyncio.timeout(self._rules.read_time):
                body = await _all(receive, limit)
        except TimeoutError:
            raise Refused(408, "DEADLINE_EXCEEDED", "the body of the request came too slowly") from None
        if _is_deep(body):
            raise Refused(400, "INVALID_PARAMETER_VALUE", f"the JSON is nested deeper than {NESTING} levels")
        return body


class _Gone(Exception):
    """The client went away."""


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read once more, and then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _all(receive: Receive, limit: int) -> bytes:
    message = await receive()
    if not message.get("more_body", False) and message["type"] == "http.request":
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return body
    pieces = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise _Gone
        pieces += message.get("body", b"")
        if len(pieces) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return bytes(pieces)
        message = await receive()


def _too_large(limit: int) -> Refused:
    return Refused(413, "INVALID_PARAMETER_VALUE", f"the body is larger than the {limit} bytes that are taken here")


def _names(server: tuple[str, int | None], more: Sequence[str]) -> set[bytes]:
    address, port = server
    own = f"[{address}]" if ":" in address else address
    usual = ["", ":80", ":443"]
    found = {f"{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]", own)}
    if port in (80, 443, None):
        found |= {"localhost", "127.0.0.1", "[::1]", own}
    for name in more:
        has_port = re.search(r":[0-9]+$", name) is not None and not name.endswith("]")
        found |= {name} if has_port else {f"{name}{end}" for end in (*usual, f":{port}")}
    return {name.lower().encode() for name in found}


def _is_deep(body: bytes) -> bool:
    """Tell whether JSON is nested too deep. The brackets alone say it, but for those in texts: they are left out last.

    Taking away pairs that have nothing in them takes away one level at a time; so this is quick for long bodies, too.
    """
    if body.count(b"[") + body.count(b"{") <= NESTING or _levels_left(body) == 0:
        return False
    return _levels_left(_STRING.sub(b"", body)) != 0


def _levels_left(body: bytes) -> int:
    """Return how many brackets are left when as many levels as are allowed were taken away."""
    brackets = body.translate(None, _NOT_BRACKETS)
    if _STAIRS.search(brackets):
        return len(brackets)
    for _ in range(NESTING):
        fewer = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if len(fewer) == len(brackets):
            break
        brackets = fewer
    return len(brackets)
