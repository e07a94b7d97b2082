"""Calls of our API: what is sent, what may come back, and what else it can be."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote, urlencode

from toolkit.errors import InvalidValue, NotFound, StoreBusy, StoreError
from toolkit.ids import is_run_id
from toolkit.tracking.http_codec import PICTURE_HEADER, Json, error_of
from toolkit.transport.client import Answer, Ask, BadAnswer, HttpClient, Unreachable

P = ParamSpec("P")
T = TypeVar("T")

API = "/api/v1"
LARGEST = 4 << 20
"""Bytes that a request to our API may have."""

_JSON = {"Content-Type": "application/json"}


def understood(method: Callable[P, T]) -> Callable[P, T]:
    """Let a method that reads answers take a half-understood one for none."""

    @wraps(method)
    def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise StoreError(
                f"the server's answer cannot be understood ({error!r}): is it of another version?"
            ) from error

    return reading


class Calls:
    """Our API at a server.

    Args:
        client: What speaks to it.
        picture: The picture that is read; ``None``: the store as it is.
        headers: What each request says beside.
    """

    def __init__(
        self, client: HttpClient, picture: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.client = client
        self._picture = picture
        self._headers = headers or {}

    def get(self, path: str, **query: object) -> Json:
        """Read. Values of the query that are ``None`` are left out.

        Raises:
            ToolkitError: What the server says; `StoreError` if it says nothing that can be used.
        """
        return self._call(Ask(method="GET", path=API + path + _query(query), headers=self._told()))

    def look(self, path: str, body: object) -> Json:
        """Read, with a question that is too long for an address; as `get`."""
        return self._call(self._asking("POST", path, body))

    def write(self, path: str, body: object, *, method: str = "POST", repeat: bool = True) -> Json:
        """Write. ``repeat`` says whether doing it twice is harmless.

        Raises:
            ToolkitError: As for `get`.
        """
        self._check_writable()
        return self._call(self._asking(method, path, body, repeat=repeat))

    def send(self, path: str, body: bytes, content_type: str) -> Json:
        """Write bytes that may be sent twice, without waiting for a server that is away: the caller tries again.

        Raises:
            ToolkitError: As for `get`.
        """
        self._check_writable()
        headers = {"Content-Type": content_type}
        return self._call(Ask(method="PUT", path=API + path, body=body, headers=headers, wait=0.0))

    def of_picture(self, picture: str, client: HttpClient) -> Calls:
        """Return the same API, but of a picture."""
        return Calls(client, picture)

    def _check_writable(self) -> None:
        if self._picture is not None:
            raise StoreError("this is a picture of the store, for reading only")

    def _told(self) -> dict[str, str]:
        return {**self._headers, **({} if self._picture is None else {PICTURE_HEADER: self._picture})}

    def _asking(self, method: str, path: str, body: object, *, repeat: bool = True) -> Ask:
        sent = json.dumps(body, separators=(",", ":"), default=dict).encode()
        if len(sent) > LARGEST:
            raise InvalidValue(
                f"the request would have {len(sent) >> 20} MiB: wanted at most {LARGEST >> 20}, split it"
            )
        return Ask(method=method, path=API + path, body=sent, headers={**_JSON, **self._told()}, repeat=repeat)

    def _call(self, ask: Ask) -> Json:
        try:
            answer = self.client.ask(ask)
        except (Unreachable, BadAnswer) as error:
            raise StoreError(error.message) from error
        told = read_json(answer)
        if answer.status == 200 and told is not None:
            return told
        raise self._fault(answer, told)

    def _fault(self, answer: Answer, told: Json | None) -> Exception:
        place, status = self.client.place, answer.status
        if status in (401, 403):
            return StoreError(
                f"{place} does not let you in (HTTP {status}): set TOOLKIT_TRACKING_TOKEN, or "
                "TOOLKIT_TRACKING_USERNAME and TOOLKIT_TRACKING_PASSWORD"
            )
        if told is not None and isinstance(told.get("code"), str) and isinstance(told.get("message"), str):
            known = error_of(told["code"], told["message"])
            return known or StoreError(f"{place}: {told['message']} (HTTP {status})")
        if status in (429, 502, 503, 504):
            return StoreBusy(f"{place} cannot take requests now (HTTP {status})")
        if 300 <= status < 400:
            return StoreError(f"{place} sends its clients elsewhere (HTTP {status}): use the address that it names")
        kind = answer.headers.get("content-type", "something").partition(";")[0]
        return StoreError(
            f"{place} answers with {kind[:60]} (HTTP {status}), not as a toolkit server does: is the address right, "
            "or is there a proxy in between?"
        )


def read_json(answer: Answer) -> Json | None:
    """Return the object that an answer holds; ``None`` if it holds none."""
    if "json" not in answer.headers.get("content-type", ""):
        return None
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def part(text: str) -> str:
    """Return text as one part of a path."""
    return quote(text, safe="")


def run_path(run_id: str) -> str:
    """Return the path of a run.

    Raises:
        NotFound: It cannot be the id of one, so it is none's.
    """
    if not is_run_id(run_id):
        raise NotFound(f"Run with id={run_id} not found")
    return f"/runs/{part(run_id)}"


def _query(values: Mapping[str, Any]) -> str:
    given = [(name, str(value).encode("utf-8", "surrogatepass")) for name, value in values.items() if value is not None]
    return f"?{urlencode(given)}" if given else ""
