"""HTTP as uvicorn speaks it with httptools, with bounds on what comes before a request's body.

httptools takes headers of any length and waits for them for ever; nothing of that can be seen by an application, which
is called when they are complete.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, cast

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD = 64 * 1024
"""Bytes that the request line and the headers may have, and what comes with a body; one packet more is let through."""
HEAD_TIMEOUT = 30.0
"""Seconds from the first byte of a request, or from the connection, to the end of the headers."""

MAX_CONNECTIONS = 1000
"""Connections of one worker; with more, the one is closed that has had nothing to do for the longest time."""
MAX_REQUESTS = 1000
"""Requests of one worker that are answered at the same time; one more is told to come again."""

_HEAD = b"HTTP/1.1 "
_moments = itertools.count()  # the loop's clock stands still while it handles events

STATUS_LINE.setdefault(431, b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


class OneWrite:
    """A transport that sends the head of an answer together with the first piece of its body.

    uvicorn writes them one after the other: that is two calls of the system, and wakes the client once for nothing.

    Args:
        transport: What sends.
        loop: What sends a head alone whose body does not come at once.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the transport has it
        return getattr(self._transport, name)

    def write(self, data: bytes | memoryview) -> None:
        """Send data, or keep it until the next comes if it is the head of an answer."""
        if not self._head and data[:9] == _HEAD and len(data) <= MAX_HEAD:
            self._head = bytes(data)
            self._loop.call_soon(self._send)
        elif self._head and len(data) <= MAX_HEAD:
            head, self._head = self._head, b""
            self._transport.write(b"".join((head, data)))
        else:
            self._send()
            self._transport.write(data)

    def close(self) -> None:
        """Send what is kept, and close."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)


async def unavailable(reason: str, send: Send) -> None:
    """Answer a request that is not served now.

    Args:
        reason: Why.
        send: Sends the answer.
    """
    body = b'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "%s: try again"}' % reason.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": 503, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})


async def _busy(_scope: Scope, _receive: Receive, send: Send) -> None:
    await unavailable("the server has too many requests", send)


class BoundedHttp(HttpToolsProtocol):
    """A connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._head = 0
        self._barren = 0  # bytes since the last one of a head or a body: trailers, what is said beside chunks
        self._bore = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._serves = self.app
        self._idle_since = next(_moments)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Give the first request its time."""
        super().connection_made(cast(asyncio.Transport, OneWrite(transport, self.loop)))
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self._give_up)
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._forget_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to measure."""
        self._in_head, self._head = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop measuring. A whole URL is refused: httptools would forget the host that it names."""
        if not self.url.startswith(b"/"):
            raise ValueError("the request names a whole URL")
        self._in_head, self._bore = False, True
        self._forget_timer()
        self.app = self._serves if len(self.tasks) < MAX_REQUESTS else cast(Any, _busy)
        super().on_headers_complete()
        self.headers = []  # for trailers, so that none becomes a header of a request that was let in already

    def on_response_complete(self) -> None:
        """Begin to be idle, unless another request has come meanwhile."""
        self._idle_since = next(_moments)
        super().on_response_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._bore = True
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        """Take what came; end the connection where its headers are too long."""
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._in_head:
            self._barren = 0 if self._bore else self._barren + len(data)
            self._bore = False
            if self._barren > MAX_HEAD:
                self.transport.close()
            return
        self._head += len(data)
        if self._head > MAX_HEAD:
            self._refuse()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self._give_up)

    def _make_room(self) -> None:
        others = [each for each in self.connections if isinstance(each, BoundedHttp) and each._is_idle()]
        if others:
            min(others, key=lambda each: each._idle_since).transport.close()

    def _is_idle(self) -> bool:
        """Tell whether no request is being answered; one whose headers are still to come does not count."""
        return (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing()

    def _refuse(self) -> None:
        text = b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "the headers are too long"}'
        self.transport.write(
            b"".join(
                [
                    STATUS_LINE[431],
                    b"content-type: application/json\r\nconnection: close\r\n",
                    b"content-length: %d\r\n\r\n" % len(text),
                    text,
                ]
            )
        )
        self.transport.close()

    def _give_up(self) -> None:
        self._head_timer = None
        self.transport.close()

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
