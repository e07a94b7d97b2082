"""Slices: parts of the data whose metrics are looked at on their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue
from toolkit.models.evaluation.metric import metrics_of
from toolkit.models.evaluation.outcome import Outcome, numpy

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.models.evaluation.outcome import Array

MOST_VALUES = 20
"""Values of a column that are slices of their own."""

PREFIX = "slices"
_BINS = 4
_UNFIT = re.compile(r"[^\w\-. ]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """A part of the data.

    Attributes:
        name: What it is called, as ``region/north``, in the characters that metrics' names may have.
        column: The column that it is made from, or the mask's name.
        value: What the column has there; empty for a mask.
        mask: Which rows belong to it.
    """

    name: str
    column: str
    value: str
    mask: Array


Slices = str | Iterable[str] | Mapping[str, Any] | None


def read_slices(given: Slices, data: pd.DataFrame) -> list[Slice]:
    """Return the slices of data that a user asks for.

    Args:
        given: Names of columns: a slice a value, of numbers with many values a slice a quarter; or masks by name:
            booleans a row, a function of the data that gives them, or a query of pandas such as ``age > 60``.
        data: The rows.

    Raises:
        InvalidValue: There is no such column, or a mask cannot be used.
    """
    if given is None:
        return []
    if isinstance(given, Mapping):
        found = [
            Slice(name=_fit(name), column=name, value="", mask=_mask(name, mask, data)) for name, mask in given.items()
        ]
    else:
        found = [each for name in ([given] if isinstance(given, str) else given) for each in _of_column(name, data)]
    names: set[str] = set()
    for each in found:
        if each.name in names:
            raise InvalidValue(f"two slices would be called {each.name!r}: name one of them otherwise, as a mask")
        names.add(each.name)
    return found


def slice_rows(slices: Iterable[Slice], outcome: Outcome) -> list[dict[str, object]]:
    """Return a row for each slice: its name, how many rows it has, their share, and, of any row, its metrics."""
    rows: list[dict[str, object]] = []
    for each in slices:
        count = int(each.mask.sum())
        row: dict[str, object] = {"slice": each.name, "column": each.column, "value": each.value}
        row |= {"rows": count, "share": count / len(outcome)}
        rows.append(row | (metrics_of(outcome.where(each.mask)) if count else {}))
    return rows


def slice_metrics(rows: Iterable[Mapping[str, object]]) -> dict[str, float]:
    """Return the metrics of such rows, named as ``slices/region/north/accuracy_score``."""
    own = ("slice", "column", "value", "rows", "share")
    return {
        f"{PREFIX}/{row['slice']}/{name}": value
        for row in rows
        for name, value in row.items()
        if name not in own and isinstance(value, float)
    }


def _of_column(name: str, data: pd.DataFrame) -> Iterator[Slice]:
    if name not in data.columns:
        known = ", ".join(str(column) for column in data.columns)
        raise InvalidValue(f"there is no column {name!r} to slice by: there are {known}")
    column = data[name]
    if column.nunique() > MOST_VALUES and column.dtype.kind in "iuf":
        values, column = _quarters(column)
    else:
        values = list(column.value_counts().index[:MOST_VALUES])
        if len(values) == column.nunique():
            values.sort(key=lambda each: (str(type(each)), each))
    for value in values:
        yield Slice(name=_fit(f"{name}/{_text(value)}"), column=name, value=_text(value), mask=_filled(column == value))
    missing = column.isna()
    for label, mask in (("missing", missing), ("other", ~column.isin(values) & ~missing)):
        if mask.any():
            yield Slice(name=_fit(f"{name}/{label}"), column=name, value=label, mask=_filled(mask))


def _quarters(column: pd.Series[Any]) -> tuple[list[str], pd.Series[Any]]:
    """Return quarters of a column's values, such as ``1.5 to 3``, and in which of them each value is."""
    np = numpy()
    filled = column.dropna()
    edges = np.unique(np.quantile(filled, np.linspace(0, 1, _BINS + 1)))
    names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    place = np.clip(np.searchsorted(edges, filled, side="right") - 1, 0, len(names) - 1)
    found = column.astype(object)
    found[filled.index] = np.array(names, dtype=object)[place]
    return list(dict.fromkeys(names)), found


def _mask(name: str, given: Any, data: pd.DataFrame) -> Array:  # noqa: ANN401 - what a user gives
    np = numpy()
    if isinstance(given, str):
        try:
            given = data.eval(given)
        except Exception as error:  # noqa: BLE001 - the query is the user's, and pandas raises of many kinds
            raise InvalidValue(f"the slice {name!r} is no query of pandas: {' '.join(str(error).split())}") from None
    elif isinstance(given, Callable):  # type: ignore[arg-type]  # it is a class to ask for
        given = given(data)
    mask = np.asarray(given)
    if mask.shape != (len(data),) or mask.dtype.kind not in "bO":
        raise InvalidValue(
            f"the slice {name!r} has {mask.dtype} of shape {mask.shape}: wanted a boolean for each of {len(data)} rows"
        )
    found: Array = mask.astype(bool)
    return found


def _filled(mask: Any) -> Array:  # noqa: ANN401 - a column of booleans
    return mask.fillna(False).to_numpy(dtype=bool)  # type: ignore[no-any-return]  # pandas has no types here


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _fit(name: str) -> str:
    """Return a name in the characters that names of metrics may have."""
    return "/".join(_UNFIT.sub("_", part) or "_" for part in str(name).split("/"))[:150]
