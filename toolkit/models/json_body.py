"""The four forms in which a request to a model brings data as JSON: two of tables, two of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidPayload, SchemaMismatch
from toolkit.models import casting
from toolkit.models.datatypes import Array, DataType
from toolkit.models.schema import ColSpec, Schema, TensorSpec
from toolkit.models.tables import table

if TYPE_CHECKING:
    import pandas as pd

_RAGGED = "Invalid input. Lists of different lengths make up no array."


def shown(names: Iterable[object]) -> list[str]:
    """Return names for a message: not all of very many, and no very long ones."""
    told = [str(name) for name in list(names)[:20]]
    return [name if len(name) <= 100 else f"{name[:100]}…" for name in told]


def split(given: Any, schema: Schema | None) -> pd.DataFrame:  # noqa: ANN401 - what JSON holds
    """Return the table of ``dataframe_split``: ``data`` in rows, and perhaps ``columns`` and ``index``.

    Raises:
        InvalidPayload: It is none.
        SchemaMismatch: A value does not fit the schema.
    """
    if not isinstance(given, dict):
        told = "list" if isinstance(given, list) else f"type {type(given).__name__}"
        raise InvalidPayload(f"Invalid input. Dataframe split format must be a dictionary. Got {told}.")
    if "data" not in given or set(given) - {"columns", "data", "index"}:
        raise InvalidPayload(
            "Invalid input. Dataframe split format must have 'data' field and optionally 'columns' and 'index' fields. "
            f"Got {shown(given)}.'"
        )
    rows, names, index = given["data"], given.get("columns"), given.get("index")
    if not isinstance(rows, list) or not isinstance(names, list | None) or not isinstance(index, list | None):
        raise _no_table("dataframe_split", "data, columns and index are lists")
    names = None if names is None else [tuple(name) if isinstance(name, list) else name for name in names]
    if names is not None and any(isinstance(part, list | dict) for name in names for part in _parts(name)):
        raise _no_table("dataframe_split", "the name of a column is text or a number")
    if index is not None and len(index) != len(rows):
        raise _no_table("dataframe_split", f"there are {len(rows)} rows and {len(index)} entries of the index")
    columns = _turned(rows, None if names is None else len(names))
    return table(range(len(columns)) if names is None else names, columns, schema, index)


def records(given: Any, schema: Schema | None) -> pd.DataFrame:  # noqa: ANN401
    """Return the table of ``dataframe_records``: a list of objects, in which what is missing is ``null``.

    Raises:
        InvalidPayload: It is none.
        SchemaMismatch: A value does not fit the schema.
    """
    if not isinstance(given, list):
        told = "dictionary" if isinstance(given, dict) else f"type {type(given).__name__}"
        raise InvalidPayload(f"Invalid input. Dataframe records format must be a list of records. Got {told}.")
    odd = next((at for at, each in enumerate(given) if not isinstance(each, dict)), None)
    if odd is not None:
        raise _no_table("dataframe_records", f"record {odd}, counted from 0, is no object")
    names = list(dict.fromkeys(name for each in given for name in each))
    columns = [[each.get(name) for each in given] for name in names]
    return table(names, columns, schema, None if names else range(len(given)))


def instances(given: Any, schema: Schema | None) -> Any:  # noqa: ANN401
    """Return the data of ``instances``, which come in rows: a list of objects has a column for each name.

    Raises:
        InvalidPayload: They are none, or the columns are of different lengths.
        SchemaMismatch: A value does not fit the schema.
    """
    if not isinstance(given, list) or not given or not isinstance(given[0], dict):
        data = inputs(given, schema)
        if isinstance(data, dict):
            _check_lengths(data, schema)
        return data
    odd = next((at for at, each in enumerate(given) if not isinstance(each, dict)), None)
    if odd is not None:
        raise InvalidPayload(f"Invalid input. The instance {odd}, counted from 0, is no object as the first one is.")
    names = dict.fromkeys(name for each in given for name in each)
    by_name = {name: [each[name] for each in given if name in each] for name in names}
    _check_lengths(by_name, schema)
    if schema is not None and schema.has_input_names() and not schema.is_tensor_spec():
        return records(given, schema)
    return _columns(by_name, schema)


def inputs(given: Any, schema: Schema | None) -> Any:  # noqa: ANN401
    """Return the data of ``inputs``, which come in columns: an object of them, an array, a list of objects, or a value.

    Raises:
        InvalidPayload: They are none of these.
        SchemaMismatch: A value does not fit the schema.
    """
    if schema is not None and not schema.has_input_names():
        return _unnamed(given, schema)
    empty = given == [] and schema is not None  # no values of the one column, rather than no rows of none
    if isinstance(given, list) and not empty and all(isinstance(each, dict) for each in given):
        return [_row(each, at, schema) for at, each in enumerate(given)]
    if schema is not None and not isinstance(given, dict):
        if len(schema) > 1:
            return given  # which column it is of nobody can tell: the signature does, by refusing it
        given = {schema.input_names()[0]: given}
    return _columns(given, schema) if isinstance(given, dict) else _array(given)


READERS: Mapping[str, Callable[[Any, Schema | None], Any]] = {
    "dataframe_split": split,
    "dataframe_records": records,
    "instances": instances,
    "inputs": inputs,
}
"""The four fields of a request."""


def _parts(name: object) -> tuple[object, ...]:
    return name if isinstance(name, tuple) else (name,)


def _turned(rows: list[Any], width: int | None) -> list[list[Any]]:
    """Return rows as columns; rows that are no lists are of one column."""
    if rows and not any(isinstance(row, list) for row in rows):
        rows = [[row] for row in rows]
    if width is None:
        width = len(rows[0]) if rows and isinstance(rows[0], list) else 0
    odd = next((at for at, row in enumerate(rows) if not isinstance(row, list) or len(row) != width), None)
    if odd is not None:
        raise _no_table("dataframe_split", f"row {odd}, counted from 0, does not have {width} values")
    return [list(each) for each in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _no_table(field: str, told: str) -> InvalidPayload:
    form = field.removeprefix("dataframe_")
    return InvalidPayload(
        f"Invalid input. Provided {field} field is not a valid dataframe representation in '{form}' format. "
        f"Error: '{told}'"
    )


def _unnamed(given: Any, schema: Schema) -> Any:  # noqa: ANN401
    spec = schema.inputs[0]
    if isinstance(given, dict) and (isinstance(spec, TensorSpec) or isinstance(spec.type, DataType) or len(schema) > 1):
        raise InvalidPayload(
            "Invalid input. Failed to parse input data. This model contains an un-named model signature which expects "
            "a single n-dimensional array or a single value as input, however, an input of type "
            f"{type(given).__name__} was found."
        )
    if isinstance(spec, TensorSpec):
        return _tensor(given, spec)
    if len(schema) > 1 and isinstance(given, list):
        return split({"data": given}, schema)
    if isinstance(given, list) and not isinstance(spec.type, DataType):
        rows = given if not isinstance(spec.type, Array) or any(isinstance(each, list) for each in given) else [given]
        return casting.values(rows, spec.type, required=spec.forbids_missing)
    return _values(given, spec)


def _columns(given: Mapping[str, Any], schema: Schema | None) -> dict[str, Any]:
    specs = schema.input_dict() if schema is not None and schema.has_input_names() else {}
    done: dict[str, Any] = {}
    for name, each in given.items():
        spec = specs.get(name)
        try:
            if spec is None:
                done[name] = _array(each)
            else:
                done[name] = _tensor(each, spec) if isinstance(spec, TensorSpec) else _values(each, spec)
        except SchemaMismatch as problem:
            raise problem.inside(column=name) from None
    return done


def _tensor(given: Any, spec: TensorSpec) -> Any:  # noqa: ANN401
    done = casting.tensor(given, spec.type)
    if given == [] and -1 not in spec.shape[1:]:  # no rows, whose shape JSON cannot tell
        return done.reshape((0, *spec.shape[1:]))
    return done


def _array(given: Any) -> Any:  # noqa: ANN401
    import numpy as np  # noqa: PLC0415 - without a schema, an array is what there is

    try:
        return np.array(given)
    except (ValueError, OverflowError):
        raise InvalidPayload(_RAGGED) from None


def _values(given: Any, spec: ColSpec) -> Any:  # noqa: ANN401
    """Return the values of a column, or one value of it."""
    import numpy as np  # noqa: PLC0415

    if not isinstance(given, list) or not isinstance(spec.type, DataType):
        return casting.value(given, spec.type, required=spec.forbids_missing)
    if any(isinstance(each, list) for each in given):
        rows = [_values(each, spec) for each in given]
        try:
            return np.array(rows)
        except ValueError:
            raise InvalidPayload(_RAGGED) from None
    done = casting.column(given, spec.type, required=spec.forbids_missing)
    return np.array(done, dtype=object) if isinstance(done, list) else done


def _row(given: Mapping[str, Any], at: int, schema: Schema | None) -> dict[str, Any]:
    specs = schema.input_dict() if schema is not None else {}
    done = {}
    for name, each in given.items():
        spec = specs.get(name)
        try:
            done[name] = (
                casting.value(each, spec.type, required=spec.forbids_missing) if isinstance(spec, ColSpec) else each
            )
        except SchemaMismatch as problem:
            raise problem.inside(column=name, row=at) from None
    return done


def _check_lengths(data: Mapping[str, Any], schema: Schema | None) -> None:
    specs = schema.input_dict() if schema is not None and schema.has_input_names() else {}
    lengths = {
        len(each)
        for name, each in data.items()
        if isinstance(each, Sequence) or getattr(each, "ndim", None)
        if not specs or (name in specs and specs[name].required and not isinstance(specs[name].type, Array))
    }
    if len(lengths) > 1:
        raise InvalidPayload("Invalid input. The length of values for each input/column name are not the same")
