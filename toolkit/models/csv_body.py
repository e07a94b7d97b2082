"""CSV in the types of a schema."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from toolkit.models import casting
from toolkit.models.datatypes import AnyType, DataType
from toolkit.models.schema import ColSpec, Schema
from toolkit.models.tables import specs_of, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

# what pandas reads at once, and each value of which is one of the type
_QUICK = {
    DataType.integer: "Int64",
    DataType.long: "Int64",
    DataType.float: "float64",
    DataType.double: "float64",
    DataType.boolean: "boolean",
    DataType.string: "str",
}
_DONE = {DataType.long: "int64", DataType.double: "float64", DataType.boolean: "bool"}


def read(body: bytes, schema: Schema | None = None) -> pd.DataFrame:
    """Return the table of a piece of CSV with a header row.

    Args:
        body: The piece, in UTF-8.
        schema: The types of its columns; a column that it does not name gets the type that pandas sees.

    Raises:
        UnicodeDecodeError: It is not in UTF-8.
        ValueError: It is no CSV.
        SchemaMismatch: A value does not fit; it tells the column and the row.
    """
    import pandas as pd  # noqa: PLC0415 - it reads, and the table is of it

    text = body.decode("utf-8-sig")
    if schema is None or schema.is_tensor_spec():
        return _typed(pd.read_csv(io.StringIO(text)), schema)
    header = _named(pd.read_csv(io.StringIO(text), nrows=0), schema)
    specs = {at: each for at, each in specs_of(list(header), schema).items() if isinstance(each, ColSpec)}
    kinds = {at: _QUICK.get(each.type, "str") for at, each in specs.items() if isinstance(each.type, DataType)}
    try:
        frame = pd.read_csv(io.StringIO(text), dtype={**_nested(specs), **kinds})
        frame.columns = header.columns
        if (quick := _quick(frame, specs)) is not None:
            return quick
    except (ValueError, TypeError):
        pass  # one value after the other tells which does not fit
    texts = pd.read_csv(io.StringIO(text), dtype=dict.fromkeys(specs, "str"))
    return table(list(header), [_cells(texts.iloc[:, at], specs.get(at)) for at in range(len(header.columns))], schema)


def _typed(frame: pd.DataFrame, schema: Schema | None) -> pd.DataFrame:
    if schema is None:
        return frame
    frame = _named(frame, schema)
    return table(list(frame), [frame.iloc[:, at].tolist() for at in range(frame.shape[1])], schema)


def _named(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    # a header is text, and the column of a table without names may have been 0
    numbers = {str(name): name for name in schema.input_names() if not isinstance(name, str)}
    return frame.rename(columns=numbers) if schema.has_input_names() and numbers else frame


def _nested(specs: Mapping[int, ColSpec]) -> dict[int, str]:
    return {at: "str" for at, each in specs.items() if not isinstance(each.type, DataType | AnyType)}


def _quick(frame: pd.DataFrame, specs: Mapping[int, ColSpec]) -> pd.DataFrame | None:
    """Return a table that pandas has read in the right types; ``None`` where a column needs a closer look."""
    columns = {at: frame.iloc[:, at] for at in range(frame.shape[1])}
    for at, spec in specs.items():
        if isinstance(spec.type, AnyType) or spec.type is DataType.string:
            continue
        if not isinstance(spec.type, DataType) or spec.type not in _DONE:
            return None
        if spec.type is not DataType.double and columns[at].isna().any():
            return None
        columns[at] = columns[at].astype(_DONE[spec.type])
    made = type(frame)(columns)
    made.columns = frame.columns
    return made


def _cells(column: pd.Series, spec: ColSpec | None) -> list[Any]:
    if spec is None or isinstance(spec.type, AnyType):
        return list(column.tolist())
    return [None if text is None or text != text else casting.cell(text, spec.type) for text in column.tolist()]
