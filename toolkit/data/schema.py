"""The columns of a dataset, in the form of MLflow's schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl

CELLS = 10_000_000
"""Of a greater table only the first rows are looked at for missing values."""

COLUMNS = 10_000
"""A table with more columns has no schema: it would be longer than a store takes."""

_LENGTH = 1_000_000  # a store's limit is a little above

_KINDS = {
    "int8": "integer",
    "int16": "integer",
    "int32": "integer",
    "uint8": "integer",
    "uint16": "integer",
    "int64": "long",
    "uint32": "long",
    "float16": "float",
    "float32": "float",
    "float64": "double",
    "bool": "boolean",
    "boolean": "boolean",
    "string": "string",
    "str": "string",
    "date": "datetime",
}
_FOUND = {
    "string": "string",
    "boolean": "boolean",
    "bytes": "binary",
    "integer": "long",
    "floating": "double",
    "datetime": "datetime",
    "date": "datetime",
}


def of_pandas(frame: pd.DataFrame) -> Mapping[str, object] | None:
    """Return the columns of a table of pandas; ``None`` if they are too many to tell."""
    if frame.shape[1] > COLUMNS:
        return None
    rows = len(frame) if frame.size <= CELLS else max(1, CELLS // max(1, frame.shape[1]))
    head = frame.head(rows)
    columns = [_of_series(str(name), head.iloc[:, at]) for at, name in enumerate(head.columns)]
    return _bounded({"mlflow_colspec": columns})


def of_polars(frame: pl.DataFrame) -> Mapping[str, object] | None:
    """Return the columns of a table of Polars; ``None`` if they are too many to tell."""
    if frame.width > COLUMNS:
        return None
    missing = frame.null_count().row(0) if frame.width else ()
    columns = [
        {"type": _kind(str(kind).lower()), "name": name, "required": not absent}
        for (name, kind), absent in zip(frame.schema.items(), missing, strict=True)
    ]
    return _bounded({"mlflow_colspec": columns})


def of_arrays(features: Any, targets: Any) -> Mapping[str, object] | None:  # noqa: ANN401 - an array or arrays by name
    """Return the types and shapes of arrays."""
    specs = {"features": _tensors(features), "targets": None if targets is None else _tensors(targets)}
    told = {name: None if spec is None else json.dumps(spec) for name, spec in specs.items()}
    return _bounded({"mlflow_tensorspec": told})


def _of_series(name: str, column: pd.Series) -> dict[str, object]:
    import pandas as pd  # noqa: PLC0415 - the table is there

    kind = str(column.dtype).lower()
    if kind in ("object", "category"):
        values = column.dropna().head(1_000)
        found = _FOUND.get(pd.api.types.infer_dtype(values, skipna=True), "any")
    else:
        found = _kind(kind)
    return {"type": found, "name": name, "required": not bool(column.isna().any())}


def _kind(name: str) -> str:
    if name.startswith("datetime"):
        return "datetime"
    return {"binary": "binary"}.get(name) or _KINDS.get(name, "any")


def _tensors(arrays: Any) -> list[dict[str, object]]:  # noqa: ANN401 - an array or arrays by name
    if isinstance(arrays, Mapping):
        return [{"name": name, **_tensor(array)} for name, array in arrays.items()]
    return [_tensor(arrays)]


def _tensor(array: np.ndarray[Any, Any]) -> dict[str, object]:
    return {"type": "tensor", "tensor-spec": {"dtype": str(array.dtype), "shape": [-1, *array.shape[1:]]}}


def _bounded(schema: Mapping[str, object]) -> Mapping[str, object] | None:
    return schema if len(json.dumps(schema)) <= _LENGTH else None
