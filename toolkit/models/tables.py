"""Tables of pandas from columns of JSON's values, in the types of a schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.errors import SchemaMismatch
from toolkit.models import casting
from toolkit.models.datatypes import AnyType, DataType
from toolkit.models.schema import ColSpec, Schema, Spec, TensorSpec

if TYPE_CHECKING:
    import pandas as pd


def table(
    names: Sequence[Any],
    columns: Sequence[Sequence[Any]],
    schema: Schema | None = None,
    index: Sequence[Any] | None = None,
) -> pd.DataFrame:
    """Return a table.

    Args:
        names: Of the columns.
        columns: Their values, as JSON has them.
        schema: Their types; a column that it does not name gets the type that pandas sees.
        index: Of the rows; default: their numbers.

    Raises:
        SchemaMismatch: A value does not fit; it tells the column and the row.
    """
    import pandas as pd  # noqa: PLC0415 - the table is of it

    specs = specs_of(names, schema)
    done = {}
    for at, (name, values) in enumerate(zip(names, columns, strict=True)):
        try:
            done[at] = _column(values, specs.get(at))
        except SchemaMismatch as problem:
            raise problem.inside(column=name) from None
    rows = len(columns[0]) if columns else 0 if index is None else len(index)
    made = pd.DataFrame(done, index=range(rows))
    made.columns = pd.Index(names) if len(names) else pd.RangeIndex(0)
    return made if index is None else made.set_axis(list(index))


def specs_of(names: Sequence[Any], schema: Schema | None) -> Mapping[int, Spec]:
    """Return which columns of a table have which type in a schema, by their places."""
    if schema is None:
        return {}
    if schema.has_input_names():
        known = schema.input_dict()
        return {at: known[name] for at, name in enumerate(names) if name in known}
    if schema.is_tensor_spec():
        return dict.fromkeys(range(len(names)), schema.inputs[0])
    return dict(enumerate(schema.inputs[: len(names)]))


def _column(values: Sequence[Any], spec: Spec | None) -> pd.Series:
    import pandas as pd  # noqa: PLC0415

    if isinstance(spec, TensorSpec) and not any(isinstance(each, list) for each in values):
        return pd.Series(casting.tensor(list(values), spec.type))
    if isinstance(spec, ColSpec) and not isinstance(spec.type, AnyType):
        done = casting.column(values, spec.type, required=spec.forbids_missing)
        bare = isinstance(done, list) and not (isinstance(spec.type, DataType) and done)
        return pd.Series(done, dtype=object if bare else None)
    return pd.Series(list(values), dtype=None if len(values) else object)
