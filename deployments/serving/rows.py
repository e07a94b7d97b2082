"""Rows of several requests that the model may be asked about at once."""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from toolkit.models.datatypes import DataType
from toolkit.models.schema import ColSpec
from toolkit.models.tables import table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from toolkit.models.loading import LoadedModel
    from toolkit.models.schema import Schema

ROW_WISE = frozenset(("sklearn", "xgboost", "lightgbm", "catboost", "onnx", "pytorch", "keras", "tensorflow"))
"""Flavors whose models answer each row for itself. A model that somebody wrote may do what it likes with its rows."""

Names = tuple[str, ...]
Rows = list[list[Any]]


def mergeable(model: LoadedModel) -> bool:
    """Tell whether rows of several requests may be given to a model at once: each of its answers is of one row."""
    metadata = model.metadata
    schema = None if metadata.signature is None else metadata.signature.inputs
    return (
        schema is not None
        and _is_plain(schema)
        and not metadata.extra.get("is_signature_from_type_hint")
        and metadata.flavor("python_function").get("predict_fn") != "score"
        and bool(ROW_WISE & set(metadata.flavors))
    )


def _is_plain(schema: Schema) -> bool:
    return schema.has_input_names() and all(
        isinstance(each, ColSpec) and isinstance(each.type, DataType) and isinstance(each.name, str) for each in schema
    )


def of(given: Mapping[str, Any]) -> tuple[Names, Rows] | None:
    """Return the columns and rows of a request in one of the common forms; ``None``: it is read in the long way.

    Args:
        given: The JSON object of a request.
    """
    if len(given) != 1:
        return None
    form, data = next(iter(given.items()))
    if form == "dataframe_split":
        return _split(data)
    if form in ("dataframe_records", "instances"):
        return _records(data)
    return None


def _split(data: object) -> tuple[Names, Rows] | None:
    if not isinstance(data, dict) or len(data) != 2:
        return None
    names, rows = data.get("columns"), data.get("data")
    if not isinstance(names, list) or not isinstance(rows, list) or not rows:
        return None
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        return None
    width = len(names)
    if set(map(type, rows)) != {list} or set(map(len, rows)) != {width}:
        return None
    return tuple(names), rows


def _records(data: object) -> tuple[Names, Rows] | None:
    if not isinstance(data, list) or not data or not isinstance(data[0], dict) or not data[0]:
        return None
    names = tuple(data[0])
    if any(not isinstance(row, dict) or row.keys() != data[0].keys() for row in data):
        return None
    if len(names) == 1:
        return names, [[row[names[0]]] for row in data]
    pick = itemgetter(*names)
    return names, [list(pick(row)) for row in data]


def frame(names: Names, rows: Rows, schema: Schema) -> pd.DataFrame:
    """Return a table in the types of a schema of plain columns.

    Args:
        names: Of the columns.
        rows: Their values, as JSON has them; at least one row.
        schema: The types.

    Raises:
        SchemaMismatch: A value does not fit.
    """
    known = schema.input_dict()
    if {known[name].type if name in known else None for name in names} == {DataType.double}:
        quick = _doubles(names, rows)
        if quick is not None:
            return quick
    return table(names, list(zip(*rows, strict=True)), schema)


def _doubles(names: Names, rows: Rows) -> pd.DataFrame | None:
    """Return a table of one array where every value is a number that a double holds as it is, or missing."""
    import numpy as np  # noqa: PLC0415 - as the model does
    import pandas as pd  # noqa: PLC0415 - the same

    flat = list(chain.from_iterable(rows))
    if not set(map(type, flat)) <= {float, int, type(None)}:
        return None
    try:
        values = np.array(flat, dtype="float64").reshape(len(rows), len(names))
    except OverflowError:
        return None
    return pd.DataFrame(values, columns=pd.Index(names), copy=False)


def joined(answers: list[Any]) -> Any:  # noqa: ANN401 - whatever a model gives
    """Return the answer of all rows from those of some at a time; ``None``: they cannot be joined.

    Args:
        answers: What the model gave, one after the other; at least two.
    """
    import numpy as np  # noqa: PLC0415 - as the model does
    import pandas as pd  # noqa: PLC0415 - the same

    kinds = set(map(type, answers))
    if kinds == {np.ndarray} and all(each.ndim for each in answers):
        return np.concatenate(answers)
    if kinds in ({pd.DataFrame}, {pd.Series}):
        return pd.concat(answers, ignore_index=True)
    return list(chain.from_iterable(answers)) if kinds == {list} else None


def parts(answer: Any, counts: list[int]) -> list[Any] | None:  # noqa: ANN401 - whatever a model gives
    """Return the answers of several requests from one of all their rows; ``None``: it is not one answer for each row.

    Args:
        answer: What the model gave.
        counts: How many rows each request had.
    """
    kind = type(answer).__name__
    if kind in ("DataFrame", "Series"):
        cut = answer.iloc
    elif isinstance(answer, list) or (kind == "ndarray" and answer.ndim):
        cut = answer
    else:
        return None
    if len(answer) != sum(counts):
        return None
    done, at = [], 0
    for count in counts:
        done.append(cut[at : at + count])
        at += count
    return done
