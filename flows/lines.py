"""Output as it comes, in chunks of bytes, made into lines."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

_LINE_END = re.compile(r"\r\n|\n|\r")
_LONGEST_LINE = 100_000


class Lines:
    """Passes on whole lines, without their ends; what is no UTF-8 is replaced.

    Args:
        on_line: Takes a line.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> None:
        """Take what has come."""
        self._take(self._decoder.decode(chunk))

    def finish(self) -> None:
        """Pass on what has no end of line."""
        self._take(self._decoder.decode(b"", final=True))
        self._flush()

    def _take(self, text: str) -> None:
        *lines, self._rest = _LINE_END.split(self._rest + text)
        for line in lines:
            self._on_line(line)
        if len(self._rest) > _LONGEST_LINE:
            self._flush()

    def _flush(self) -> None:
        if self._rest:
            self._on_line(self._rest)
            self._rest = ""
