"""The output of a release's processes: a file that does not grow for ever, and its last lines."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LIMIT = 8 * 2**20
"""Bytes after which a log is turned over."""
_BLOCK = 64 * 2**10
_SHOWN = 300
_ERROR = re.compile(
    r"(\w+\.)*[A-Z]\w*(:|$)"
)  # as the last line of a traceback; other lines begin with a time or a space
_PAUSE = 0.25


def turn_over(log: Path, *, limit: int = LIMIT) -> bool:
    """Keep a log that has grown beyond a limit as ``<name>.1``, and begin anew; tell whether that was so.

    Its writers have it open to append: it is copied and emptied, not moved. What they write in between is lost.
    """
    try:
        if log.stat().st_size <= limit:
            return False
        shutil.copyfile(log, kept := log.with_name(log.name + ".1"))
        kept.chmod(0o600)
        os.truncate(log, 0)
    except OSError:
        return False
    return True


def last_words(log: Path) -> str:
    """Return what a process said last, cut to what fits into a message: its last error, else its last line.

    A server that cannot start says why, and then at length that it ends.
    """
    lines = [line for line in last_lines(log, 60) if line.strip()]
    errors = [line for line in lines if _ERROR.match(line) and not line.startswith("SystemExit")]
    return next(reversed(errors or lines), "").strip()[:_SHOWN]


def last_lines(log: Path, count: int, *, until: int | None = None) -> list[str]:
    """Return the last lines of a log and of the one before it, without their ends.

    Args:
        log: The log.
        count: How many.
        until: Of its first so many bytes; default: of all.
    """
    lines = _tail(log, count, until)
    if len(lines) < count:
        lines = _tail(log.with_name(log.name + ".1"), count - len(lines), None) + lines
    return lines


def follow(log: Path, count: int, *, ended: Callable[[], bool]) -> Iterator[str]:
    """Yield the last lines of a log, and those that are added to it, until there is no more to come.

    Args:
        log: The log.
        count: How many lines that are there.
        ended: Tells whether nobody writes any more.
    """
    position = log.stat().st_size if log.exists() else 0
    yield from last_lines(log, count, until=position)
    rest = b""
    while True:
        over = ended()
        with contextlib.suppress(OSError):
            if log.stat().st_size < position:
                position, rest = 0, b""  # it was turned over
            with log.open("rb") as file:
                file.seek(position)
                rest += file.read()
                position = file.tell()
        *lines, rest = rest.split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in lines)
        if over:
            if rest:
                yield rest.decode("utf-8", "replace")
            return
        time.sleep(_PAUSE)


def _tail(file: Path, count: int, until: int | None) -> list[str]:
    try:
        with file.open("rb") as log:
            position = log.seek(0, os.SEEK_END) if until is None else until
            found = b""
            while position > 0 and found.count(b"\n") <= count:
                step = min(_BLOCK, position)
                position = log.seek(position - step)
                found = log.read(step) + found
    except OSError:
        return []
    return [line.decode("utf-8", "replace") for line in found.splitlines()][-count:] if count > 0 else []
