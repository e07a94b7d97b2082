"""What went wrong with a request, as MLflow's servers say it: a status and a small JSON document."""

from __future__ import annotations

import json
import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.errors import InvalidPayload, SchemaMismatch, ToolkitError, UnsupportedContentType

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
_CLIENTS = ("KAM00", "INVALID_PARAMETER_VALUE")
_OURS = ("XXM00", "CLIENT_INTERNAL_ERROR")
_CLASSES = {  # MLflow's, of each code that has one
    "BAD_REQUEST": _CLIENTS,
    "INVALID_PARAMETER_VALUE": _CLIENTS,
    "INTERNAL_ERROR": _OURS,
    "TEMPORARILY_UNAVAILABLE": _OURS,
}


class ModelRefusal(ToolkitError):
    """A model fails on data in which values are missing or infinite.

    Args:
        where: In which columns and rows.
    """

    def __init__(self, where: str | None = None) -> None:
        super().__init__(
            where
            and "Failed to predict: the model fails on these data, in which a value is missing, NaN or infinite: "
            f"{where} (counted from 0)."
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Attributes:
        status: Of HTTP.
        body: As it goes over the wire.
        kind: Its content type.
        headers: Further ones.
    """

    status: int
    body: bytes
    kind: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


def refused(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an error in the document that MLflow's clients read.

    Args:
        status: Of HTTP.
        code: MLflow's name of the error.
        message: What was given, and what was wanted.
        headers: Further ones.
    """
    document = {"error_code": code, "message": message}
    if code in _CLASSES:
        document["sqlstate"], document["error_class"] = _CLASSES[code]
    more = tuple((name.lower().encode(), value.encode()) for name, value in (headers or {}).items())
    return Answer(status, json.dumps(document).encode(), JSON, more)


def of_error(error: BaseException) -> Answer:
    """Return the answer to a request that failed: what is the client's mistake is told, what is the model's is logged.

    Nothing that came is repeated, and no traceback leaves the process: a number finds it in the log.
    """
    match error:
        case UnsupportedContentType():
            return Answer(415, str(error).encode(), TEXT)
        case SchemaMismatch():
            return refused(400, "INVALID_PARAMETER_VALUE", f"Failed to predict. \nError: {error}")
        case InvalidPayload():
            return refused(400, "BAD_REQUEST", str(error))
        case ToolkitError() if error.exit_code == 2:
            return refused(400, "BAD_REQUEST", str(error))
    number = secrets.token_hex(6)
    logger.error("request failed (%s)", number, exc_info=error)
    if isinstance(error, ModelRefusal):
        return refused(400, "BAD_REQUEST", f"{error} The server's log tells more under the id {number}.")
    return refused(
        500, "INTERNAL_ERROR", f"The model failed on these data. The server's log tells more under the id {number}."
    )


def too_large(limit: int) -> Answer:
    """Return the answer to a body above the limit, in bytes."""
    return refused(
        413,
        "BAD_REQUEST",
        f"The body is larger than {limit} bytes, which is the limit here: send fewer rows at a time.",
        {"Connection": "close"},
    )


def overloaded(held: str) -> Answer:
    """Return the answer to a request beyond those that are held at once; it is told what is held."""
    return refused(
        503,
        "TEMPORARILY_UNAVAILABLE",
        f"The service is answering {held}, which is its limit: try again.",
        {"Retry-After": "1"},
    )


def restarting() -> Answer:
    """Return the answer to a request that comes while the process ends, for another to take its place."""
    return refused(503, "TEMPORARILY_UNAVAILABLE", "The service is being started again.", {"Retry-After": "1"})


def slow_client(seconds: float) -> Answer:
    """Return the answer to a request whose body does not come to its end in that time."""
    return refused(408, "BAD_REQUEST", f"The body did not come within {seconds:g} s.", {"Connection": "close"})


def too_slow(seconds: float) -> Answer:
    """Return the answer to a request that took too long."""
    return refused(504, "DEADLINE_EXCEEDED", f"Request processing time exceeded limit: {seconds:g} s.")
