"""How many files of a transfer are there, on a terminal: one line that is written over. In a pipe, nothing."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from toolkit.cli.render import size
from toolkit.recording.transfer import Moved

_BETWEEN = 0.1  # seconds; more often nobody reads
_CLEAR = "\r\x1b[K"


class FilesProgress:
    """Shows how far a transfer has come, within a block.

    Args:
        verb: What is done, such as ``stored``.
    """

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._shown = 0.0
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> FilesProgress:
        """Begin."""
        return self

    def __call__(self, moved: Moved) -> None:
        """Show it, if it was not shown a moment ago."""
        now = time.monotonic()
        if not self._terminal or now - self._shown < _BETWEEN:
            return
        self._shown = now
        sys.stderr.write(f"{_CLEAR}{self._verb} {moved.files} of {moved.total} files, {size(moved.size)}")
        sys.stderr.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
