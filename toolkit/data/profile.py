"""What the columns of training data look like, small enough to stand in a dataset's profile.

A deployment's inputs are held against it later (`toolkit.deployments.drift`): it says between which values a column
lay, how its values were spread, and how many were missing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl

COLUMNS = 100
"""At most so many columns are described, the first ones."""

ROWS = 10_000
"""At most so many rows are looked at, as far from each other as the table is long."""

BINS = 10
"""So many parts of like weight is a column of numbers cut into."""

CATEGORIES = 50
"""A column of texts with more of them than this is no column of categories: names, addresses, prose."""

CATEGORY_LENGTH = 64
"""A longer text is no category."""

_LENGTH = 64_000  # of the whole, as JSON: a run is shown with it


def of_pandas(frame: pd.DataFrame) -> dict[str, object]:
    """Return ``{"columns": [...]}`` for a table of pandas, or nothing if there is nothing to say."""
    looked_at = frame.iloc[:: _step(len(frame)), :COLUMNS]
    return _bounded(
        _column(str(looked_at.columns[at]), looked_at.iloc[:, at].dropna().to_numpy(), len(looked_at))
        for at in range(looked_at.shape[1])
        if len(looked_at)
    )


def of_polars(frame: pl.DataFrame) -> dict[str, object]:
    """Return ``{"columns": [...]}`` for a table of Polars, or nothing if there is nothing to say."""
    looked_at = frame[:, :COLUMNS].gather_every(_step(frame.height)) if frame.height and frame.width else frame
    return _bounded(
        _column(name, looked_at[name].drop_nulls().to_numpy(), looked_at.height)
        for name in looked_at.columns
        if looked_at.height
    )


def of_array(array: np.ndarray[Any, Any]) -> dict[str, object]:
    """Return ``{"columns": [...]}`` for an array of one or two dimensions; its columns are called ``0``, ``1``, …."""
    if array.ndim not in (1, 2) or not len(array):
        return {}
    looked_at = array[:: _step(len(array))]
    looked_at = looked_at.reshape(len(looked_at), -1)[:, :COLUMNS]
    return _bounded(_column(str(at), looked_at[:, at], len(looked_at)) for at in range(looked_at.shape[1]))


def _step(rows: int) -> int:
    return max(1, math.ceil(rows / ROWS))


def _bounded(columns: Iterable[dict[str, object]]) -> dict[str, object]:
    """Return as many columns as there is room for."""
    kept: list[dict[str, object]] = []
    left = _LENGTH
    for column in columns:
        left -= len(json.dumps(column))
        if left < 0:
            break
        kept.append(column)
    return {"columns": kept} if kept else {}


def _column(name: str, present: np.ndarray[Any, Any], rows: int) -> dict[str, object]:
    """Describe a column by those of its values that are there."""
    if present.dtype.kind in "iuf":
        return _numbers(name, present.astype("float64"), rows)
    values = present.tolist() if present.dtype.kind in "bOUST" else []
    if values and all(type(value) in (int, float) for value in values):  # numbers that stood beside missing ones
        import numpy as np  # noqa: PLC0415 - the table is there, so is it

        return _numbers(name, np.asarray(values, dtype="float64"), rows)
    shares = _categories(values)
    return {"name": name, "missing": _share(rows - len(present), rows), **({"values": shares} if shares else {})}


def _numbers(name: str, values: np.ndarray[Any, Any], rows: int) -> dict[str, object]:
    import numpy as np  # noqa: PLC0415 - the same

    values = np.sort(values[np.isfinite(values)])
    told: dict[str, object] = {"name": name, "missing": _share(rows - len(values), rows)}
    if not len(values):
        return told
    cuts = np.unique(values)
    if len(cuts) > BINS:
        cuts = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    edges = [float(cut) for cut in cuts if cut < values[-1]]  # nothing would lie above the last
    ends = [0, *np.searchsorted(values, edges, side="right").tolist(), len(values)]
    told |= {"min": float(values[0]), "max": float(values[-1]), "edges": edges}
    told["shares"] = [_share(after - before, len(values)) for before, after in pairwise(ends)]
    return told


def _categories(values: list[Any]) -> Mapping[str, float]:
    """Return the share of each text, or truth; nothing where they are no categories."""
    counts: dict[str, int] = {}
    for value in values:
        if type(value) is bool:
            text = str(value).lower()
        elif type(value) is str and len(value) <= CATEGORY_LENGTH:
            text = value
        else:
            return {}
        counts[text] = counts.get(text, 0) + 1
        if len(counts) > CATEGORIES:
            return {}
    if len(counts) > 2 and len(counts) * 2 > len(values):  # hardly one comes twice: names of things
        return {}
    return {text: _share(counts[text], len(values)) for text in sorted(counts, key=lambda each: (-counts[each], each))}


def _share(count: int, of: int) -> float:
    return round(count / of, 6) if of else 0.0
