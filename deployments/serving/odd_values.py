"""Values that many models do not take, in data that one of them failed on: missing ones and infinite ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from toolkit.models import containers

_MOST = 5  # columns that a message names


def told(data: Any) -> str | None:  # noqa: ANN401 - whatever a model was given
    """Return in which columns and rows data have such values, for a message; ``None`` if they have none.

    Args:
        data: Tables, arrays, and arrays by name; in anything else nothing is looked for.
    """
    found = [f"column {name!r}, row {row}" if name is not None else f"row {row}" for name, row in _found(data)]
    if not found:
        return None
    more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return "; ".join(found[:_MOST]) + more


def _found(data: Any) -> Iterator[tuple[str | None, int]]:  # noqa: ANN401 - the same
    """Yield each column that has such a value, and the first row with one."""
    if containers.is_frame(data):
        for at, name in enumerate(data.columns):
            column = data.iloc[:, at]
            odd = column.isna().to_numpy()
            if column.dtype.kind == "f":
                odd = odd | ~_finite(column.to_numpy(dtype="float64", na_value=float("nan")))
            if odd.any():
                yield str(name), int(odd.argmax())
    elif containers.is_array(data) and data.dtype.kind == "f" and data.ndim:
        odd = ~_finite(data)
        if odd.any():
            place = [int(each[0]) for each in odd.nonzero()]
            yield str(place[1]) if data.ndim == 2 else None, place[0]
    elif isinstance(data, Mapping):
        for name, each in data.items():
            yield from ((str(name), row) for _, row in _found(each))


def _finite(values: Any) -> Any:  # noqa: ANN401 - an array
    import numpy as np  # noqa: PLC0415 - the data are of it

    return np.isfinite(values)
