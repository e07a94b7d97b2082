"""Columns of pandas: which type one shows, and whether one fits a type.

The conversions are those that MLflow does, and more where nothing is lost: whole numbers of 64 bits become doubles
where each has a double of its own, and a category, a nullable or a sparse column is taken for what its values are. A
column that fits as it is is not touched: a model that was trained on categories gets categories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.errors import SchemaMismatch
from toolkit.models import containers, values
from toolkit.models.datatypes import AnyType, DataType, Type
from toolkit.models.value_types import Unclear, items_type, scalar_type

if TYPE_CHECKING:
    import pandas as pd

_NUMPY = {
    DataType.boolean: "bool",
    DataType.integer: "int32",
    DataType.long: "int64",
    DataType.float: "float32",
    DataType.double: "float64",
}
_OWN_DTYPE = {**_NUMPY, DataType.string: "str", DataType.datetime: "datetime64[ns]"}
_FLOAT32 = 3.4028234663852886e38
_WHOLE = (DataType.integer, DataType.long)
_NARROW = (DataType.integer,)


def infer(column: pd.Series) -> Type:
    """Return the type that a column shows.

    Raises:
        Unclear: It shows none that a signature has a name for.
    """
    import pandas as pd  # noqa: PLC0415 - the column is there

    if isinstance(column.dtype, pd.CategoricalDtype):
        shown = column.drop_duplicates().to_list() or column.cat.categories.to_list()
        return items_type(shown) if shown else AnyType()
    if column.dtype.kind == "O":
        column = column.infer_objects()
    if column.dtype.kind == "O":
        known = {"string": DataType.string, "bytes": DataType.binary}
        quick = known.get(pd.api.types.infer_dtype(column, skipna=True))
        if quick is not None or len(column):
            return quick or items_type(column.to_list())
        return DataType.string
    dtype = column.dtype.subtype if isinstance(column.dtype, pd.SparseDtype) else column.dtype
    found = containers.element_type(dtype)
    if found is None:
        raise Unclear(f"its type, {dtype}, has no name in a signature")
    return found


def fits_as_it_is(dtype: object, kind: Type) -> bool:
    """Return whether every column of a dtype is of a type, whatever its values are.

    Args:
        dtype: Of a column of pandas.
        kind: The type.
    """
    if not isinstance(kind, DataType):
        return isinstance(kind, AnyType)
    return str(dtype) == _OWN_DTYPE.get(kind)


def conform(column: pd.Series, kind: Type, *, required: bool) -> pd.Series:
    """Return a column as a type has it.

    Args:
        column: The column. It is not changed.
        kind: The type.
        required: Whether a missing value is refused where the type has none of its own.

    Raises:
        SchemaMismatch: It does not fit; the message names types and the first bad row.
    """
    if isinstance(kind, DataType):
        return _scalars(column, kind, required=required)
    return column if isinstance(kind, AnyType) else _nested(column, kind, required=required)


def narrowed(column: pd.Series, kind: Type) -> pd.Series:
    """Return a column of Python's numbers in 32 bits, where those are wanted and each number fits; else as it is.

    Args:
        column: The column, in the 64 bits that pandas gave it.
        kind: The type that is wanted.
    """
    if kind in (DataType.integer, DataType.float) and containers.is_object(column.dtype):
        column = _settled(column)
    if kind in _WHOLE and column.dtype == "uint64" and column.max() < 2**63:
        column = column.astype("int64")
    whole = column.dtype == "int64"
    if kind is DataType.integer and whole and column.between(-(2**31), 2**31 - 1).all():
        return column.astype("int32")
    if kind is DataType.float and whole and column.between(-(2**24), 2**24).all():
        return column.astype("float32")
    if kind is DataType.float and column.dtype == "float64":
        finite = column[column.abs() != float("inf")].dropna()
        return column.astype("float32") if finite.between(-_FLOAT32, _FLOAT32).all() else column
    return column


def _nested(column: pd.Series, kind: Type, *, required: bool) -> pd.Series:
    import pandas as pd  # noqa: PLC0415

    done = []
    for row, value in enumerate(column):
        try:
            # a cell without a value is NaN in a table of pandas, whatever was meant to be in it
            done.append(values.conform(None if values.is_missing(value) else value, kind, required=required))
        except SchemaMismatch as problem:
            raise problem.inside(row=row) from None
    return pd.Series(done, index=column.index, name=column.name, dtype=object)


def _scalars(column: pd.Series, kind: DataType, *, required: bool) -> pd.Series:
    import pandas as pd  # noqa: PLC0415

    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _category(column, kind, required=required)
    if isinstance(dtype, pd.SparseDtype):
        dense = _scalars(column.sparse.to_dense(), kind, required=required)
        return column if dense.dtype == dtype.subtype else dense
    if containers.is_object(dtype) and (own := _own_numbers(column, kind, required=required)) is not None:
        return own
    if containers.is_object(dtype) and kind not in (DataType.binary, DataType.string):
        column = _settled(column)
        dtype = column.dtype
    if not required and column.isna().all():
        return _nothing(column, kind)
    if kind in (DataType.string, DataType.binary):
        return column if dtype.kind in "OU" else _refuse(column, kind, required=required)
    if kind is DataType.datetime:
        return _moments(column, required=required)
    return _numbers(column, kind, required=required)


def _own_numbers(column: pd.Series, kind: DataType, *, required: bool) -> pd.Series | None:
    """Return objects that are numbers of a type, each by itself, as a column of it; ``None`` for others.

    Together, they would become another type: whole numbers beside a missing one are floats to pandas, which round.
    """
    import pandas as pd  # noqa: PLC0415

    wanted = {DataType.integer: _NARROW, DataType.long: (*_NARROW, DataType.long), DataType.float: (DataType.float,)}
    missing = column.isna()
    if kind not in wanted or (missing.any() and (required and kind is not DataType.float)) or missing.all():
        return None
    try:
        if not all(scalar_type(each) in wanted[kind] for each in column[~missing]):
            return None
    except Unclear:
        return None
    numbers = [None if absent else values.plain(each) for each, absent in zip(column, missing, strict=True)]
    nullable = missing.any() and kind is not DataType.float
    dtype = {DataType.integer: "Int32", DataType.long: "Int64"}[kind] if nullable else _NUMPY[kind]
    return pd.Series(numbers, index=column.index, name=column.name, dtype=dtype)


def _settled(column: pd.Series) -> pd.Series:
    """Return a column of objects in the one type that all of them are of but for missing ones, if there is one."""
    found = column.infer_objects()
    if not containers.is_object(found.dtype) or not (missing := found.isna()).any():
        return found
    found = found.mask(missing, None).infer_objects()
    return column if containers.is_object(found.dtype) else found


def _category(column: pd.Series, kind: DataType, *, required: bool) -> pd.Series:
    # what holds for each category holds for the column, whose codes are not looked at
    shown = column.drop_duplicates()
    plain = shown.astype(object).infer_objects()
    try:
        _scalars(plain, kind, required=required)
    except SchemaMismatch:
        # categories of Python's numbers have no width, as their column has not
        if not all(_fits(each, kind, required=required) for each in plain):
            _refuse(column, kind, required=required)
    return column


def _nothing(column: pd.Series, kind: DataType) -> pd.Series:
    if kind in (DataType.float, DataType.double):
        return column.astype(_NUMPY[kind])
    return column.astype("datetime64[ns]") if kind is DataType.datetime else column


def _moments(column: pd.Series, *, required: bool) -> pd.Series:
    import pandas as pd  # noqa: PLC0415

    if column.dtype.kind == "M":
        if isinstance(column.dtype, pd.ArrowDtype):
            return column.astype(f"datetime64[{column.dtype.numpy_dtype.name.partition('[')[2]}")
        try:
            return column.dt.as_unit("ns")
        except pd.errors.OutOfBoundsDatetime:  # farther away than nanoseconds reach
            return column
    if not containers.is_object(column.dtype):
        return _refuse(column, DataType.datetime, required=required)
    try:
        return column.astype("datetime64[ns]")
    except (ValueError, TypeError):
        # dates that nanoseconds do not reach, or of several zones, stay what they are
        if all(values.is_missing(each) or _fits(each, DataType.datetime, required=required) for each in column):
            return column
        return _refuse(column, DataType.datetime, required=required)


def _numbers(column: pd.Series, kind: DataType, *, required: bool) -> pd.Series:
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    target = np.dtype(_NUMPY[kind])
    if containers.is_object(column.dtype):
        return _objects(column, kind, required=required)
    if isinstance(column.dtype, pd.api.extensions.ExtensionDtype):
        return _masked(column, kind, required=required)
    if column.dtype == target:
        return column
    if _widens(column.dtype, target):
        return column.astype(target)
    if column.dtype == np.int64 and kind is DataType.float and column.isin((0, 1)).all():
        return column.astype(target)
    if column.dtype == np.int64 and kind is DataType.double and column.between(-values.EXACT, values.EXACT).all():
        return column.astype(target)
    if kind in _WHOLE and not required and _whole_but_for_missing(column, target):
        return column
    return _refuse(column, kind, required=required)


def _objects(column: pd.Series, kind: DataType, *, required: bool) -> pd.Series:
    import pandas as pd  # noqa: PLC0415

    if kind is DataType.boolean:
        return column
    if kind is not DataType.double:
        return _refuse(column, kind, required=required)
    try:
        return pd.to_numeric(column, errors="raise").astype("float64")  # decimals, too
    except (ValueError, TypeError):
        return _refuse(column, kind, required=required)


def _masked(column: pd.Series, kind: DataType, *, required: bool) -> pd.Series:
    """Take a nullable column, of pandas or of Arrow, for the column of NumPy that it is but for missing values."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    bare = getattr(column.dtype, "numpy_dtype", None)
    if bare is None or bare.kind not in "biuf":
        return _refuse(column, kind, required=required)
    missing = column.isna()
    present = pd.Series(column[~missing].to_numpy(dtype=bare), name=column.name)
    try:
        done = _numbers(present, kind, required=required)
    except SchemaMismatch:
        return _refuse(column, kind, required=required)
    if not missing.any():
        return done.set_axis(column.index)
    if kind in (DataType.float, DataType.double):
        return pd.Series(column.to_numpy(dtype=_NUMPY[kind], na_value=np.nan), index=column.index, name=column.name)
    return _refuse(column, kind, required=required) if required else column


def _widens(came: Any, wanted: Any) -> bool:  # noqa: ANN401 - dtypes of NumPy
    if came.kind == wanted.kind:
        return bool(came.itemsize <= wanted.itemsize)
    if came.kind == "u" and wanted.kind == "i":
        return bool(came.itemsize < wanted.itemsize)
    return came.kind in "iu" and wanted == "float64" and came.itemsize <= 4


def _whole_but_for_missing(column: pd.Series, wanted: Any) -> bool:  # noqa: ANN401
    """Tell whether a column is of floats only because pandas has no whole number that is missing."""
    if column.dtype.kind != "f" or not column.hasnans:
        return False
    limit = 2**31 - 1 if wanted.itemsize == 4 else 2**63
    present = column.dropna()
    return bool(((present % 1 == 0) & present.between(-limit, limit)).all())


def _refuse(column: pd.Series, kind: DataType, *, required: bool) -> pd.Series:
    missing = bool(column.isna().any())
    came = f"{column.dtype}{' with missing values' if missing and kind in (*_WHOLE, DataType.boolean) else ''}"
    wanted = kind.value
    if required and missing and kind in _WHOLE:
        # pandas turns whole numbers into floats as soon as one is missing
        wanted += " without missing values (a column that may have some is declared double, or optional)"
    bad = (row for row, value in enumerate(column) if not _fits_here(value, column, kind, required=required))
    raise SchemaMismatch(came=came, wanted=wanted, row=next(bad, None))


def _fits_here(value: Any, column: pd.Series, kind: DataType, *, required: bool) -> bool:  # noqa: ANN401
    if kind is DataType.float and column.dtype.kind in "iu":
        return value in (0, 1)  # what a whole column may hold is less than what a single number may be
    if kind in _WHOLE and isinstance(value, float) and value.is_integer():
        return True  # it is only its column that is of floats
    return _fits(value, kind, required=required)


def _fits(value: Any, kind: DataType, *, required: bool) -> bool:  # noqa: ANN401
    if values.is_missing(value):
        return not required or kind in (DataType.float, DataType.double)
    try:
        values.conform(value, kind)
    except SchemaMismatch:
        return False
    return True
