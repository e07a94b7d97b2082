"""Single rows of what a model was given and gave, as JSON can hold them; none of them large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.models import containers
from toolkit.models.json_values import plain

TEXT = 1_000
"""Characters of a text that are kept at most."""

ELEMENTS = 1_000
"""Of an array or a list with more of them, only its shape or length is kept."""

Names = Sequence[str] | None


def length_of(data: Any) -> int:  # noqa: ANN401 - what a model takes
    """Return how many rows data have; 1 for what has none."""
    if isinstance(data, Mapping):
        sizes = {_size(each) for each in data.values()}
        return sizes.pop() or 0 if len(sizes) == 1 and None not in sizes else 1
    size = _size(data)
    return 1 if size is None else size


def _size(data: Any) -> int | None:  # noqa: ANN401 - the same
    shape = getattr(data, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else None
    return len(data) if isinstance(data, list | tuple) else None


def bytes_of(data: Any) -> int:  # noqa: ANN401 - the same
    """Return what arrays take in memory; 0 for what is no array."""
    if isinstance(data, Mapping):
        return sum(bytes_of(each) for each in data.values())
    return int(data.nbytes) if containers.is_array(data) else 0


def picked(data: Any, rows: Sequence[int]) -> Any:  # noqa: ANN401 - the same
    """Return some rows of data as data of their own, so that nothing holds the others."""
    if isinstance(data, Mapping):
        return {name: picked(each, rows) for name, each in data.items()}
    data = containers.as_pandas(data)
    if containers.is_frame(data) or containers.is_series(data):
        return data.iloc[list(rows)]
    if isinstance(data, list | tuple):
        return [data[row] for row in rows]
    return data[list(rows)] if _size(data) is not None else data


def inputs_of(data: Any, names: Names) -> list[dict[str, Any]]:  # noqa: ANN401 - the same
    """Return what a model was given, row by row, by the names of the columns.

    Args:
        data: What it was given.
        names: The columns of the signature, for an array that says none; a nameless one is counted from ``0``.
    """
    count = length_of(data)
    data = containers.as_pandas(data)
    if containers.is_sparse(data):
        data = data.toarray()
    if containers.is_frame(data):
        columns = {str(name): data.iloc[:, at].tolist() for at, name in enumerate(data.columns)}
    elif containers.is_array(data) and data.ndim == 2 and data.shape[1] <= ELEMENTS:
        known = names if names is not None and len(names) == data.shape[1] else range(data.shape[1])
        columns = {str(name): data[:, at].tolist() for at, name in enumerate(known)}
    elif isinstance(data, Mapping) and all(_size(each) == count for each in data.values()):
        columns = {str(name): list(each) for name, each in data.items()}
    elif isinstance(data, list) and all(isinstance(each, Mapping) for each in data):
        return [{str(name): _small(value) for name, value in each.items()} for each in data]
    elif isinstance(data, Mapping):
        return [{str(name): _small(value) for name, value in data.items()}]
    else:
        only = names[0] if names is not None and len(names) == 1 else "0"
        columns = {only: list(data) if _size(data) is not None else [data]}
    return [{name: _small(values[row]) for name, values in columns.items()} for row in range(count)]


def outputs_of(prediction: Any, rows: int) -> list[Any]:  # noqa: ANN401 - whatever a model gives
    """Return what a model gave, row by row; one answer for several rows stands with the first of them.

    Args:
        prediction: What it gave.
        rows: How many rows it was given.
    """
    prediction = containers.as_pandas(prediction)
    if containers.is_frame(prediction) and len(prediction) == rows:
        return [_small(each) for each in inputs_of(prediction, None)]
    if isinstance(prediction, Mapping) and rows and all(_size(each) == rows for each in prediction.values()):
        return [_small(each) for each in inputs_of(prediction, None)]
    if _size(prediction) == rows:
        return [_small(each) for each in (prediction.tolist() if hasattr(prediction, "tolist") else prediction)]
    return [_small(prediction), *[None] * (rows - 1)] if rows else []


def _small(value: Any) -> Any:  # noqa: ANN401 - the same
    """Return a value as JSON, cut where it is long."""
    if isinstance(value, str):
        return value if len(value) <= TEXT else value[:TEXT] + "…"
    if isinstance(value, bytes | bytearray):
        return {"bytes": len(value)}
    shape = getattr(value, "shape", None)
    if shape:
        cells = 1
        for size in shape:
            cells *= int(size)
        if cells > ELEMENTS:
            return {"shape": [int(size) for size in shape]}
    if isinstance(value, list | tuple) and len(value) > ELEMENTS:
        return {"length": len(value)}
    if isinstance(value, Mapping):
        return {str(name): _small(each) for name, each in list(value.items())[:ELEMENTS]}
    return [_small(each) for each in value] if isinstance(value, list | tuple) else plain(value)
