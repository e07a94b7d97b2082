"""A receiver of webhooks: a real server on a real socket, that does as it is told."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Behave = Callable[[socket.socket], None]
"""What is done after a request was read whole."""


@dataclass(frozen=True)
class Received:
    """A request."""

    line: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - a JSON document
        return json.loads(self.body)


@dataclass
class Receiver:
    """A receiver that runs.

    Attributes:
        port: On 127.0.0.1.
        received: What came, in order.
        behaviours: What it does with the next requests, one each; then it answers 204.
    """

    port: int
    received: list[Received] = field(default_factory=list)
    behaviours: list[Behave] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/hook", scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    def hang(self, _: socket.socket) -> None:
        """Answer nothing: a behaviour."""
        self.ended.wait()

    def events(self) -> list[str]:
        return [each.json["type"] for each in self.received]


def answers(status: int, *headers: str, body: bytes = b"") -> Behave:
    """Answer with a status."""

    def behave(connection: socket.socket) -> None:
        lines = [f"HTTP/1.1 {status} Said", *headers, f"Content-Length: {len(body)}", "", ""]
        connection.sendall("\r\n".join(lines).encode() + body)

    return behave


def sends(*pieces: bytes) -> Behave:
    """Send bytes as they are, and end the connection."""
    return lambda connection: connection.sendall(b"".join(pieces))


@contextlib.contextmanager
def receiving(certificate: Path | None = None) -> Iterator[Receiver]:
    """Run a receiver for a block; with a certificate and its key in a file: by TLS."""
    listener = socket.create_server(("127.0.0.1", 0))
    receiver = Receiver(port=listener.getsockname()[1])
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    thread = threading.Thread(target=_serve, args=(listener, receiver, context), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.ended.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _serve(listener: socket.socket, receiver: Receiver, context: ssl.SSLContext | None) -> None:
    threads = []
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            break
        thread = threading.Thread(target=_answer, args=(connection, receiver, context), daemon=True)
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()


def _answer(connection: socket.socket, receiver: Receiver, context: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError), connection:
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
        with connection:
            got = _read(connection)
            if got is None:
                return
            receiver.received.append(got)
            behave = receiver.behaviours.pop(0) if receiver.behaviours else answers(204)
            behave(connection)


def _read(connection: socket.socket) -> Received | None:
    got = b""
    while b"\r\n\r\n" not in got:
        more = connection.recv(65536)
        if not more:
            return None
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return Received(line, headers, body)
