"""Uploads in parts, as MLflow's proxy offers them.

A client asks for addresses, sends a part to each, and says when it has sent all. MLflow hands out addresses of the
object store, signed with the server's own key; here they are the server's. MLflow's client sends parts with nothing
but what it was told: without a user's name or token, and without trying again. So where somebody stands between it and
the server, or asks who it is, the words are answered on which it sends the file in one piece.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from toolkit.errors import InvalidValue, NotFound
from toolkit.server.artifacts import address
from toolkit.server.artifacts.answering import Answering, answer, not_implemented
from toolkit.server.artifacts.parts import MOST_PARTS, Part, Parts
from toolkit.server.artifacts.upload import Target, Uploads
from toolkit.server.headers import header
from toolkit.server.wire.request import Fields, check_type

PARTS = "mpu/parts/"
"""Where parts are sent, below the base path."""

AT_ONCE = 4
"""Files that are put together at the same time."""

_DECLINED = "Multipart upload is not supported for the current artifact repository"
_OTHERS = (b"authorization", b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto")
_NUMBER = re.compile(r"[0-9]{1,9}")
_NAME = re.compile(r"[^/\\]+\Z")


class Multipart:
    """What answers requests for uploads in parts.

    Args:
        parts: The uploads that are under way.
        uploads: What stores bodies.
        serve: Reads a key, if artifacts go through this server at all.
        base: The path that all of its own begin with, such as ``/api/2.0/mlflow-artifacts/``.
    """

    def __init__(self, parts: Parts, uploads: Uploads, *, serve: Callable[[str], address.Address], base: str) -> None:
        self._parts = parts
        self._uploads = uploads
        self._served = serve
        self._base = base
        self._limiter = CapacityLimiter(AT_ONCE)

    def routes(self) -> list[BaseRoute]:
        """Return its routes."""
        return [
            Route(f"{self._base}{PARTS}{{upload}}/{{number}}", Answering(self.part), methods=["PUT"]),
            *(
                Route(f"{self._base}mpu/{verb}/{{path:path}}", Answering(handler), methods=["POST"])
                for verb, handler in (("create", self.create), ("complete", self.complete), ("abort", self.abort))
            ),
        ]

    async def create(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Begin an upload; answer with an address for each part."""
        place, fields = await self._asked(scope, receive, "create")
        own = _own_address(scope)
        if own is None:
            await not_implemented(_DECLINED, scope, receive, send)
            return
        count = fields.integer("num_parts", 1)
        upload = await run_sync(self._parts.begin, place, count)
        start = f"{own}{self._base}{PARTS}{upload}/"
        addresses = [{"url": f"{start}{number}", "part_number": number} for number in range(1, count + 1)]
        await answer({"upload_id": upload, "credentials": addresses}, scope, receive, send)

    async def part(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Store a part."""
        upload, number = scope["path_params"]["upload"], _number(scope["path_params"]["number"])
        target = Target(
            check=partial(self._parts.check, upload, number),
            room=self._parts.check_room,
            store=partial(self._parts.store, upload, number),
        )
        stored = await self._uploads.take(target, scope, receive)
        await answer({}, scope, receive, send, etag=stored.sha256)

    async def complete(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Store the file that the parts make."""
        place, fields = await self._asked(scope, receive, "complete")
        parts = [Part(number=item.integer("part_number"), etag=item.text("etag")) for item in fields.items("parts")]
        await run_sync(self._parts.complete, fields.needed("upload_id"), place, parts, limiter=self._limiter)
        await answer({}, scope, receive, send)

    async def abort(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forget an upload."""
        place, fields = await self._asked(scope, receive, "abort")
        await run_sync(self._parts.abort, fields.needed("upload_id"), place)
        await answer({}, scope, receive, send)

    async def _asked(self, scope: Scope, receive: Receive, verb: str) -> tuple[address.Address, Fields]:
        """Return the file that a request is about, and the rest of what it says.

        The path of the request names the folder. The file's name is that of the file on the client's machine, whose
        whole path its body has.
        """
        request = Request(scope, receive)
        check_type(request)
        fields = Fields.of_body(await request.body())
        name = _NAME.search(fields.needed("path"))
        if name is None:
            raise InvalidValue(f"the path {fields.text('path')[:200]!r} names no file")
        start = f"{self._base}mpu/{verb}/".encode()
        raw: bytes = scope["raw_path"]
        if not raw.startswith(start):
            raise InvalidValue(f"wanted a path below {start.decode()}, not percent-encoded")
        folder = address.of_path(raw[len(start) :]).rstrip("/")
        return self._served(f"{folder}/{name[0]}"), fields


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidValue(f"{text[:40]!r} is no part's number: wanted 1 to {MOST_PARTS}")
    return int(text)


def _own_address(scope: Scope) -> str | None:
    """Return where the client reaches this server; ``None`` where parts would not arrive with no more than that."""
    if any(name in _OTHERS for name, _ in scope["headers"]):
        return None
    host = header(scope, b"host")
    if host is None:
        raise NotFound("the request has no Host header")
    return f"{scope['scheme']}://{host.decode('latin-1')}"
