"""The rows that a model is trained on: a few of them as an example, many of them as a dataset, some to measure on.

They are whatever the library takes: tables of pandas or Polars, arrays, sparse matrices, lists. None of these libraries
is imported here; what is not known is left out.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

from toolkit.data.arrays import from_numpy
from toolkit.data.dataset import Dataset
from toolkit.data.frames import from_pandas, from_polars

EXAMPLE = 5
"""So many rows make an example of the input."""

MOST_DENSE = 10_000_000
"""A sparse matrix with more elements is no dataset: its digest is of the whole matrix, which would fill the memory."""


def is_a(kind: str, value: object) -> bool:
    """Tell whether a value is of a class, such as ``pandas.DataFrame``, whose library need not be there."""
    module, _, name = kind.rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and isinstance(value, found)


def is_sparse(value: object) -> bool:
    """Tell whether a value is a sparse matrix or array of SciPy."""
    scipy = sys.modules.get("scipy.sparse")
    return scipy is not None and bool(scipy.issparse(value))


def first_rows(data: Any, count: int = EXAMPLE) -> Any:  # noqa: ANN401 - of any library
    """Return a copy of the first rows; ``None`` for data that have no rows to be taken, such as a stream or a file."""
    if isinstance(data, str | bytes) or not hasattr(data, "__getitem__"):
        return None
    if is_a("pandas.DataFrame", data) or is_a("pandas.Series", data):
        return data.iloc[:count].copy()
    return copy.deepcopy(data[:count])


def count_of(data: Any) -> int | None:  # noqa: ANN401 - of any library
    """Return how many rows there are; ``None`` if that cannot be told."""
    shape = getattr(data, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else None
    return len(data) if hasattr(data, "__len__") else None


def dataset_of(features: Any, targets: Any = None, name: str | None = None) -> Dataset | None:  # noqa: ANN401 - of any library
    """Return data as a dataset; ``None`` for a kind that is not known.

    Args:
        features: What a model is given.
        targets: What it is to predict.
        name: Its name.
    """
    if is_a("pandas.DataFrame", features):
        return from_pandas(features, name=name)
    if is_a("polars.DataFrame", features):
        return from_polars(features, name=name)
    arrays = [_array(each) for each in (features, targets)]
    if arrays[0] is None:
        return None
    return from_numpy(arrays[0], targets=arrays[1], name=name)


def _array(data: Any) -> Any:  # noqa: ANN401 - an array
    if is_sparse(data):
        return data.toarray() if data.shape[0] * data.shape[1] <= MOST_DENSE else None
    if is_a("pandas.Series", data) or is_a("pandas.DataFrame", data):
        return data.to_numpy()
    return data if is_a("numpy.ndarray", data) else None
