"""Cells of a table of runs: numbers made alike within a column, long texts cut in the middle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.server.pages import numbers, times
from toolkit.server.pages.columns import COURSE, Column
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
    """

    text: str
    full: str = ""
    kind: str = "x"


EMPTY = Cell("", "not logged", "e")
_COURSE = Cell("", "", "s")


def cut(text: str, longest: int = LONGEST) -> str:
    """Return a text that is at most so long, with its middle left out."""
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def duration_of(run: Run, now: int) -> int | None:
    """Return how long a run took, or has taken so far, in milliseconds."""
    info = run.info
    end = info.end_time if info.end_time is not None else (now if info.status == "RUNNING" else None)
    return None if end is None else max(0, end - info.start_time)


def rows_of(runs: Sequence[Run], columns: Sequence[Column], now: int) -> Mapping[str, Sequence[Cell]]:
    """Return the cells of each run, in the order of the columns."""
    digits = {
        column: numbers.digits_of([run.data.metrics[column.key] for run in runs if column.key in run.data.metrics])
        for column in columns
        if column.kind == "m"
    }
    return {run.info.run_id: [_cell(run, column, digits.get(column, 4), now) for column in columns] for run in runs}


def _cell(run: Run, column: Column, digits: int, now: int) -> Cell:
    if column.kind == "m":
        value = run.data.metrics.get(column.key)
        return EMPTY if value is None else Cell(numbers.metric(value, digits), repr(value), "n")
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
