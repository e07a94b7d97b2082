"""What went wrong with a request, as MLflow's servers say it: a status and a small JSON document."""

from __future__ import annotations

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
_SQLSTATE = {"BAD_REQUEST": "KAM00", "INVALID_PARAMETER_VALUE": "22023", "INTERNAL_ERROR": "XXKCM"}
_CLASS = {"BAD_REQUEST": "INVALID_PARAMETER_VALUE"}


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
    import orjson  # noqa: PLC0415 - which the image has for the model's answers

    document = {"error_code": code, "message": message}
    if code in _SQLSTATE:
        document |= {"sqlstate": _SQLSTATE[code], "error_class": _CLASS.get(code, code)}
    more = tuple((name.lower().encode(), value.encode()) for name, value in (headers or {}).items())
    return Answer(status, orjson.dumps(document), JSON, more)


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


def overloaded(limit: int) -> Answer:
    """Return the answer to a request beyond those that are held at once."""
    return refused(
        503,
        "TEMPORARILY_UNAVAILABLE",
        f"{limit} requests are being answered, which is the limit here: try again.",
        {"Retry-After": "1"},
    )


def too_slow(seconds: float) -> Answer:
    """Return the answer to a request that took too long."""
    return refused(504, "DEADLINE_EXCEEDED", f"Request processing time exceeded limit: {seconds:g} s.")
