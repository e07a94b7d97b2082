"""Single values against types: parameters, and what is nested in a column.

A number of Python has no width: it fits wherever its value does. A message tells types, never values: it may be sent
to whoever sent the data.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from toolkit.errors import SchemaMismatch
from toolkit.models.datatypes import AnyType, Array, DataType, Map, Object, SparkMLVector, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXACT = 2**53
"""The greatest whole number up to which each has a double of its own."""

_EXACT_FLOAT = 2**24
_INT32 = 2**31
_INT64 = 2**63
_DATE = re.compile(r"\d{4}(-\d{2})?(-\d{2})?")


def conform(value: Any, kind: Type, *, required: bool = True) -> Any:  # noqa: ANN401 - whatever a column holds
    """Return a value as a type has it.

    Args:
        value: A scalar, a list, an array or a dict. It is not changed.
        kind: The type.
        required: Whether ``None`` is refused.

    Raises:
        SchemaMismatch: It does not fit; the message tells where in it, what came and what was wanted.
    """
    match kind:
        case AnyType():
            return value
        case DataType():
            return None if is_missing(value) and not required else _SCALARS[kind](value)
        case Array():
            return _array(value, kind, required=required)
        case Map():
            return _map(value, kind, required=required)
        case Object():
            return _object(value, kind, required=required)
        case SparkMLVector():
            return value


def is_missing(value: object) -> bool:
    """Return whether a value stands for a missing one: ``None``, NaN, ``NaT`` or the ``NA`` of pandas."""
    if value is None or isinstance(value, float):
        return value is None or math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType") or (_is_numpy(value) and _is_scalar(value) and value != value)


def told(value: object) -> str:
    """Return what a value is, without the value."""
    return "None" if value is None else type(value).__name__


def _array(value: Any, kind: Array, *, required: bool) -> Any:  # noqa: ANN401
    free = not required or isinstance(kind.dtype, AnyType)
    if free and value is None:
        return value
    if _is_numpy(value) and not _is_scalar(value):
        import numpy as np  # noqa: PLC0415 - the array is one of its

        items = _items(value.tolist() if value.dtype == object else list(value), kind.dtype, required=required)
        nested = isinstance(kind.dtype, Object | Map | AnyType) or not items
        return value if nested or all(a is b for a, b in zip(items, value, strict=True)) else np.array(items)
    if not isinstance(value, list | tuple):
        raise SchemaMismatch(came=told(value), wanted="a list")
    return _items(value, kind.dtype, required=required)


def _items(values: Sequence[Any], kind: Type, *, required: bool) -> list[Any]:
    done = []
    for at, value in enumerate(values):
        if is_missing(value):  # a signature has no word for whether an item of a list may be missing
            done.append(value)
            continue
        try:
            done.append(conform(value, kind, required=required))
        except SchemaMismatch as problem:
            raise problem.inside(f"[{at}]") from None
    return done


def _map(value: Any, kind: Map, *, required: bool) -> Any:  # noqa: ANN401
    if (not required or isinstance(kind.value_type, AnyType)) and _is_nothing(value):
        return value
    if not isinstance(value, Mapping):
        raise SchemaMismatch(came=told(value), wanted="a map")
    done = {}
    for name, each in value.items():
        if not isinstance(name, str):
            raise SchemaMismatch(came=f"a key of type {told(name)}", wanted="text as each key")
        try:
            done[name] = conform(each, kind.value_type, required=required)
        except SchemaMismatch as problem:
            raise problem.inside(f".{name}") from None
    return done


def _object(value: Any, kind: Object, *, required: bool) -> Any:  # noqa: ANN401
    if hasattr(value, "asDict"):  # a row of Spark
        value = value.asDict(recursive=True)
    if not required and _is_nothing(value):
        return value
    if not isinstance(value, Mapping):
        raise SchemaMismatch(came=told(value), wanted="an object")
    known = {each.name: each for each in kind.properties}
    missing = [name for name, each in known.items() if each.required and name not in value]
    if missing:
        raise SchemaMismatch(came=f"an object without {', '.join(missing)}", wanted=f"{', '.join(missing)} in it")
    if unknown := [str(name) for name in value if name not in known]:
        raise SchemaMismatch(came=f"an object with {', '.join(unknown[:20])}", wanted=f"only {', '.join(known)} in it")
    done = {}
    for name, each in value.items():
        try:
            done[name] = conform(each, known[name].dtype, required=known[name].required)
        except SchemaMismatch as problem:
            raise problem.inside(f".{name}") from None
    return done


def _boolean(value: Any) -> Any:  # noqa: ANN401
    return value if isinstance(plain(value), bool) else _refuse(value, DataType.boolean)


def _whole(limit: int, kind: DataType) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:  # noqa: ANN401
        number = plain(value)
        if isinstance(number, bool) or not isinstance(number, int):
            return _refuse(value, kind)
        if not -limit <= number < limit:
            raise SchemaMismatch(came=f"a {told(value)} out of range", wanted=kind.value)
        return value

    return check


def _float(value: Any) -> Any:  # noqa: ANN401
    # a float64 of NumPy has a width, and this is not it; a float of Python has none
    if _is_numpy(value) and getattr(value, "dtype", None) is not None:
        return value if value.dtype.kind == "f" and value.dtype.itemsize <= 4 else _refuse(value, DataType.float)
    exact = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _EXACT_FLOAT
    return value if isinstance(value, float) or exact else _refuse(value, DataType.float)


def _double(value: Any) -> Any:  # noqa: ANN401
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, int | float | Decimal):
        return _refuse(value, DataType.double)
    if isinstance(number, float):
        return value
    if isinstance(number, int) and abs(number) > EXACT:
        raise SchemaMismatch(came=f"a {told(value)} that no double holds exactly", wanted=DataType.double.value)
    return float(number)


def _string(value: Any) -> Any:  # noqa: ANN401
    return value if isinstance(value, str) else _refuse(value, DataType.string)


def _binary(value: Any) -> Any:  # noqa: ANN401
    return value if isinstance(value, bytes | bytearray | str) else _refuse(value, DataType.binary)


def _datetime(value: Any) -> Any:  # noqa: ANN401
    if is_missing(value):
        return _refuse(value, DataType.datetime)
    if isinstance(value, dt.date) or (_is_numpy(value) and _is_scalar(value) and value.dtype.kind == "M"):
        return value
    return _refuse(value, DataType.datetime)


_SCALARS: Mapping[DataType, Callable[[Any], Any]] = {
    DataType.boolean: _boolean,
    DataType.integer: _whole(_INT32, DataType.integer),
    DataType.long: _whole(_INT64, DataType.long),
    DataType.float: _float,
    DataType.double: _double,
    DataType.string: _string,
    DataType.binary: _binary,
    DataType.datetime: _datetime,
}


def parameter(value: Any, kind: DataType) -> Any:  # noqa: ANN401 - whatever a caller gives
    """Return a parameter as its type has it: a value of Python, not of NumPy.

    Whole numbers are taken for numbers, text of ISO 8601 is taken for a date, ``None`` stands for itself.

    Raises:
        SchemaMismatch: It does not fit.
    """
    value = plain(value)
    if value is None:
        return None
    if kind is DataType.datetime:
        return _moment(value)
    truth = isinstance(value, bool)
    match kind:
        case DataType.boolean:
            fits = truth
        case DataType.integer | DataType.long:
            fits = isinstance(value, int) and not truth
        case DataType.float | DataType.double:
            fits = isinstance(value, int | float) and not truth
        case _:
            fits = isinstance(value, str)
    if not fits:
        return _refuse(value, kind)
    if kind not in (DataType.float, DataType.double):
        return value
    try:
        return float(value)
    except OverflowError:
        raise SchemaMismatch(came="an int that is too large", wanted=kind.value) from None


def plain(value: Any) -> Any:  # noqa: ANN401
    """Return a number of NumPy as the number of Python that it is, anything else as it is."""
    return value.item() if _is_numpy(value) and _is_scalar(value) else value


def _moment(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dt.datetime):
        # MLflow's moments have no zone: they are of UTC
        return value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)
    if isinstance(value, dt.date):
        return value
    if not isinstance(value, str):
        return _refuse(value, DataType.datetime)
    try:
        if _DATE.fullmatch(value):
            return dt.date.fromisoformat(value + "-01-01"[len(value) - 10 :] if len(value) < 10 else value)
        return _moment(dt.datetime.fromisoformat(value))
    except ValueError:
        raise SchemaMismatch(came="text that is no date of ISO 8601", wanted=DataType.datetime.value) from None


def _is_nothing(value: object) -> bool:
    return value is None or (isinstance(value, Mapping) and not value)


def _refuse(value: object, kind: DataType) -> Any:  # noqa: ANN401 - so that it can stand where a value is returned
    raise SchemaMismatch(came=told(value), wanted=kind.value)


def _is_numpy(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "numpy"


def _is_scalar(value: Any) -> bool:  # noqa: ANN401
    return getattr(value, "ndim", None) == 0 and hasattr(value, "item")
