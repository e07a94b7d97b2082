"""Storing the body of a request in constant memory, whole or not at all."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.types import Receive, Scope

from toolkit.artifacts.store import StoredFile
from toolkit.errors import InvalidValue
from toolkit.server.artifacts.body import Cut, Pipe
from toolkit.server.artifacts.files import Files
from toolkit.server.headers import header, length_of
from toolkit.server.lanes import writers

SMALL = 1 << 20
"""Bytes of a body that is taken in whole before a thread is asked for."""

AT_ONCE = 16
"""Larger bodies that are stored at the same time; further clients wait for their turn."""

SLOWEST = 1 << 10
"""Bytes a second that a client must send on average, once it has had `Limits.pause` seconds."""

_STRETCH = 64 << 20  # bytes between two looks at what is left of the disk

_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/=]{44}):")


class TooSlow(Exception):
    """The client sends so slowly that others would be kept waiting."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where a body goes.

    Attributes:
        check: Says, by an error, that it takes none; called before much of the body is read.
        room: Says so where that many bytes more do not fit.
        store: Stores what a stream gives, which must have that SHA-256 if one is given.
    """

    check: Callable[[], None]
    room: Callable[[int], None]
    store: Callable[[BinaryIO, str | None], StoredFile]


class Uploads:
    """What stores bodies of requests.

    Args:
        files: Whose limits they have.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._slots = CapacityLimiter(AT_ONCE)
        self._lane = writers()

    async def take(self, target: Target, scope: Scope, receive: Receive) -> StoredFile:
        """Store the body of a request.

        Raises:
            Cut: The client went away. Nothing was stored.
            TooSlow: The client sent too little for too long. The same.
            ToolkitError: What the target raises, or `Files.check_size`.
        """
        size = length_of(scope)
        if size is not None:
            self._files.check_size(size)
            target.room(size)
        sha256 = _announced(header(scope, b"content-digest") or header(scope, b"repr-digest"))
        body = _Body(receive, self._files, target)
        first = await body.until(SMALL)
        if body.ended:
            return await run_sync(_store_small, target, first, sha256, limiter=self._lane)
        await run_sync(target.check)
        async with self._slots:
            return await self._stream(target, first, body, sha256)

    async def _stream(self, target: Target, first: bytes, body: _Body, sha256: str | None) -> StoredFile:
        pipe = Pipe(asyncio.get_running_loop())
        store = partial(target.store, pipe.as_file(), sha256)
        storing = asyncio.ensure_future(run_sync(store, limiter=CapacityLimiter(1)))
        storing.add_done_callback(lambda _: pipe.close())
        fault: Exception | None = Cut()  # what the thread sees if this task is cancelled
        try:
            await pipe.feed(first)
            del first
            while not body.ended and not storing.done():
                await pipe.feed(await body.next())
            fault = None
        except Exception as error:
            fault = error
            raise
        finally:
            pipe.end(fault)
            if fault is not None:
                await asyncio.wait([storing])
                storing.exception()  # it is the fault again
        return await storing


def _store_small(target: Target, content: bytes, sha256: str | None) -> StoredFile:
    target.check()
    return target.store(io.BytesIO(content), sha256)


class _Body:
    """The pieces of a body, with what they may be."""

    def __init__(self, receive: Receive, files: Files, target: Target) -> None:
        self._receive = receive
        self._files = files
        self._target = target
        self._pause = files.limits.pause
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._size = 0
        self._checked = 0
        self.ended = False

    async def next(self) -> bytes:
        """Return the next piece."""
        try:
            async with asyncio.timeout(self._pause):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow from None
        if message["type"] == "http.disconnect":
            raise Cut
        piece: bytes = message.get("body", b"")
        self._size += len(piece)
        self.ended = not message.get("more_body", False)
        self._files.check_size(self._size)
        if self._size - self._checked > _STRETCH:
            self._target.room(_STRETCH)
            self._checked = self._size
        since = self._loop.time() - self._began
        if since > self._pause and self._size < since * SLOWEST:
            raise TooSlow
        return piece

    async def until(self, size: int) -> bytes:
        """Return pieces together, until there are so many bytes or no more."""
        first = await self.next()
        if self.ended:
            return first
        pieces = bytearray(first)
        while not self.ended and len(pieces) < size:
            pieces += await self.next()
        return bytes(pieces)


def _announced(value: bytes | None) -> str | None:
    """Return the SHA-256 that a client announces (RFC 9530), in hexadecimal digits."""
    if value is None:
        return None
    found = _DIGEST.search(value.decode("latin-1"))
    if found is None:
        return None
    try:
        return base64.b64decode(found[1], validate=True).hex()
    except binascii.Error:
        raise InvalidValue("the digest of the upload is no base64") from None
