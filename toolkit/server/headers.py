"""Headers of requests, as ASGI has them: a list of pairs of bytes, names in lower case."""

from __future__ import annotations

from starlette.types import Scope

from toolkit.errors import InvalidValue


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return a header; ``None`` if there is none."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return None


def length_of(scope: Scope) -> int | None:
    """Return the length that a request announces for its body; ``None`` where it announces none.

    Raises:
        InvalidValue: It is no number.
    """
    value = header(scope, b"content-length")
    if value is None:
        return None
    if not value.isdigit() or len(value) > 18:
        raise InvalidValue(f"the Content-Length {value[:30]!r} is no number of bytes")
    return int(value)
