"""Cells of files that know fewer types than a signature, brought into its types: text of CSV, values of JSON.

What is converted, and what is refused, is as where a server takes such bodies (`toolkit.models.casting`). Here columns
of numbers go by the thousand, and whoever owns the file is told the value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue, SchemaMismatch
from toolkit.models import casting
from toolkit.models.datatypes import AnyType, DataType, Type

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.models.schema import ColSpec, Schema

MISSING = frozenset(("", "NaN", "nan", "NA", "N/A", "NULL", "null", "None"))
"""Texts that are no number, no date and no truth value, and stand for a missing one."""

_NUMBERS = {
    DataType.integer: ("int32", 2**31 - 1),
    DataType.long: ("int64", 2**63 - 1),
    DataType.double: ("float64", None),
}


class BadCell(InvalidValue):
    """A cell does not have its column's type.

    Attributes:
        column: The column's name.
        row: Which row it is, from 0.
        value: What it is.
        wanted: What was wanted.
    """

    def __init__(self, column: object = None, row: int = 0, value: object = None, wanted: str = "") -> None:
        self.column, self.row, self.value, self.wanted = column, row, value, wanted
        super().__init__(self.told() if wanted else None)

    def told(self, place: str = "") -> str:
        """Return it as a line, with where the row is in front of it."""
        shown = "missing" if self.value is None or self.value == "" else f"{self.value!r:.100}"
        return f"{place}column {self.column!r} is {shown}: wanted {self.wanted}"


def typed(columns: Mapping[Any, Sequence[Any]], schema: Schema | None, *, rows: int, text: bool) -> pd.DataFrame:
    """Return columns as a table, in the types of a schema; a column that it does not name is of what it looks like.

    Args:
        columns: The cells of each column.
        schema: What the model wants; ``None``: nothing is known.
        rows: How many rows there are.
        text: Whether all cells are text, as CSV's are.

    Raises:
        BadCell: One does not have its column's type.
    """
    import pandas as pd  # noqa: PLC0415 - heavy

    wanted = _wanted(columns, schema)
    names = renamed(columns, schema)
    done = {}
    for place, (column, cells) in enumerate(columns.items()):
        spec = wanted.get(names.get(column, column)) if _is_named(schema) else wanted.get(place)
        known = spec is not None and not isinstance(spec.type, AnyType)
        name = names.get(column, column)
        if spec is not None and known:
            done[name] = _of_type(name, cells, spec.type, required=spec.required, text=text)
        else:
            done[name] = _guessed(cells) if text else pd.Series(list(cells), dtype=object).infer_objects()
    return pd.DataFrame(done, index=range(rows))


def renamed(columns: Mapping[Any, Any] | Sequence[Any], schema: Schema | None) -> dict[Any, Any]:
    """Return what columns are called in a schema, which may have numbers for names where files have text."""
    if schema is None or not schema.has_input_names():
        return {}
    there = set(columns)
    return {str(name): name for name in schema.input_names() if name not in there and str(name) in there}


def _is_named(schema: Schema | None) -> bool:
    return schema is not None and schema.has_input_names()


def _wanted(columns: Mapping[Any, Any], schema: Schema | None) -> dict[Any, ColSpec]:
    """Return what is wanted of columns: by their names, or by their places where a schema has no names."""
    if schema is None:
        return {}
    if schema.is_tensor_spec():
        return _elements(columns, schema)
    return dict(zip(schema.input_names(), schema.columns(), strict=True))


def _elements(columns: Mapping[Any, Any], schema: Schema) -> dict[Any, ColSpec]:
    from toolkit.models.schema import ColSpec  # noqa: PLC0415 - only for tensors

    kinds = {"b": DataType.boolean, "i": DataType.long, "u": DataType.long, "f": DataType.double}
    if schema.has_input_names():
        found = {each.name: kinds.get(_kind(each.type)) for each in schema.tensors()}
        return {name: ColSpec(type=kind) for name, kind in found.items() if kind is not None}
    kind = kinds.get(_kind(schema.tensors()[0].type))
    return {} if kind is None else {place: ColSpec(type=kind) for place in range(len(columns))}


def _kind(name: str) -> str:
    import numpy as np  # noqa: PLC0415 - heavy

    return str(np.dtype(name).kind)


def _of_type(name: object, cells: Sequence[Any], kind: Type, *, required: bool, text: bool) -> Any:  # noqa: ANN401
    quick = _quick(cells, kind) if text else None
    if quick is not None:
        return quick
    given = [_of_text(cell, kind) for cell in cells] if text else cells
    try:
        return casting.column(given, kind, required=required)
    except SchemaMismatch as problem:
        row = problem.row or 0
        raise BadCell(name, row, cells[row], f"{problem.wanted}{problem.path and f' at {problem.path}'}") from None


def _of_text(cell: str, kind: Type) -> Any:  # noqa: ANN401 - a value of JSON
    """Return the text of a cell as a value of JSON; an empty one is missing, also of text."""
    if cell == "" or (cell in MISSING and kind is not DataType.string):
        return None
    try:
        return casting.cell(cell, kind)
    except SchemaMismatch:
        return cell  # which is refused, with its row


def _quick(cells: Sequence[str], kind: Type) -> Any:  # noqa: ANN401 - a column
    """Return a column of numbers, if all of its cells are numbers or missing doubles; else ``None``."""
    import pandas as pd  # noqa: PLC0415 - heavy

    if not isinstance(kind, DataType) or kind not in _NUMBERS:
        return None
    dtype, most = _NUMBERS[kind]
    try:
        numbers = pd.to_numeric(pd.Series(cells, dtype=object))
    except (ValueError, TypeError, OverflowError):
        return None
    if most is None:
        return numbers.astype(dtype)
    if numbers.dtype != "int64" or not numbers.between(-most - 1, most).all():
        return None
    return numbers.astype(dtype)


def _guessed(cells: Sequence[str]) -> Any:  # noqa: ANN401 - a column
    """Return a column of text as numbers or truth values, if all of it are; else as text."""
    import pandas as pd  # noqa: PLC0415 - heavy

    column = pd.Series(cells, dtype=object)
    missing = column.isin(MISSING)
    present = column[~missing]
    if not len(present):
        return pd.Series(float("nan"), index=column.index)
    try:
        numbers = pd.to_numeric(present)
    except (ValueError, TypeError, OverflowError):
        lowered = column.str.lower()
        return lowered == "true" if lowered.isin(("true", "false")).all() else column.where(column != "", None)
    return numbers if not missing.any() else numbers.astype("float64").reindex(column.index)
