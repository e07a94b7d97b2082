"""The part of a file that a request asks for (RFC 9110, section 14): one span, or all of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPAN = re.compile(rb"bytes[ ]*=[ ]*([0-9]{0,18})[ ]*-[ ]*([0-9]{0,18})", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Bytes of a file.

    Attributes:
        start: Of the first of them.
        length: How many.
    """

    start: int
    length: int


class Unsatisfiable(Exception):
    """The file has no such bytes."""


def read(header: bytes | None, size: int) -> Span | None:
    """Return the span that a ``Range`` header asks for; ``None``: all of the file is sent.

    Several spans, and what cannot be read, are answered with all of it, as the standard allows; there is nothing here
    that a long header could slow down.

    Raises:
        Unsatisfiable: The file has no such bytes.
    """
    found = _SPAN.fullmatch(header.strip()) if header is not None and len(header) < 100 else None
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(0, size - int(found[2])), size - 1
        if int(found[2]) == 0:
            raise Unsatisfiable
    else:
        start = int(found[1])
        end = min(int(found[2]), size - 1) if found[2] else size - 1
        if found[2] and int(found[2]) < start:
            return None
    if start >= size:
        raise Unsatisfiable
    return Span(start=start, length=end - start + 1)
