"""Sending a file: in chunks, one read ahead of what is sent, checked against its digest on the way."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import mimetypes
from urllib.parse import quote

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.types import Scope, Send

from toolkit.server.artifacts import span
from toolkit.server.artifacts.files import File
from toolkit.server.headers import header

CHUNK = 1 << 20

AT_ONCE = 32
"""Reads of files at the same time."""

SANDBOX = b"sandbox; default-src 'none'"
"""What the bytes of an artifact may do in a browser: nothing."""

_SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/json", "application/pdf", "text/csv")
_TEXT = ("application/xml", "application/yaml", "application/x-yaml", "application/javascript", "application/toml")
_TEXT_NAMES = ("mlmodel", "mlproject")
_TEXT_ENDINGS = (".yaml", ".yml", ".toml", ".cfg", ".ini", ".log", ".md", ".ipynb", ".svg", ".jsonl")


class Downloads:
    """What sends files."""

    def __init__(self) -> None:
        self._reads = CapacityLimiter(AT_ONCE)

    async def give(self, file: File, scope: Scope, send: Send) -> None:
        """Send a file, or the span of it that is asked for; close it.

        A file of another digest than the recorded one is not sent to its end: the connection is cut before it, so that
        no client takes it for whole.

        Raises:
            Damaged: So it was.
        """
        try:
            await self._give(file, scope, send)
        finally:
            file.stream.close()

    async def _give(self, file: File, scope: Scope, send: Send) -> None:
        headers = _headers(file)
        etag = f'"{file.sha256}"'.encode()
        if file.sha256 and _matches(header(scope, b"if-none-match"), etag):
            await _start(send, 304, [*headers, (b"content-length", b"0")], b"")
            return
        wanted = header(scope, b"range")
        if wanted is not None and (header(scope, b"if-range") or etag) != etag:
            wanted = None
        try:
            part = span.read(wanted, file.size)
        except span.Unsatisfiable:
            told = [(b"content-range", b"bytes */%d" % file.size), (b"content-length", b"0")]
            await _start(send, 416, [*headers, *told], b"")
            return
        start, length = (0, file.size) if part is None else (part.start, part.length)
        headers.append((b"content-length", b"%d" % length))
        if part is not None:
            headers.append((b"content-range", b"bytes %d-%d/%d" % (start, start + length - 1, file.size)))
        elif file.sha256:
            digest = base64.b64encode(bytes.fromhex(file.sha256))
            headers.append((b"content-digest", b"sha-256=:%s:" % digest))
        status = 200 if part is None else 206
        if scope["method"] == "HEAD" or not length:
            await _start(send, status, headers, b"")
            return
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await self._content(_Reader(file, start, length, check=part is None and bool(file.sha256)), send)

    async def _content(self, reader: _Reader, send: Send) -> None:
        ahead = asyncio.ensure_future(run_sync(reader.read, limiter=self._reads))
        try:
            while True:
                chunk = await ahead
                if reader.left:
                    ahead = asyncio.ensure_future(run_sync(reader.read, limiter=self._reads))
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                else:
                    await send({"type": "http.response.body", "body": chunk, "more_body": False})
                    return
        finally:
            if not ahead.done():
                await asyncio.wait([ahead])
            if not ahead.cancelled():
                ahead.exception()


class Damaged(Exception):
    """A file is not as it was when it was stored; a part of it was sent already."""


class _Reader:
    """Reads a file's chunks and hashes them; in threads, one call after the other."""

    def __init__(self, file: File, start: int, length: int, *, check: bool) -> None:
        self._file = file
        self._digest = hashlib.sha256() if check else None
        self.left = length
        if start:
            file.stream.seek(start)

    def read(self) -> bytes:
        """Return the next chunk.

        Raises:
            Damaged: It was the last one, and the whole has the wrong digest; or the file is shorter than it was.
        """
        chunk = self._file.stream.read(min(CHUNK, self.left))
        self.left -= len(chunk)
        if not chunk:
            raise Damaged(f"artifact {self._file.key!r} became shorter while it was sent")
        if self._digest is not None:
            self._digest.update(chunk)
            if not self.left and self._digest.hexdigest() != self._file.sha256:
                raise Damaged(f"artifact {self._file.key!r} has another content than is recorded: it is not given out")
        return chunk


def _headers(file: File) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", _media_type(file.name)),
        (b"content-disposition", _disposition(file.name)),
        (b"accept-ranges", b"bytes"),
        (b"cache-control", b"no-cache"),
        (b"content-security-policy", SANDBOX),
    ]
    if file.sha256:
        headers.append((b"etag", f'"{file.sha256}"'.encode()))
    return headers


async def _start(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _matches(header_value: bytes | None, etag: bytes) -> bool:
    if header_value is None:
        return False
    return any(item.strip().removeprefix(b"W/") in (etag, b"*") for item in header_value[:4096].split(b","))


def _media_type(name: str) -> bytes:
    """Return a file's type: that of harmless kinds; text for what a browser might run, bytes for the rest."""
    lower = name.lower()
    guessed = mimetypes.guess_type(lower, strict=False)[0] or ""
    if guessed in _SHOWN:
        return guessed.encode()
    if guessed.startswith("text/") or guessed in _TEXT or lower in _TEXT_NAMES or lower.endswith(_TEXT_ENDINGS):
        return b"text/plain; charset=utf-8"
    return b"application/octet-stream"


def _disposition(name: str) -> bytes:
    """Return the header that makes a browser save a file under its name (RFC 6266)."""
    plain = "".join(sign if (sign.isascii() and sign.isalnum()) or sign in "._- ()[]" else "_" for sign in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}".encode()
