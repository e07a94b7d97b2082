"""A service that is asked over HTTP, once: what it was sent, and what it answered."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from toolkit.errors import InvalidValue, TargetFailed

JSON = "application/json"
LARGEST = 16 * 2**20
"""Bytes that are read of what a service tells of itself."""
_SHOWN = 500

Sent = tuple[str, str, bytes | None, Mapping[str, str]]
"""Method, path, body and headers of a request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a service answered.

    Attributes:
        status: HTTP's status.
        body: The body.
    """

    status: int
    body: bytes

    @property
    def problem(self) -> str:
        """What it says is wrong, in one line."""
        try:
            told = json.loads(self.body)
        except ValueError:
            told = self.body.decode("utf-8", "replace")
        if isinstance(told, dict):
            told = told.get("message") or told.get("error") or told
        return " ".join(str(told).split())[:_SHOWN] or "no word of why"


def ask(
    address: str,
    path: str,
    body: bytes,
    *,
    content_type: str = JSON,
    timeout: float = 60.0,
    headers: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> Answer:
    """Send a body to a service, and return what it answers.

    Args:
        address: The service's URL.
        path: Below it, such as ``/invocations``.
        body: What is sent.
        content_type: What that is.
        timeout: Seconds without a word from it after which it is given up.
        headers: Sent beside it, such as a token.
        limit: Bytes of the answer that are read; None: all.

    Raises:
        InvalidValue: The address is no URL of a web server.
        TargetFailed: It does not answer.
    """
    told = {"Content-Type": content_type, **(headers or {})}
    return _answered(address, ("POST", path, body, told), timeout, limit=limit)


def fetch(address: str, path: str, *, timeout: float = 60.0) -> Answer:
    """Return what a service answers to a GET.

    Args:
        address: The service's URL.
        path: Below it, such as ``/readyz``.
        timeout: Seconds without a word from it after which it is given up.

    Raises:
        InvalidValue: The address is no URL of a web server.
        TargetFailed: It does not answer.
    """
    return _answered(address, ("GET", path, None, {}), timeout, limit=LARGEST)


def _answered(address: str, sent: Sent, timeout: float, *, limit: int | None) -> Answer:
    method, path, body, headers = sent
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidValue(f"{address!r} is no address of a service: wanted such as http://127.0.0.1:3000")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request(method, parts.path.rstrip("/") + path, body, dict(headers))
        came = connection.getresponse()
        return Answer(status=came.status, body=came.read(limit))
    except (OSError, http.client.HTTPException) as error:
        told = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise TargetFailed(f"{address} does not answer: {told}") from None
    finally:
        connection.close()
