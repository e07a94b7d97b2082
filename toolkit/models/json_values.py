"""Data as JSON: what models give and what examples hold, in the forms that MLflow's clients read.

A missing value, NaN and the infinities are ``null``: JSON has no other word for them, and strict readers break on the
words that Python writes.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models import containers
from toolkit.models.values import is_missing, told


def dumps(data: Any) -> bytes:  # noqa: ANN401 - whatever a model gives
    """Return data as JSON.

    Args:
        data: Scalars, arrays, tables, columns, and lists and dicts of them.

    Raises:
        InvalidValue: Something in it cannot be JSON.
    """
    import orjson  # noqa: PLC0415 - many models are asked without it

    try:
        return orjson.dumps(data, default=_quick)
    except TypeError:  # it takes no whole number beyond 64 bits, for one
        return json.dumps(plain(data), allow_nan=False).encode()


def _quick(data: Any) -> Any:  # noqa: ANN401
    import orjson  # noqa: PLC0415

    # of arrays, orjson writes numbers well; of dates it does not know those that are missing
    if containers.is_array(data) and data.dtype.kind in "biuf" and data.dtype.isnative and data.dtype.itemsize <= 8:
        return orjson.Fragment(orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY, default=_one))
    return _one(data)


def plain(data: Any) -> Any:  # noqa: ANN401
    """Return data as what JSON is of: dicts, lists, text, numbers, truth and ``None``.

    Raises:
        InvalidValue: Something in it cannot be.
    """
    match data:
        case None | bool() | int() | str():
            return data.value if isinstance(data, Enum) else data
        case float():
            return data if math.isfinite(data) else None
        case Mapping():
            return {_key(name): plain(each) for name, each in data.items()}
        case list() | tuple():
            return [plain(each) for each in data]
    return plain(_one(data))


def _one(data: Any) -> Any:  # noqa: ANN401
    """Return something as what is nearer to JSON."""
    data = containers.as_pandas(data)
    if containers.is_frame(data):
        if not data.columns.is_unique:
            raise InvalidValue("a table with two columns of one name cannot be written as JSON")
        return data.to_dict(orient="records")
    if containers.is_series(data):
        return data.to_frame().to_dict(orient="records")
    if containers.is_sparse(data):
        return data.toarray().tolist()
    if containers.is_array(data):
        return [_one(each) for each in data] if data.dtype.kind == "M" else data.tolist()
    if is_missing(data):
        return None
    if isinstance(data, bytes | bytearray):
        return base64.encodebytes(data).decode("ascii")  # with line breaks, as MLflow's clients expect
    if isinstance(data, dt.date | dt.time):
        return data.isoformat()
    if containers.is_numpy(data):
        return str(data) if data.dtype.kind == "M" else data.item()
    if hasattr(data, "model_dump"):
        return data.model_dump()
    if isinstance(data, Mapping):
        return {_key(name): each for name, each in data.items()}
    raise InvalidValue(f"{told(data)} cannot be written as JSON")


def _key(name: Any) -> str:  # noqa: ANN401
    if isinstance(name, str):
        return name
    return json.dumps(name) if isinstance(name, bool | int | float | None) else str(name)
