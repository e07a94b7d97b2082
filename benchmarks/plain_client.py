"""The barest HTTP client: one connection that stays open, requests written at once, answers read by their length."""

from __future__ import annotations

import json
import socket
from typing import Any, BinaryIO

_BLOCK = 1 << 20


class Plain:
    """A connection to a server on this machine.

    Args:
        port: Of the server.

    Raises:
        OSError: There is no server.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._host = f"127.0.0.1:{port}".encode()
        self._socket = self._connect()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=120)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Return a request as it goes over the wire."""
        head = b"%s %s HTTP/1.1\r\nHost: %s\r\n" % (method.encode(), path.encode(), self._host)
        if body:
            head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        return head + b"\r\n" + body

    def send(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return the answer's status and body.

        A server may close a connection that nobody uses: then it is sent once more, on a new one, as every client does.
        """
        try:
            self._socket.sendall(request)
            return self._answer()
        except ConnectionError:
            self._socket.close()
            self._socket = self._connect()
            self._socket.sendall(request)
            return self._answer()

    def get(self, path: str) -> tuple[int, bytes]:
        """Send a GET."""
        return self.send(self.request("GET", path))

    def post(self, path: str, message: object) -> Any:  # noqa: ANN401 - a JSON document
        """Send a POST of JSON; return the answer's JSON.

        Raises:
            RuntimeError: The answer is an error.
        """
        status, body = self.send(self.request("POST", path, json.dumps(message).encode()))
        if status != 200:
            raise RuntimeError(f"{path}: {status} {body[:300]!r}")
        return json.loads(body)

    def upload(self, path: str, source: BinaryIO, size: int) -> int:
        """Send a PUT of a file, from the kernel's memory; return the answer's status."""
        head = b"PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
        self._socket.sendall(head % (path.encode(), self._host, size))
        source.seek(0)
        self._socket.sendfile(source)
        return self._answer()[0]

    def download(self, path: str) -> tuple[int, int]:
        """Send a GET and throw the body away; return the status and the bytes of the body."""
        self._socket.sendall(self.request("GET", path))
        head, rest = self._head()
        length = _length(head)
        if length is None:
            return _status(head), self._chunks(rest)
        received, room = len(rest), memoryview(bytearray(_BLOCK))
        while received < length:
            got = self._socket.recv_into(room)
            if not got:
                raise ConnectionError("the server closed the connection in the middle of a body")
            received += got
        return _status(head), received

    def _answer(self) -> tuple[int, bytes]:
        head, rest = self._head()
        length = _length(head)
        if length is None:
            raise ConnectionError(f"an answer without a length: {head!r}")
        pieces, received = [rest], len(rest)
        while received < length:
            piece = self._receive()
            pieces.append(piece)
            received += len(piece)
        return _status(head), b"".join(pieces)

    def _head(self) -> tuple[bytes, bytes]:
        found = self._receive()
        while b"\r\n\r\n" not in found:
            found += self._receive()
        head, _, rest = found.partition(b"\r\n\r\n")
        return head.lower(), rest

    def _receive(self) -> bytes:
        piece = self._socket.recv(_BLOCK)
        if not piece:
            raise ConnectionError("the server closed the connection")
        return piece

    def _chunks(self, rest: bytes) -> int:
        """Return the bytes of a body in chunks."""
        reader, total = _Reader(self._socket, rest), 0
        while size := int(reader.line().partition(b";")[0], 16):
            total += size
            reader.skip(size + 2)
        reader.line()
        return total


class _Reader:
    def __init__(self, source: socket.socket, rest: bytes) -> None:
        self._source, self._rest = source, rest

    def line(self) -> bytes:
        while b"\r\n" not in self._rest:
            self._rest += self._more()
        line, _, self._rest = self._rest.partition(b"\r\n")
        return line

    def skip(self, size: int) -> None:
        while len(self._rest) < size:
            size -= len(self._rest)
            self._rest = self._more()
        self._rest = self._rest[size:]

    def _more(self) -> bytes:
        piece = self._source.recv(_BLOCK)
        if not piece:
            raise ConnectionError("the server closed the connection in the middle of a body")
        return piece


def _status(head: bytes) -> int:
    return int(head[9:12])


def _length(head: bytes) -> int | None:
    _, found, value = head.partition(b"\r\ncontent-length:")
    return int(value.partition(b"\r\n")[0]) if found else None
