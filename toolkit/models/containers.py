"""What data are in: tables, arrays and matrices, told apart without loading a library that nobody has loaded."""

from __future__ import annotations

import sys
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models.datatypes import DataType


def is_frame(data: object) -> bool:
    """Return whether data are a table of pandas."""
    return _is(data, "pandas", "DataFrame")


def is_series(data: object) -> bool:
    """Return whether data are a column of pandas."""
    return _is(data, "pandas", "Series")


def is_array(data: object) -> bool:
    """Return whether data are an array of NumPy."""
    return _is(data, "numpy", "ndarray")


def is_numpy(data: object) -> bool:
    """Return whether data are a scalar of NumPy."""
    return _is(data, "numpy", "generic")


def is_sparse(data: object) -> bool:
    """Return whether data are a matrix or an array of SciPy in compressed rows or columns."""
    module = sys.modules.get("scipy.sparse")
    return module is not None and bool(module.issparse(data)) and getattr(data, "format", "") in ("csr", "csc")


def is_spark(data: object) -> bool:
    """Return whether data are a table of Spark, here or on a server."""
    kinds = type(data).__mro__
    return any(each.__module__.startswith("pyspark.sql") and each.__name__ == "DataFrame" for each in kinds)


def is_object(dtype: object) -> bool:
    """Return whether a dtype is the one of objects of Python."""
    return bool(getattr(dtype, "hasobject", False))


def as_pandas(data: Any) -> Any:  # noqa: ANN401 - whatever came, if it is no table
    """Return a table or a column of Polars or Arrow as one of pandas, anything else as it is.

    Raises:
        InvalidValue: A library is missing for that.
    """
    kinds = (("polars", "DataFrame"), ("polars", "Series"), ("pyarrow", "Table"), ("pyarrow", "RecordBatch"))
    if not any(_is(data, module, name) for module, name in kinds):
        return data
    try:
        return data.to_pandas()
    except ImportError as error:
        raise InvalidValue(
            f"a table of {type(data).__module__.split('.')[0]} is taken with {error.name}: install it"
        ) from None


def element_type(value: Any) -> DataType | None:  # noqa: ANN401 - a scalar of NumPy, or a dtype
    """Return the type of what an array or a column holds; ``None`` if a signature has no name for it.

    Args:
        value: A dtype, of NumPy or of an extension of pandas, or a scalar of NumPy.
    """
    kind = getattr(value, "dtype", value)
    size = getattr(kind, "itemsize", 8)
    match kind.kind:
        case "b":
            return DataType.boolean
        case "i" | "u" if size < 4 or (kind.kind == "i" and size == 4):
            return DataType.integer
        case "i" | "u" if size < 8 or (kind.kind == "i" and size == 8):
            return DataType.long
        case "f" if size <= 8:
            return DataType.float if size <= 4 else DataType.double
        case "U":
            return DataType.string
        case "S":
            return DataType.binary
        case "M":
            return DataType.datetime
    return None


def _is(data: object, module: str, name: str) -> bool:
    # whoever made such an object has loaded its library; where it is not loaded, nothing can be one
    loaded = sys.modules.get(module)
    kind = getattr(loaded, name, None)
    return isinstance(kind, type) and isinstance(data, kind)
