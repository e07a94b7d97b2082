"""Lines of logs of any size, held against what reading all of them at once gives."""

from __future__ import annotations

import io
import itertools
import random
from collections.abc import Sequence

import pytest

from toolkit.recording.log_pieces import Piece, piece_path
from toolkit.server.pages import log_lines, log_text
from toolkit.server.pages.log_text import Counts, LogText

PATH = "logs/output.log"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks so small that some lines are longer."""
    monkeypatch.setattr(log_text, "BLOCK", 64)
    monkeypatch.setattr(log_text, "BUDGET", 64 * 1024)
    monkeypatch.setattr(log_text, "counts", Counts())


def opened(data: bytes, cuts: Sequence[int] = ()) -> LogText:
    places = [0, *cuts, len(data)]
    pieces = [
        Piece(path=piece_path(PATH, start, end), start=start, end=end) for start, end in itertools.pairwise(places)
    ]
    return LogText("1", PATH, pieces, lambda piece: io.BytesIO(data[piece.start : piece.end]))


def some(seed: int) -> bytes:
    chance = random.Random(seed)
    return b"\n".join(b"%d %s" % (i, b"abC"[: chance.randrange(4)] * chance.randrange(40)) for i in range(200))


@pytest.mark.parametrize("seed", range(6))
def test_ends_windows_and_searches_are_those_of_the_whole(seed: int) -> None:
    data = some(seed) + (b"\n" if seed % 2 else b"")
    whole = data.removesuffix(b"\n").split(b"\n")
    cuts = sorted(random.Random(seed).sample(range(1, len(data)), 5))
    with opened(data, cuts) as log:
        assert log.count() == len(whole)
        for most in (1, 7, 199, 1000):
            assert [(line.number, line.text) for line in log.last(most)] == list(enumerate(whole, 1))[-most:]
        for number in (1, 2, 77, 199, 200, 10_000):
            first = max(1, min(number, 200) - 3)
            found = [(line.number, line.text) for line in log.around(number, before=3, most=9)]
            assert found[: len(whole)] == list(enumerate(whole, 1))[found[0][0] - 1 : found[0][0] + 8]
            assert found[0][0] in (first, first + 1)
        for line in log.last(50):
            assert data[line.start : line.start + len(line.text)] == line.text
        held = [(line.number, line.text) for line in log.holding([b"bcab"])]
        assert held == [(i, line) for i, line in enumerate(whole, 1) if b"bcab" in line.lower()]
        for nth in (1, 3, len(held), len(held) + 5):
            assert log.find(b"bcab", nth) == (len(held), held[min(nth, len(held)) - 1][0])
        assert log.find(b"nowhere", 1) == (0, 0)
        assert b"".join(log.chunks()) == data


def test_a_log_that_grows_is_counted_on() -> None:
    data = some(1)
    for end in (10, 64, 65, 1000, len(data)):
        with opened(data[:end]) as log:
            assert log.count() == data[:end].count(b"\n") + 1
            assert log.last(1)[0].text == data[:end].rpartition(b"\n")[2]
            assert log.last(1)[0].number == log.count()
    with opened(b"another\none") as log:
        assert [line.text for line in log.last(5)] == [b"another", b"one"]


def test_long_and_absent_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_text, "BUDGET", 256)
    with opened(b"") as log:
        assert (log.count(), log.last(5), log.around(1, before=0, most=5), list(log.holding([b"a"]))) == (0, [], [], [])
    with opened(b"first\n" + b"x" * 1000 + b"\nlast") as log:
        assert [line.number for line in log.last(2)] == [3]  # the one before is longer than what is shown at a time
        assert [line.number for line in log.around(3, before=1, most=5)] == [2, 3]
    with opened(b"first\n" + b"x" * 1000) as log:
        assert [(line.number, len(line.text)) for line in log.last(2)] == [(1, 5), (2, 1000)]
    with opened(b"first\n" + b"x" * 200_000 + b"\nlast\n") as log:
        lines = list(log.lines())
        assert [len(line.text) for line in lines] == [5, log_text.LONGEST, 4]
        assert data_place(lines) == [0, 6, 200_007]


def data_place(lines: Sequence[log_text.Line]) -> list[int]:
    return [line.start for line in lines]


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-11-22 10:00:00 ERROR no such column", "error"),
        ("\x1b[31mERROR\x1b[0m bad", "error"),
        ("Traceback (most recent call last):", "error"),
        ("ValueError: no such column", "error"),
        ("sqlalchemy.exc.OperationalError: locked", "error"),
        ("WARNING: slow", "warning"),
        ("x.py:3: UserWarning: old", "warning"),
        ("epoch 3 error=0.5 terror", ""),
        ("0 errors", ""),
    ],
)
def test_levels_are_told_from_lines(line: str, level: str) -> None:
    assert log_lines.level_of(line.encode()) == level
    words = log_lines.LEVELS[level][0] if level else ()
    assert not level or any(word in line.lower().encode() for word in words)


def test_what_a_terminal_obeys_is_not_shown() -> None:
    assert str(log_lines.coloured("\x1b]0;title\x07a\x1b[2Kb\x1b[1;32mc\x1b[0m\x00\ufffd")) == (
        'ab<span class="s-good">c</span>\ufffd'
    )
    assert str(log_lines.coloured("a <b> A\x1b[31ma", "a")) == (
        '<mark>a</mark> &lt;b&gt; <mark>A</mark><span class="s-bad"><mark>a</mark></span>'
    )
