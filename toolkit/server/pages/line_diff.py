"""Two texts line by line: what is gone, what is new, and what stands around it. Bounded, whatever the texts hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

LINES = 5_000
"""Lines of a text that are looked at, after those at both ends that are the same."""

SHOWN = 1_000
"""Lines of a difference that are shown."""

_AROUND = 3
_PAIRS = 100_000
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a difference.

    Attributes:
        kind: ``same``, ``gone``, ``new``, or ``skip`` for lines that are the same and left out.
        old: Its number in the old text, if it is there.
        new: Its number in the new one.
        text: What it says; of ``skip``: how many lines are left out.
    """

    kind: str
    old: int | None
    new: int | None
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Diff:
    """How two texts differ.

    Attributes:
        lines: What is shown.
        new: How many lines are new.
        gone: How many are gone.
        left_out: How many lines of the difference are not shown.
        blocked: Whether the texts are too long, or too much alike in themselves, for their lines to be matched: then
            the old ones are told as gone and the new ones as new.
    """

    lines: Sequence[Line]
    new: int
    gone: int
    left_out: int = 0
    blocked: bool = False


def line_diff(old: str, new: str, *, shown: int = SHOWN) -> Diff:
    """Return how a text differs from another.

    Args:
        old: The one.
        new: The other.
        shown: How many lines of the difference are returned at most.
    """
    before, after = old.splitlines(), new.splitlines()
    head = _common(before, after)
    tail = _common(before[head:][::-1], after[head:][::-1])
    a, b = before[head : len(before) - tail], after[head : len(after) - tail]
    blocked = not _is_easy(a, b)
    codes = (
        [("replace", 0, len(a), 0, len(b))] if blocked else SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    )
    codes = [(kind, i + head, j + head, k + head, m + head) for kind, i, j, k, m in codes]
    codes = [
        ("equal", 0, head, 0, head),
        *codes,
        ("equal", len(before) - tail, len(before), len(after) - tail, len(after)),
    ]
    lines = list(_lines(codes, before, after))
    return Diff(
        lines=lines[:shown],
        new=sum(line.kind == "new" for line in lines),
        gone=sum(line.kind == "gone" for line in lines),
        left_out=max(0, len(lines) - shown),
        blocked=blocked,
    )


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    return next((place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _is_easy(a: Sequence[str], b: Sequence[str]) -> bool:
    """Tell whether lines can be matched in good time: what that takes grows with the pairs that are alike."""
    if len(a) > LINES or len(b) > LINES:
        return False
    often = Counter(b)
    return sum(often[line] for line in a) <= _PAIRS


def _lines(
    codes: Sequence[tuple[str, int, int, int, int]], before: Sequence[str], after: Sequence[str]
) -> Iterator[Line]:
    for place, (kind, i, j, k, m) in enumerate(codes):
        if kind == "equal":
            first, last = place == 0, place == len(codes) - 1
            yield from _around(before[i:j], i, k, start=0 if first else _AROUND, end=0 if last else _AROUND)
            continue
        for at in range(i, j):
            yield Line("gone", at + 1, None, _short(before[at]))
        for at in range(k, m):
            yield Line("new", None, at + 1, _short(after[at]))


def _around(same: Sequence[str], old: int, new: int, *, start: int, end: int) -> Iterator[Line]:
    """Return the first and the last of some lines that are the same, and how many stand between them."""
    if len(same) <= start + end:
        shown = [*range(len(same))]
        skipped = 0
    else:
        skipped = len(same) - start - end
        shown = [*range(start), *range(len(same) - end, len(same))]
    for at in shown:
        if skipped and at == start + skipped:
            yield Line("skip", None, None, str(skipped))
        yield Line("same", old + at + 1, new + at + 1, _short(same[at]))
    if skipped and end == 0:
        yield Line("skip", None, None, str(skipped))


def _short(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
