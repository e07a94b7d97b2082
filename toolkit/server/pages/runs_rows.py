"""Rows of a table of runs: what the template of rows takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.server.pages import colours, times
from toolkit.server.pages import columns as choice
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import Cell, rows_of
from toolkit.server.pages.columns import Column
from toolkit.server.pages.directions import lower_is_better
from toolkit.server.pages.extremes import extremes_of
from toolkit.server.pages.families import Families, Line
from toolkit.server.pages.states import FIELDS
from toolkit.server.pages.view import PAGE, RunsView, quoted
from toolkit.tracking.records import Run, SearchQuery

_MOST_STEPS = 2_000


def fields(columns: Sequence[Column]) -> Sequence[str]:
    """Return the values that must be loaded for rows of a table."""
    return [*choice.loaded(columns), f"tags.`{colours.TAG}`", *FIELDS]


def rows(
    asked: Asked, view: RunsView, columns: Sequence[Column], found: Families, *, level: int = 0, marks: bool = True
) -> dict[str, Any]:
    """Return what the template of rows takes."""
    now = times.now()
    base = _base(asked, view, columns)
    lines = _lines(found, level)
    all_runs = [line.run for line in lines]
    extremes = extremes_of(asked.stores.runs, [*([base] if base else []), *all_runs], columns)
    cells = dict(rows_of(all_runs, columns, now, base=base, extremes=extremes, marks=marks))
    if base is not None:
        alone = rows_of([base, *all_runs], columns, now, extremes=extremes, marks=False)
        cells[base.info.run_id] = alone[base.info.run_id]
    return {
        "view": view,
        "columns": columns,
        "runs": found.runs.items,
        "lines": lines,
        "flat": found.flat,
        "left": found.left,
        "more": found.runs.next_page_token,
        "cells": cells,
        "numeric": _numeric(cells, columns),
        "first_down": frozenset(column for column in columns if _is_better_above(column)),
        "base": base,
        "colours": colours.of([*([base] if base else []), *all_runs]),
        "parents": _parents(asked, all_runs) if found.flat or not view.parents else {},
        "steps": _steps(asked, found.runs.items),
        "at": now,
        "size": PAGE,
        "level": level,
    }


def _lines(found: Families, level: int) -> Sequence[Line]:
    lines = []
    for run in found.runs.items:
        run_id = run.info.run_id
        lines.append(Line(run=run, level=level, beside=run_id in found.beside, is_open=run_id in found.steps))
        lines += [Line(run=step, level=level + 1) for step in found.steps.get(run_id, ())]
    return lines


def _numeric(cells: Mapping[str, Sequence[Cell]], columns: Sequence[Column]) -> frozenset[Column]:
    """Return the columns that hold numbers and nothing else, so that their heads stand over them."""
    kinds = ({row[place].kind for row in cells.values()} for place in range(len(columns)))
    return frozenset(column for column, found in zip(columns, kinds, strict=True) if "n" in found and "x" not in found)


def _is_better_above(column: Column) -> bool:
    """Tell whether the first click on a column's head sorts downwards: what is newest or best comes first."""
    return column.id == "a:started" or (column.kind == "m" and lower_is_better(column.key) is False)


def _base(asked: Asked, view: RunsView, columns: Sequence[Column]) -> Run | None:
    """Return the run that others are held against; ``None`` if there is none, or no more."""
    if not view.base:
        return None
    query = SearchQuery(filter=f"run_id = {quoted(view.base)}", lifecycle=None, limit=1, fields=fields(columns))
    return next(iter(asked.stores.runs.search_runs(query).items), None)


def _parents(asked: Asked, runs: Sequence[Run]) -> Mapping[str, str]:
    """Return the names of the runs that some runs are parts of."""
    ids = list(dict.fromkeys(run.info.parent_run_id for run in runs if run.info.parent_run_id))
    if not ids:
        return {}
    query = SearchQuery(filter=f"run_id IN ({', '.join(map(quoted, ids))})", lifecycle=None, limit=len(ids), fields=[])
    return {run.info.run_id: run.info.run_name for run in asked.stores.runs.search_runs(query).items}


def _steps(asked: Asked, runs: Sequence[Run]) -> Mapping[str, int]:
    """Return how many parts each of some runs has; where they are too many to tell, that all may have some."""
    if not runs:
        return {}
    ids = [run.info.run_id for run in runs]
    within = f"parent_run_id IN ({', '.join(map(quoted, ids))})"
    query = SearchQuery(filter=within, limit=_MOST_STEPS, fields=[])
    found = asked.stores.runs.search_runs(query)
    counted = Counter(run.info.parent_run_id or "" for run in found.items)
    return dict.fromkeys(ids, 0) if found.next_page_token else counted
