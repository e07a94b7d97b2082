"""Page tokens: where the previous page ended. Opaque to callers, and checked when they come back."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence

from toolkit.errors import InvalidValue

Position = Sequence[str | int | float]

_INT64 = range(-(2**63), 2**63)
_LONGEST = 400_000  # a search's token holds the texts that the last item is ordered by


def encode(kind: str, position: Position) -> str:
    """Return the token for a position.

    Args:
        kind: What is listed; a token of another kind is refused.
        position: The sort key of the last item that was given.
    """
    parts = [part.hex() if isinstance(part, float) else part for part in position]
    text = json.dumps([kind, *parts], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(token: str, kind: str, types: Sequence[type]) -> list[str | int | float]:
    """Return the position of a token.

    Args:
        token: What a caller gave.
        kind: What is listed.
        types: Of each part of the position: ``str``, ``int`` or ``float``.

    Raises:
        InvalidValue: It is not a token of this list.
    """
    try:
        parts = _parts(token)
        if parts[:1] != [kind] or len(parts) != len(types) + 1:
            raise ValueError("another list's")
        return [_part(part, wanted) for part, wanted in zip(parts[1:], types, strict=True)]
    except (ValueError, OverflowError, RecursionError):
        shown = token if isinstance(token, str) and len(token) <= 100 else f"{str(token)[:100]}…"
        raise InvalidValue(
            f"Invalid page_token {json.dumps(shown)}: wanted the token that came with the previous page of this list"
        ) from None


def _parts(token: str) -> list[object]:
    if not isinstance(token, str) or len(token) > _LONGEST:
        raise ValueError("no text, or too long")
    try:
        parts = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if not isinstance(parts, list):
        raise ValueError("no list")
    return parts


def _part(part: object, wanted: type) -> str | int | float:
    if wanted is float and isinstance(part, str):
        number = float.fromhex(part)
        if number != number:
            raise ValueError("not a number")
        return number
    if wanted is int and type(part) is int and part in _INT64:
        return part
    if wanted is str and isinstance(part, str):
        part.encode()  # UnicodeEncodeError is a ValueError
        return part
    raise ValueError("of another type")
