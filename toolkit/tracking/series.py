"""Histories of metrics as charts draw them: the points that matter of each stretch of steps, and a smoothed line.

The steps are cut into stretches of 2, 4, 8 … steps that begin at multiples of their length. Of each stretch the first
and the last point are kept, the least and the greatest value, and the first NaN, +Inf and -Inf. So no spike is lost, an
answer depends on nothing but the points, and when points arrive only the last stretch changes: until there are too
many, when each two become one. What the databases choose (`toolkit.tracking.sql_series`) is what `chosen` chooses.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from toolkit.errors import InvalidValue
from toolkit.tracking import sampling
from toolkit.tracking.number import from_stored

OF_STRETCH = 4
"""Points of a stretch that are kept, but for those that are no finite numbers."""

FEWEST = 2 * OF_STRETCH
"""Points that can be asked for: no stretch lies on both sides of 0, so there may have to be two."""

MOST_SMOOTHED, MOST_SMOOTHED_TOGETHER = 1_000_000, 5_000_000
"""Points of a history, and of all that are asked for together, that a smoothed line is made of."""

Row = tuple[int, int, float, int]
"""A point as the stores keep and order it: step, timestamp, and its value's two parts (`toolkit.tracking.number`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesQuery:
    """Which histories are wanted, and how.

    Attributes:
        run_ids: Of these runs; those that are not there are passed over.
        keys: These metrics; the same.
        points: Of each at most so many finite points, 8 to 10,000; and of each of a quarter as many stretches the first
            NaN, +Inf and -Inf.
        start_step: The first step wanted; ``None``: no bound.
        end_step: The last step wanted; the same.
        smooth: Weight of what was before in a smoothed line, from 0 (there is none) to less than 1.
    """

    run_ids: Sequence[str]
    keys: Sequence[str]
    points: int = 600
    start_step: int | None = None
    end_step: int | None = None
    smooth: float = 0.0

    def check(self) -> None:
        """Check what is asked for.

        Raises:
            InvalidValue: The number of points or the weight is out of bounds, or the first step is after the last one.
        """
        sampling.check(self.points, self.start_step, self.end_step)
        if self.points < FEWEST:
            raise InvalidValue(f"Invalid points {self.points!r}: wanted an integer from {FEWEST} to {sampling.POINTS}")
        if not 0.0 <= self.smooth < 1.0:
            raise InvalidValue(f"Invalid smooth {self.smooth!r}: wanted a number from 0 to less than 1")

    def reads(self, step: int) -> bool:
        """Tell whether a step is read for what is wanted."""
        return (self.read_from is None or self.read_from <= step) and (self.end_step is None or step <= self.end_step)

    @property
    def read_from(self) -> int | None:
        """The first step that is read: into a smoothed line goes also what was before those that are wanted."""
        return None if self.smooth else self.start_step

    @property
    def stretches(self) -> int:
        """Into how many stretches a history is cut at most."""
        return self.points // OF_STRETCH


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A metric of a run as a chart draws it: columns of one length, ordered by step, timestamp, value.

    Attributes:
        run_id: The run.
        key: The metric.
        steps: Where in the training each point was measured.
        timestamps: When, in milliseconds since 1970 UTC.
        values: What; NaN and infinities are values.
        smoothed: The smoothed line at each point, which all points before went into; ``None`` if none was wanted.
        total: How many points these stand for.
        rough: Whether only the points that are told went into the smoothed line, as all are too many.
    """

    run_id: str
    key: str
    steps: Sequence[int]
    timestamps: Sequence[int]
    values: Sequence[float]
    smoothed: Sequence[float] | None = None
    total: int
    rough: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """How far a history goes.

    Attributes:
        count: Its points.
        steps: The first and the last step.
        timestamps: The least and the greatest timestamp; they matter where all points are of one step.
    """

    count: int
    steps: tuple[int, int]
    timestamps: tuple[int, int] = (0, 0)

    @property
    def by_time(self) -> bool:
        """Whether all points are of one step: then their times are cut."""
        return self.steps[0] == self.steps[1]

    def shift(self, stretches: int) -> int:
        """Return the power of two that is the length of its stretches, if there are to be at most so many."""
        low, high = self.timestamps if self.by_time else self.steps
        shift = max(0, (high - low).bit_length() - stretches.bit_length())
        while (high >> shift) - (low >> shift) + 1 > stretches:
            shift += 1
        return shift

    def stretches(self, most: int) -> list[tuple[int, int]]:
        """Return the first and the last step (or time) of each stretch."""
        low, high = self.timestamps if self.by_time else self.steps
        shift = self.shift(most)
        return [
            (max(low, place << shift), min(high, ((place + 1) << shift) - 1))
            for place in range(low >> shift, (high >> shift) + 1)
        ]


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """Return values smoothed by a moving average that forgets, without its bias at the start (TensorBoard's).

    What is no finite number is passed through and does not count; values that are all the same stay as they are.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite or min(finite) == max(finite):
        return list(values)
    found: list[float] = []
    mean, rest = 0.0, 1.0
    share = 1.0 - weight
    for value in values:
        if value - value == 0.0:  # it is finite
            mean = weight * mean + share * value
            rest *= weight
            found.append(mean / (1.0 - rest))
        else:
            found.append(value)
    return found


def too_long(counts: Iterable[int]) -> list[bool]:
    """Tell of each history whether it has too many points for a smoothed line, alone or with those before it.

    Args:
        counts: How many points each has, from `SeriesQuery.read_from` on, in the order of the query.
    """
    found, together = [], 0
    for count in counts:
        fits = count <= MOST_SMOOTHED and together + count <= MOST_SMOOTHED_TOGETHER
        together += count if fits else 0
        found.append(not fits)
    return found


def roughly(plain: Series, weight: float) -> Series:
    """Return a series with a smoothed line that is made of the points that it tells."""
    return replace(plain, smoothed=smoothed(plain.values, weight), rough=True)


def made(run_id: str, key: str, rows: Sequence[Row], query: SeriesQuery, total: int | None = None) -> Series:
    """Return the series of rows.

    Args:
        run_id: The run.
        key: The metric.
        rows: All rows from `SeriesQuery.read_from` on, in their order; or those that were chosen already.
        query: What was asked for.
        total: How many rows there are, if they were chosen already: then nothing is smoothed.
    """
    line = smoothed([_value(row) for row in rows], query.smooth) if total is None and query.smooth else None
    wanted: Sequence[int] = range(len(rows))
    if line and query.start_step is not None:
        wanted = wanted[bisect_left(rows, (query.start_step,)) :]
    kept = [rows[place] for place in wanted]
    count = len(kept) if total is None else total
    if total is None and count > query.points:
        places = chosen(kept, query)
        kept, wanted = [kept[place] for place in places], [wanted[place] for place in places]
    return Series(
        run_id=run_id,
        key=key,
        steps=[row[0] for row in kept],
        timestamps=[row[1] for row in kept],
        values=[_value(row) for row in kept],
        smoothed=[line[place] for place in wanted] if line else None,
        total=count,
    )


def chosen(rows: Sequence[Row], query: SeriesQuery) -> list[int]:
    """Return the places of the rows that stand for a history, in their order.

    Args:
        rows: All rows, in their order.
        query: What was asked for.
    """
    extent = Extent(
        count=len(rows),
        steps=(rows[0][0], rows[-1][0]),
        timestamps=(min(row[1] for row in rows), max(row[1] for row in rows)),
    )
    shift = extent.shift(query.stretches)
    axis = [row[1] if extent.by_time else row[0] for row in rows]
    found: set[int] = set()
    for _, group in groupby(range(len(rows)), key=lambda place: axis[place] >> shift):
        places = list(group)
        found |= {places[0], places[-1], *_extremes(rows, places)}
    return sorted(found)


def _extremes(rows: Sequence[Row], places: Sequence[int]) -> Iterable[int]:
    """Return the places of the least and the greatest value, and of the first of each that is no finite number."""
    finite = [place for place in places if math.isfinite(rows[place][2])]
    if finite:
        yield min(finite, key=lambda place: _by_value(rows[place]))
        greatest = max(rows[place][2:] for place in finite)
        yield next(place for place in finite if rows[place][2:] == greatest)
    for strange in ((math.inf, 1), (math.inf, 0), (-math.inf, 0)):
        place = next((place for place in places if rows[place][2:] == strange), None)
        if place is not None:
            yield place


def _by_value(row: Row) -> tuple[float, int, int, int]:
    return (row[2], row[3], row[0], row[1])


def _value(row: Row) -> float:
    return from_stored(row[2], row[3]) if row[3] else row[2]
