"""A stream that does something at its end, before whoever reads it learns that it has ended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import BinaryIO, cast

from toolkit.errors import InvalidValue


class AtEnd:
    """A stream for one reader.

    Args:
        source: What it gives.
        then: Called once, at the end of ``source``.
        sha256: The digest that all of it must have; ``None``: any.
    """

    def __init__(self, source: BinaryIO, then: Callable[[], None], sha256: str | None = None) -> None:
        self._source = source
        self._then = then
        self._wanted = sha256
        self._digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Return at most so many bytes; nothing at the end.

        Raises:
            InvalidValue: All of it has another digest than it must have.
        """
        chunk = self._source.read(size)
        if self._wanted is not None:
            self._digest.update(chunk)
            if not chunk and self._digest.hexdigest() != self._wanted:
                raise InvalidValue(
                    f"what came has the digest {self._digest.hexdigest()} where {self._wanted} was announced: "
                    "it was damaged on its way; send it again"
                )
        if not chunk:
            self._then()
        return chunk

    def as_file(self) -> BinaryIO:
        """Return it as stores take it: they only call `read`."""
        return cast(BinaryIO, self)
