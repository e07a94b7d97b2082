"""Lines of a log of any size: its end, what is around a line, what holds a text. Never all of it in memory.

A log may be several artifacts (`toolkit.recording.log_pieces`). How many lines end before each of its blocks is counted
once and remembered, so that a line is found by its number without reading what stands before it again.
"""

from __future__ import annotations

import io
import re
import threading
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from toolkit.recording.log_pieces import Piece

BLOCK = 1 << 20
"""Bytes that are read at a time."""

LONGEST = 1 << 16
"""Bytes of a line that are kept."""

BUDGET = 4 << 20
"""Bytes of lines that are shown at a time, at most."""

_REMEMBERED = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line.

    Attributes:
        number: From 1.
        start: Where in the log it begins.
        text: Its bytes without the end of the line, the first of them if it is very long.
        whole: Whether its end has come.
    """

    number: int
    start: int
    text: bytes
    whole: bool = True


class LogFile(io.RawIOBase):
    """A log as one stream, whatever it is made of.

    Args:
        pieces: What it is made of.
        opened: Opens one of them.
    """

    def __init__(self, pieces: Sequence[Piece], opened: Callable[[Piece], BinaryIO]) -> None:
        self._pieces = pieces
        self._starts = [piece.start for piece in pieces]
        self._open_piece = opened
        self._stream: BinaryIO | None = None
        self._current = -1
        self._place = 0
        self.size = pieces[-1].end if pieces else 0

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def seekable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """See `io.RawIOBase`."""
        self._place = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence])
        return self._place

    def readinto(self, buffer: object, /) -> int:
        """See `io.RawIOBase`."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # whatever io gives has bytes
        if self._place >= self.size:
            return 0
        index = bisect_right(self._starts, self._place) - 1
        piece = self._pieces[index]
        if index != self._current:
            self._release()
            self._stream = self._open_piece(piece)
            self._current = index
        assert self._stream is not None
        self._stream.seek(self._place - piece.start)
        found = self._stream.read(min(len(view), piece.end - self._place))
        view[: len(found)] = found
        self._place += len(found)
        return len(found)

    def close(self) -> None:
        """See `io.RawIOBase`."""
        self._release()
        super().close()

    def _release(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream, self._current = None, -1


@dataclass(slots=True)
class _Counted:
    """How many lines end in the first so many blocks of a log; of which log, where that is known."""

    ends: list[int] = field(default_factory=lambda: [0])
    sha256: str = ""


class Counts:
    """What was counted of logs that were looked at lately."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], _Counted] = OrderedDict()

    def of(self, key: tuple[str, str], pieces: Sequence[Piece]) -> _Counted:
        """Return what is known of a log: of its run and path, unless it is another one by now."""
        size = pieces[-1].end if pieces else 0
        whole = pieces[0].sha256 if len(pieces) == 1 and pieces[0].path == key[1] else ""
        with self.lock:
            found = self._known.pop(key, None)
            changed = found is not None and found.sha256 and found.sha256 != whole
            if found is None or changed or (len(found.ends) - 1) * BLOCK > size:
                found = _Counted()
            found.sha256 = whole or found.sha256
            self._known[key] = found
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
            return found


counts = Counts()


class LogText:
    """A log that is read.

    Args:
        run_id: The run that wrote it.
        path: Its path among the artifacts.
        pieces: What it is made of.
        opened: Opens one of them.
    """

    def __init__(self, run_id: str, path: str, pieces: Sequence[Piece], opened: Callable[[Piece], BinaryIO]) -> None:
        self.size = pieces[-1].end if pieces else 0
        self._counted = counts.of((run_id, path), pieces)
        self._file = io.BufferedReader(LogFile(pieces, opened), BLOCK)

    def __enter__(self) -> LogText:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Give all of its bytes, from a place on."""
        self._file.seek(start)
        while data := self._file.read(BLOCK):
            yield data

    def lines(self, start: int = 0, number: int = 1) -> Iterator[Line]:
        """Give the lines from a place on.

        Args:
            start: Where a line begins.
            number: This line's number.
        """
        self._file.seek(start)
        while data := self._file.readline(LONGEST):
            end = data
            while not end.endswith(b"\n") and (more := self._file.readline(LONGEST)):
                end = more
            yield Line(number=number, start=start, text=data.rstrip(b"\r\n"), whole=end.endswith(b"\n"))
            start, number = self._file.tell(), number + 1

    def last(self, most: int) -> Sequence[Line]:
        """Return its last lines."""
        ends = self._ends()
        block = max(0, bisect_right(ends, ends[-1] - most - 1) - 1, (self.size - BUDGET) // BLOCK)
        found = deque(self._from_block(block), most)
        if not found:  # the last line is longer than that
            found = deque(self._from_block(max(0, bisect_right(ends, ends[-1] - 1) - 1)), most)
        return list(found)

    def around(self, number: int, *, before: int, most: int) -> Sequence[Line]:
        """Return a line with others before it and after it.

        Args:
            number: The line's; one that is too large is the last line's.
            before: How many lines before it.
            most: How many lines in all.
        """
        ends = self._ends()
        first = max(1, min(number, ends[-1] + 1) - before)
        block = max(0, bisect_right(ends, first - 2) - 1)  # the one in which the line before it ends
        found: list[Line] = []
        read = 0
        for line in self._from_block(block):
            if line.number >= first:
                found.append(line)
                read += len(line.text)
                if len(found) >= most or (read > BUDGET and line.number >= number):
                    break
        return found

    def count(self) -> int:
        """Return how many lines there are."""
        if not self.size:
            return 0
        ends = self._ends()[-1]
        self._file.seek(self.size - 1)
        return ends if self._file.read(1) == b"\n" else ends + 1

    def holding(self, words: Sequence[bytes], accepted: Callable[[bytes], bool] = lambda _: True) -> Iterator[Line]:
        """Give the lines that hold one of some texts.

        Args:
            words: The texts, in lower case; lines are held against them with their ASCII letters in lower case.
            accepted: What else is asked of a line.
        """
        place, number = 0, 1
        for block in self._whole_lines():
            counted = 0
            for start in _line_starts(block.lower(), words):
                number += block.count(b"\n", counted, start)
                counted = start
                end = block.find(b"\n", start)
                text = block[start : end if end >= 0 else None][:LONGEST].rstrip(b"\r")
                if accepted(text):
                    yield Line(number=number, start=place + start, text=text)
            number += block.count(b"\n", counted)
            place += len(block)

    def find(self, word: bytes, nth: int) -> tuple[int, int]:
        """Return how many lines hold a text, and the number of the nth of them; of the last, if there are fewer.

        Args:
            word: The text, in lower case, as in `holding`.
            nth: Which, from 1.
        """
        rest_of_line = re.compile(re.escape(word) + rb"[^\n]*")  # so each line is found once
        count, number = 0, 1
        found = (b"", 1, 0)  # a block, the number of its first line, and which of its lines is meant
        for block in self._whole_lines():
            here = len(rest_of_line.findall(block.lower()))
            if here and count < nth:
                found = (block, number, min(nth - count, here))
            count += here
            number += block.count(b"\n")
        if not count:
            return 0, 0
        block, number, place = found
        start = _line_starts(block.lower(), [word])[place - 1]
        return count, number + block.count(b"\n", 0, start)

    def _whole_lines(self) -> Iterator[bytes]:
        """Give all of its bytes in blocks that end with a line; a line of many blocks is cut."""
        rest = b""
        for data in self.chunks():
            rest += data
            cut = rest.rfind(b"\n") + 1 or (len(rest) if len(rest) >= BUDGET else 0)
            if cut:
                yield rest[:cut]
                rest = rest[cut:]
        if rest:
            yield rest

    def _from_block(self, block: int) -> Iterator[Line]:
        """Give the lines that begin in a block, and all after it."""
        if block == 0:
            yield from self.lines()
            return
        place = block * BLOCK - 1  # the end of the line before, or a byte in its middle
        self._file.seek(place)
        while (data := self._file.readline(BLOCK)) and not data.endswith(b"\n"):
            pass
        start = self._file.tell()
        number = self._ends()[block] + 1 + (1 if start > block * BLOCK else 0)
        yield from self.lines(start, number)

    def _ends(self) -> Sequence[int]:
        """Return how many lines end before each block, and before the end: counted where it was not yet."""
        ends = self._counted.ends
        known = len(ends) - 1
        self._file.seek(known * BLOCK)
        fresh = [ends[known]]
        while data := self._file.read(BLOCK):
            fresh.append(fresh[-1] + data.count(b"\n"))
            if len(data) < BLOCK:
                break
        whole = self.size // BLOCK - known  # the last block may still grow
        with counts.lock:
            if len(ends) - 1 == known:
                ends.extend(fresh[1 : whole + 1])
        return [*ends[: known + 1], *fresh[1:]]


def _line_starts(block: bytes, words: Sequence[bytes]) -> Sequence[int]:
    """Return where the lines of a block begin that hold one of some texts."""
    starts: set[int] = set()
    for word in words:
        place = block.find(word)
        while place >= 0:
            starts.add(block.rfind(b"\n", 0, place) + 1)
            end = block.find(b"\n", place)
            place = block.find(word, end + 1) if end >= 0 else -1
    return sorted(starts)
