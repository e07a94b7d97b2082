"""Cells of a table of runs: numbers made alike within a column, long texts cut in the middle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.server.pages import numbers, times
from toolkit.server.pages.columns import COURSE, EXTREMES, Column
from toolkit.server.pages.directions import lower_is_better
from toolkit.server.pages.extremes import Extremes
from toolkit.tracking.records import Run

LONGEST = 120
"""Characters of a value that a table sends."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value in a table.

    Attributes:
        text: What is shown.
        full: What it is, exactly; empty where the text says all.
        kind: ``n`` of a number, ``x`` of a text, ``e`` of nothing, ``s`` of a course, which is drawn later.
        gap: By how much it differs from the run that others are held against.
        best: Whether no other run that is shown has a better one.
    """

    text: str
    full: str = ""
    kind: str = "x"
    gap: str = ""
    best: bool = False


EMPTY = Cell("", "not logged", "e")
_COURSE = Cell("", "", "s")
_FORMULA = ("=", "+", "@", "\t", "\r")  # what a spreadsheet runs that begins so


def cut(text: str, longest: int = LONGEST) -> str:
    """Return a text that is at most so long, with its middle left out."""
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def plain(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in _FORMULA or (text[:1] == "-" and not _is_number(text)) else text


def duration_of(run: Run, now: int) -> int | None:
    """Return how long a run took, or has taken so far, in milliseconds."""
    info = run.info
    end = info.end_time if info.end_time is not None else (now if info.status == "RUNNING" else None)
    return None if end is None else max(0, end - info.start_time)


@dataclass(frozen=True, slots=True)
class _Measured:
    """How the values of a metric are shown.

    Attributes:
        digits: How many significant ones.
        lower: Whether a lower value is better; ``None``: nobody knows.
        best: The best value that is shown, if several differ.
        base: The value of the run that others are held against.
    """

    digits: int
    lower: bool | None
    best: float | None
    base: float | None


def rows_of(
    runs: Sequence[Run],
    columns: Sequence[Column],
    now: int,
    *,
    base: Run | None = None,
    extremes: Extremes | None = None,
    marks: bool = True,
) -> Mapping[str, Sequence[Cell]]:
    """Return the cells of each run, in the order of the columns.

    Args:
        runs: The runs.
        columns: What is shown of them.
        now: The time, in milliseconds since 1970.
        base: The run that others are held against.
        extremes: What columns of the least and the greatest values show.
        marks: Whether the best values are marked.
    """
    known = extremes or {}
    looks = {column: _measured(runs, column, known, base, marks=marks) for column in columns if _is_measured(column)}
    return {run.info.run_id: [_cell(run, column, looks.get(column), known, now) for column in columns] for run in runs}


def _is_measured(column: Column) -> bool:
    return column.kind == "m" or column.kind in EXTREMES


def _value(run: Run, column: Column, extremes: Extremes) -> float | None:
    if column.kind == "m":
        return run.data.metrics.get(column.key)
    return extremes.get((run.info.run_id, column))


def _measured(runs: Sequence[Run], column: Column, extremes: Extremes, base: Run | None, *, marks: bool) -> _Measured:
    values = [value for run in runs if (value := _value(run, column, extremes)) is not None]
    finite = {value for value in values if math.isfinite(value)}
    lower = lower_is_better(column.key)
    best = None if not marks or lower is None or len(finite) < 2 else min(finite) if lower else max(finite)
    held = None if base is None else _value(base, column, extremes)
    return _Measured(numbers.digits_of(values), lower, best, held)


def _metric(value: float, look: _Measured) -> Cell:
    gap = ""
    if look.base is not None and look.base != value:  # the share is left out: columns would be twice as wide
        gap = numbers.difference(value, look.base, lower_is_better=look.lower).partition(" (")[0]
    return Cell(numbers.metric(value, look.digits), repr(value), "n", gap, value == look.best)


def _cell(run: Run, column: Column, measured: _Measured | None, extremes: Extremes, now: int) -> Cell:
    if measured is not None:
        value = _value(run, column, extremes)
        return EMPTY if value is None else _metric(value, measured)
    if column.kind == "a":
        return _attribute(run, column.key, now)
    if column.kind == COURSE:
        return _COURSE
    text = (run.data.params if column.kind == "p" else run.data.tags).get(column.key)
    if text is None:
        return EMPTY
    return Cell(cut(text), text if len(text) <= 1_000 else cut(text, 1_000), "n" if _is_number(text) else "x")


def _attribute(run: Run, name: str, now: int) -> Cell:
    info = run.info
    if name == "started":
        return Cell(times.relative(info.start_time, now), times.absolute(info.start_time))
    if name == "duration":
        took = duration_of(run, now)
        return EMPTY if took is None else Cell(times.duration(took), f"{took} ms", "n")
    if name == "source":
        return Cell(cut(run.data.tags.get("mlflow.source.name", ""), 40), run.data.tags.get("mlflow.source.name", ""))
    text = {"user": info.user_id, "id": info.run_id, "reason": info.reason or ""}[name]
    return Cell(cut(text, 60), text) if text else EMPTY


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
