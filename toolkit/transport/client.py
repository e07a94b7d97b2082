"""Requests to a server, tried again while that may help and can do no harm."""

from __future__ import annotations

import http.client
import io
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from toolkit.errors import ToolkitError
from toolkit.transport.address import Access, Address, read_address
from toolkit.transport.pool import Pool

_PASSING = (429, 502, 503, 504)
"""Statuses of a server, or of what stands in front of it, that may be another one soon."""

_GOOD = (200, 206)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 3.0  # seconds
_CONNECT = 10.0  # seconds: a host that drops what is sent to it is known by its silence
_CHUNK = 1 << 20
_SLOWEST = 5  # how many timeouts an answer may take as a whole, if it comes at all

Body = bytes | Iterable[bytes] | BinaryIO


class Unreachable(ToolkitError):
    """The server does not answer.

    Attributes:
        sent: Whether the request may have been carried out all the same.
    """

    def __init__(self, message: str | None = None, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class BadAnswer(ToolkitError):
    """The server's answer cannot be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """A request.

    Attributes:
        method: Such as ``GET``.
        path: Below the server's address, quoted, with its query.
        body: What is sent; an iterable or a file is read once, so such a request is never repeated.
        headers: Besides those of every request.
        repeat: Whether it may be sent again when it is not known whether it was carried out.
        wait: Seconds to go on trying; ``None``: as the access says.
        most: Bytes that an answer may have at most.
    """

    method: str
    path: str
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeat: bool = True
    wait: float | None = None
    most: int = 256 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the server said. ``body`` is whole; names of ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Download(io.RawIOBase):
    """The body of an answer, read as it comes. It ends with an error if it ends too early.

    Args:
        connection: What it comes by; closed with it.
        response: The answer.
        place: The server, for messages.
    """

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, place: str) -> None:
        self._connection = connection
        self._response = response
        self._place = place
        self._left = response.length

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - whatever takes bytes
        """Read what has come, at least a byte before the end.

        Raises:
            Unreachable: The connection was lost.
        """
        try:
            count = self._response.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"the answer of {self._place} was cut off: {_reason(error)}", sent=True) from error
        if self._left is not None:
            self._left -= count
            if not count and self._left and len(buffer):
                raise Unreachable(f"the answer of {self._place} was cut off: {self._left} bytes are missing", sent=True)
        return count

    def close(self) -> None:
        """Close the connection."""
        self._response.close()
        self._connection.close()
        super().close()


Reader = Callable[[Ask, http.client.HTTPConnection, http.client.HTTPResponse], Answer]


class HttpClient:
    """Speaks to one server. It may be used by any thread, and by a child after a fork.

    Args:
        url: The server's URL.
        access: How it is reached.

    Raises:
        InvalidSetting: The URL or a file of certificates cannot be used.
    """

    def __init__(self, url: str, access: Access | None = None) -> None:
        self.access = access or Access()
        self.address: Address = read_address(url, self.access)
        self._pool = Pool(self.address, self.access)
        self._met = False  # whether it ever answered

    @property
    def place(self) -> str:
        """The server as messages name it, without credentials."""
        return self.address.place

    def alone(self) -> HttpClient:
        """Return another client of the same server, with connections of its own."""
        other = object.__new__(HttpClient)
        other.access, other.address, other._met = self.access, self.address, self._met
        other._pool = Pool(self.address, self.access)
        return other

    def ask(self, ask: Ask) -> Answer:
        """Send a request and return its whole answer, whatever its status.

        Raises:
            Unreachable: There was none, also after trying for as long as the request may wait.
            BadAnswer: It is no HTTP, too long, or was cut off.
        """
        return self._trying(ask, self._whole)

    def open(self, ask: Ask) -> tuple[Answer, Download | None]:
        """Send a request; the body of a good answer is given to be read, and to be closed.

        Raises:
            Unreachable: As for `ask`.
            BadAnswer: The same.
        """
        found: list[Download] = []

        def keep(ask: Ask, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Answer:
            if response.status not in _GOOD:
                return self._whole(ask, connection, response)
            found.append(Download(connection, response, self.place))
            return Answer(status=response.status, headers=_headers(response), body=b"")

        answer = self._trying(ask, keep)
        return answer, found[-1] if found and answer.status in _GOOD else None

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._pool.close()

    # -- one request ---------------------------------------------------------------------------------

    def _trying(self, ask: Ask, read: Reader) -> Answer:
        wait = self.access.wait if ask.wait is None else ask.wait
        ends = time.monotonic() + wait
        repeatable = ask.repeat and (ask.body is None or isinstance(ask.body, bytes))
        attempt = 0
        while True:
            pause = random.uniform(0.5, 1.0) * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(attempt, 10))  # noqa: S311
            attempt += 1
            try:
                answer = self._once(ask, read)
            except Unreachable as error:
                hopeless = not self._met and not error.sent  # never there: the address is wrong, or it is not started
                if hopeless or (error.sent and not repeatable) or time.monotonic() + pause > ends:
                    raise
            else:
                pause = max(pause, _retry_after(answer))
                if answer.status not in _PASSING or not repeatable or time.monotonic() + pause > ends:
                    return answer
            time.sleep(pause)

    def _once(self, ask: Ask, read: Reader) -> Answer:
        connection, used = self._pool.take()
        sent = False
        try:
            if connection.sock is None:
                self._connect(connection)
            sent = True
            try:
                connection.request(ask.method, self.address.path + ask.path, body=ask.body, headers=self._headers(ask))
            except (BrokenPipeError, ConnectionResetError):
                if ask.body is None:
                    raise  # else it may have said why it does not want the body
            response = connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError, BrokenPipeError) as error:
            connection.close()
            if used and ask.repeat and isinstance(ask.body, bytes | None):  # it was idle for too long
                self._pool.close()
                return self._once(ask, read)
            raise self._away(error, sent) from error
        except http.client.HTTPException as error:
            connection.close()
            raise BadAnswer(f"{self.place} answers, but not as a web server does: is it the right port?") from error
        except OSError as error:
            connection.close()
            raise self._away(error, sent) from error
        except BaseException:  # a body that cannot be read, Ctrl-C: what stands on the connection is half a request
            connection.close()
            raise
        self._met = True
        return self._finished(ask, connection, response, read)

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        connection.timeout = min(self.access.timeout, _CONNECT)
        connection.connect()
        connection.sock.settimeout(self.access.timeout)

    def _finished(
        self,
        ask: Ask,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
        read: Reader,
    ) -> Answer:
        try:
            answer = read(ask, connection, response)
        except (TimeoutError, http.client.HTTPException, ConnectionError, ssl.SSLError) as error:
            connection.close()
            raise Unreachable(f"the answer of {self.place} was cut off: {_reason(error)}", sent=True) from error
        except BaseException:
            connection.close()
            raise
        if not response.isclosed():  # somebody reads on
            return answer
        if response.will_close:
            connection.close()
        else:
            self._pool.give(connection)
        return answer

    def _whole(
        self,
        ask: Ask,
        connection: http.client.HTTPConnection,  # noqa: ARG002 - the form of a reader
        response: http.client.HTTPResponse,
    ) -> Answer:
        wanted = response.length
        ends = time.monotonic() + self.access.timeout * _SLOWEST
        parts: list[bytes] = []
        size = 0
        while chunk := response.read(_CHUNK):
            parts.append(chunk)
            size += len(chunk)
            if size > ask.most:
                raise BadAnswer(
                    f"the answer of {self.place} is longer than {ask.most >> 20} MiB: ask for smaller pages"
                )
            if time.monotonic() > ends:
                raise TimeoutError("it comes too slowly")
        if wanted is not None and size < wanted:
            raise http.client.IncompleteRead(b"", wanted - size)
        response.close()
        return Answer(status=response.status, headers=_headers(response), body=b"".join(parts))

    def _headers(self, ask: Ask) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": "toolkit", **ask.headers}
        if self.address.authorization:
            headers["Authorization"] = self.address.authorization
        return headers

    def _away(self, error: Exception, sent: bool) -> Unreachable:
        doubt = ", and it is not known whether it did what was asked" if sent else ""
        return Unreachable(f"{self.place} does not answer ({_reason(error)}){doubt}", sent=sent)


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


def _retry_after(answer: Answer) -> float:
    """Return the seconds that a server asks to be left alone; 0 if it does not say."""
    said = answer.headers.get("retry-after", "")
    return min(float(said), 3600.0) if said.isdecimal() else 0.0


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
