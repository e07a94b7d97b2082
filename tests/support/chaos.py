"""A proxy that goes wrong as told: in front of S3, PostgreSQL, our server, anything that speaks TCP.

It runs in a thread with an event loop of its own, on loopback. A `Fault` says what happens and to which connections or
HTTP requests; whatever no fault is for is passed on untouched. Faults are counted, so that a test can say that each
one has happened.

    with chaos_proxy("127.0.0.1", port) as proxy:
        proxy.add(Fault(answer=503, times=2, method="PUT"))       # the next two PUTs
        proxy.add(Fault(cut_up=1_000_000, nth=3, path="/part"))   # the third request to such a path is cut in its body
        client(proxy.address)
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_BLOCK = 1 << 16
_BODIES = {
    500: b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>We encountered an error</Message></Error>",
    503: b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate</Message></Error>",
}


@dataclass(kw_only=True)
class Fault:
    """What goes wrong, and when.

    Attributes:
        method: Only requests of this method; empty: all.
        path: Only requests whose target contains this.
        without: Only requests whose target does not contain this, if it is not empty.
        nth: The first of the fitting requests that it happens to, from 1.
        times: To how many in a row it happens; ``None``: to all from then on.
        chance: With which probability it happens to one of them.
        delay: Seconds to wait before anything is passed on.
        answer: HTTP status to answer with, instead of passing the request on.
        cut_up: Bytes of the request (head included) after which the connection is reset.
        cut_down: Bytes of the response after which it is.
        drop_answer: Pass the request on, whole, and reset the connection instead of passing on the answer.
        hang: Accept, and never answer.
        polite: End the connection (FIN) instead of resetting it, so that what was passed on before arrives.
        happened: How often it has happened.
    """

    method: str = ""
    path: str = ""
    without: str = ""
    nth: int = 1
    times: int | None = 1
    chance: float = 1.0
    delay: float = 0.0
    answer: int = 0
    cut_up: int | None = None
    cut_down: int | None = None
    drop_answer: bool = False
    hang: bool = False
    polite: bool = False
    happened: int = 0
    _seen: int = field(default=0, repr=False)

    def fits(self, method: str, target: str, draw: Callable[[], float]) -> bool:
        if self.method not in ("", method) or self.path not in target or (self.without and self.without in target):
            return False
        self._seen += 1
        last = None if self.times is None else self.nth + self.times
        if self._seen < self.nth or (last is not None and self._seen >= last) or draw() >= self.chance:
            return False
        self.happened += 1
        return True


class ChaosProxy:
    """A proxy in front of one address.

    Args:
        host: Where what it stands before listens.
        port: The same.
        http: Whether it tells the requests of a connection apart; else a fault holds for a connection.
        seed: Of the chances.
    """

    def __init__(self, host: str, port: int, *, http: bool = True, seed: int = 0) -> None:
        self._target = (host, port)
        self._http = http
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def address(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def add(self, fault: Fault) -> Fault:
        """Let something go wrong from now on."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Let everything go well again, and forget the requests."""
        with self._lock:
            self._faults.clear()
            self.requests.clear()

    def count(self, method: str, path: str = "") -> int:
        """Return how many requests of a kind there were."""
        with self._lock:
            return sum(1 for verb, target in self.requests if verb == method and path in target)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(10)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_BLOCK))
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _end(self) -> None:
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # what the transports still have to say to the loop

    def _fault(self, method: str, target: str) -> Fault | None:
        with self._lock:
            self.requests.append((method, target))
            return next((fault for fault in self._faults if fault.fits(method, target, self._random.random)), None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)  # the loop itself holds tasks weakly
        try:
            if self._http:
                while await self._request(reader, writer):
                    pass
            else:
                await self._connection(reader, writer)
        except _Reset as end:
            if not end.polite:
                _reset(writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on one connection of any protocol."""
        fault = self._fault("CONNECT", "")
        up_reader, up_writer = await self._before(fault)
        try:
            up = self._loop.create_task(_pipe(reader, up_writer, fault.cut_up if fault else None))
            down = self._loop.create_task(_pipe(up_reader, writer, fault.cut_down if fault else None))
            done, rest = await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            for task in done:
                task.result()
        finally:
            up_writer.close()

    async def _before(self, fault: Fault | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if fault and fault.delay:
            await asyncio.sleep(fault.delay)
        if fault and fault.hang:
            await asyncio.sleep(3_600)
        return await asyncio.open_connection(*self._target, limit=_BLOCK)

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Pass on one HTTP request; each goes upstream on a connection of its own."""
        head = await _head(reader)
        if not head:
            return False
        line, _, _ = head.partition(b"\r\n")
        method, target, _ = line.decode("latin-1").split(" ", 2)
        fault = self._fault(method, target)
        headers = _headers(head)
        length = int(headers.get("content-length", 0))
        if fault and fault.answer:
            if headers.get("expect", "").lower() != "100-continue":
                await _skip(reader, length)
            body = _BODIES.get(fault.answer, b"")
            writer.write(
                b"HTTP/1.1 %d Fault\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                % (fault.answer, len(body))
                + (b"" if method == "HEAD" else body)
            )
            await writer.drain()
            return False
        up_reader, up_writer = await self._before(fault)
        try:
            await self._up(reader, writer, up_writer, head, headers, length, fault)
            return await _down(up_reader, writer, method, fault)
        finally:
            up_writer.close()

    async def _up(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_writer: asyncio.StreamWriter,
        head: bytes,
        headers: dict[str, str],
        length: int,
        fault: Fault | None,
    ) -> None:
        left = fault.cut_up if fault else None
        head = _closing(head)
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = _without(head, b"expect")
        left = await _send(up_writer, head, left)
        while length:
            block = await reader.read(min(_BLOCK, length))
            if not block:
                raise asyncio.IncompleteReadError(block, length)
            length -= len(block)
            left = await _send(up_writer, block, left)
        if fault and fault.cut_up is not None:
            raise _Reset(
                fault.polite
            )  # it was longer than all there was: the last byte has gone, the answer is not heard


class _Reset(Exception):
    """The connection is reset, or ended."""

    def __init__(self, polite: bool) -> None:
        super().__init__()
        self.polite = polite


async def _down(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, fault: Fault | None) -> bool:
    """Pass on a response, which ends with its connection."""
    if fault and fault.drop_answer:
        while await reader.read(_BLOCK):
            pass
        raise _Reset(fault.polite)
    left = fault.cut_down if fault else None
    polite = fault is not None and fault.polite
    while block := await reader.read(_BLOCK):
        left = await _send(writer, block, left, polite=polite)
    if left is not None:
        raise _Reset(polite)
    return False


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
    while block := await reader.read(_BLOCK):
        left = await _send(writer, block, left)


async def _send(writer: asyncio.StreamWriter, block: bytes, left: int | None, *, polite: bool = False) -> int | None:
    """Pass on a block, or what of it may pass before the cut."""
    if left is not None and len(block) >= left:
        writer.write(block[:left])
        with contextlib.suppress(OSError):
            await writer.drain()
        raise _Reset(polite)
    writer.write(block)
    await writer.drain()
    return None if left is None else left - len(block)


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def _skip(reader: asyncio.StreamReader, length: int) -> None:
    while length:
        block = await reader.read(min(_BLOCK, length))
        if not block:
            return
        length -= len(block)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if value}


def _without(head: bytes, name: bytes) -> bytes:
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(name + b":"))


def _closing(head: bytes) -> bytes:
    return _without(head, b"connection").replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with RST, as a machine that is switched off does."""
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.contextmanager
def chaos_proxy(host: str, port: int, *, http: bool = True, seed: int = 0) -> Iterator[ChaosProxy]:
    """Run a proxy for a block."""
    proxy = ChaosProxy(host, port, http=http, seed=seed)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something to become true."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not become true"
        time.sleep(0.01)
