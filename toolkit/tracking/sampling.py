"""Which points of a long history to show: at most so many, spread evenly, the first and the last among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from toolkit.errors import InvalidValue

POINTS = 10_000
"""At most so many points are asked for."""

_ROUNDS = 12
T = TypeVar("T")


def check(points: int, start_step: int | None, end_step: int | None) -> None:
    """Check what is asked for.

    Raises:
        InvalidValue: The number of points is out of bounds, or the first step is after the last one.
    """
    if type(points) is not int or not 1 <= points <= POINTS:
        raise InvalidValue(f"Invalid points {points!r}: wanted an integer from 1 to {POINTS}")
    for name, step in (("start_step", start_step), ("end_step", end_step)):
        if step is not None and (type(step) is not int or not -(2**63) <= step < 2**63):
            raise InvalidValue(f"Invalid {name} {step!r}: wanted an integer of 64 bits")
    if start_step is not None and end_step is not None and start_step > end_step:
        raise InvalidValue(f"Invalid start_step {start_step}: wanted at most end_step, which is {end_step}")


def chosen(items: Sequence[T], points: int) -> list[T]:
    """Return at most so many items, spread evenly over their places, the first and the last among them."""
    if len(items) <= points:
        return list(items)
    if points == 1:
        return [items[-1]]
    last = len(items) - 1
    return [items[(at * last + (points - 1) // 2) // (points - 1)] for at in range(points)]


def spread(first: int, last: int, points: int, at_or_after: Callable[[Sequence[int]], Sequence[int]]) -> list[int]:
    """Return at most so many places that hold something, spread evenly over where there is anything.

    An even grid is laid over all, and each of its lines moves to the next place that holds something. Stretches that
    hold nothing are then left out, and the grid is laid over the rest, until most of its lines stay apart.

    Args:
        first: The first place that holds something.
        last: The last one.
        points: At most so many places, 3 or more; ``first`` and ``last`` are among them.
        at_or_after: Returns, for each of some places up to the last one, the next that holds something.
    """
    stretches = [(first, last)]  # from … up to, but not with, what follows
    found = {first, last}
    for _ in range(_ROUNDS):
        grid = _grid(stretches, points - 2)
        met = at_or_after(grid)
        found = {first, last, *met}
        if len(found) * 2 > points:
            break
        # A line that met what is beyond the next line stands in a stretch that holds nothing.
        ends = [*grid[1:], last]
        full = [(place, end) for place, end, there in zip(grid, ends, met, strict=True) if place <= there < end]
        if not full or _length(full) * 2 > _length(stretches):
            break
        stretches = full
    return sorted(found)


def _length(stretches: Sequence[tuple[int, int]]) -> int:
    return sum(end - begin for begin, end in stretches)


def _grid(stretches: Sequence[tuple[int, int]], lines: int) -> list[int]:
    """Return places at even distances over some stretches, in ascending order, each once."""
    total = _length(stretches)
    places: list[int] = []
    before = 0
    wanted = [at * total // lines for at in range(lines)]
    rest = iter(stretches)
    begin, end = next(rest)
    for place in wanted:
        while place - before >= end - begin:
            before += end - begin
            following = next(rest, None)
            if following is None:
                return sorted(set(places))
            begin, end = following
        places.append(begin + place - before)
    return sorted(set(places))
