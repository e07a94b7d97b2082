"""Arrays against a signature of tensors: type and shape are those that are wanted, and nothing is converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolkit.errors import SchemaMismatch
from toolkit.models import containers
from toolkit.models.values import told

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.models.schema import Schema, TensorSpec


def enforce(data: Any, schema: Schema) -> Any:  # noqa: ANN401 - arrays, sparse matrices, tables
    """Return data as the tensors of a schema.

    Args:
        data: An array or a sparse matrix, arrays by name, or a table of pandas, whose columns are scalars, lists or
            arrays.
        schema: What is wanted.

    Raises:
        SchemaMismatch: The data do not fit.
    """
    if containers.is_series(data):
        data = data.to_frame()
    return _named(data, schema) if schema.has_input_names() else _alone(data, schema.tensors()[0])


def _named(data: Any, schema: Schema) -> dict[Any, Any]:  # noqa: ANN401
    specs = schema.tensors()
    if containers.is_array(data) and len(specs) == 1:
        data = {specs[0].name: data}
    frame = containers.is_frame(data)
    if not frame and not isinstance(data, Mapping):
        raise SchemaMismatch(
            "Failed to enforce schema: the signature is of tensors with names: a dict of arrays by name, or a table "
            f"with a column for each, was wanted, and {told(data)} came"
        )
    there = list(data.columns) if frame else list(data)
    if missing := [spec.name for spec in specs if spec.name not in there]:
        extra = [name for name in there if name not in schema.input_names()]
        extras = f" Note that there were extra inputs: {extra[:20]}." if extra else ""
        raise SchemaMismatch(f"Failed to enforce schema: Model is missing inputs {missing}.{extras}", column=missing[0])
    done = {}
    for spec in specs:
        try:
            done[spec.name] = _of_column(data[spec.name], spec) if frame else _checked(data[spec.name], spec)
        except SchemaMismatch as problem:
            raise problem.inside(column=spec.name) from None
    return done


def _alone(data: Any, spec: TensorSpec) -> Any:  # noqa: ANN401
    if containers.is_frame(data):
        if data.empty:
            raise SchemaMismatch("Failed to enforce schema: Input DataFrame is empty.")
        return _of_column(data.iloc[:, 0], spec) if data.shape[1] == 1 else _checked(data.to_numpy(), spec)
    return _checked(data, spec)


def _checked(data: Any, spec: TensorSpec) -> Any:  # noqa: ANN401
    """Return an array, or a sparse matrix, if its type and shape are those that are wanted."""
    import numpy as np  # noqa: PLC0415 - so is the array

    if not containers.is_array(data) and not containers.is_sparse(data):
        raise SchemaMismatch(came=told(data), wanted=f"an array of {spec.type} with the shape {list(spec.shape)}")
    shape, came, wanted = tuple(spec.shape), data.dtype, np.dtype(spec.type)
    if wanted.hasobject and shape == (-1,):
        return data
    if came.hasobject and len(data.shape) == 1 and -1 in shape[1:]:
        return data  # arrays of different lengths, which NumPy has as objects
    matches = len(shape) == len(data.shape) and all(
        want in (-1, size) for want, size in zip(shape, data.shape, strict=True)
    )
    if not matches:
        raise SchemaMismatch(came=f"one of the shape {list(data.shape)}", wanted=f"an array of the shape {list(shape)}")
    if came.newbyteorder("=") != wanted and (came.kind not in "US" or came.kind != wanted.kind):
        raise SchemaMismatch(came=f"one of {came}", wanted=f"an array of {spec.type}")
    return data


def _of_column(column: pd.Series, spec: TensorSpec) -> Any:  # noqa: ANN401
    """Return a column, of scalars, of lists or of arrays, as a tensor whose first dimension is the row."""
    import numpy as np  # noqa: PLC0415

    shape = tuple(spec.shape)
    if not shape or shape[0] != -1 or -1 in shape[1:]:
        raise SchemaMismatch(
            came="a column of a table",
            wanted=f"an array of the shape {list(shape)}, which a table cannot hold: rows may vary, nothing else",
        )
    if not len(column):
        return np.empty((0, *shape[1:]), dtype=spec.type)
    first = column.iloc[0]
    try:
        if np.isscalar(first):
            if shape not in ((-1,), (-1, 1)):
                raise SchemaMismatch(came="a column of scalars", wanted=f"rows of the shape {list(shape[1:])}")
            return np.array(column, dtype=spec.type).reshape(shape)
        if isinstance(first, list) and first and np.isscalar(first[0]):
            # a list has lost the type of its numbers, and its shape
            return np.vstack(column.tolist()).reshape((len(column), *shape[1:])).astype(spec.type)
        if containers.is_array(first):
            return _checked(np.stack(column.tolist()).reshape((len(column), *shape[1:])), spec)
    except (ValueError, TypeError):
        wanted = f"rows of {spec.type} that make up the shape {list(shape[1:])}"
        raise SchemaMismatch(came="rows that do not", wanted=wanted, row=_odd(column)) from None
    raise SchemaMismatch(came=f"a column of {told(first)}", wanted="scalars, lists of scalars, or arrays", row=0)


def _odd(column: pd.Series) -> int | None:
    """Return the first row whose length is not the first one's."""
    import numpy as np  # noqa: PLC0415

    sizes = [np.size(np.asarray(each, dtype=object)) for each in column]
    return next((row for row, size in enumerate(sizes) if size != sizes[0]), None)
