"""Values of JSON and of CSV in the types of a signature.

JSON has fewer types than a signature: a number of it is a long or a double, a text may be a date or bytes. What is
lost nowhere is converted (``"1"`` is a whole number, 1.0 too); a fraction where a whole number is wanted, a number out
of range, or ``true`` for a number is refused, where MLflow converts in silence.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.errors import SchemaMismatch
from toolkit.models.datatypes import AnyType, Array, DataType, Map, Object, SparkMLVector, Type
from toolkit.models.values import EXACT, is_missing, told

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

_WHOLE = re.compile(r"\s*[+-]?\d{1,19}\s*")
_LIMITS = {DataType.integer: 2**31, DataType.long: 2**63}
_FLOAT32 = 3.4028235677973366e38


def value(given: Any, kind: Type, *, required: bool = True) -> Any:  # noqa: ANN401 - a value of JSON
    """Return a value of JSON as one of a type.

    Args:
        given: The value.
        kind: The type.
        required: Whether ``null`` is refused, where the type has no missing value of its own.

    Raises:
        SchemaMismatch: It does not fit.
    """
    match kind:
        case DataType():
            return _scalar(given, kind, required=required)
        case AnyType() | SparkMLVector():
            return given
    if given is None and not required:
        return None
    match kind:
        case Array():
            return [] if given == [] else values(_listed(given), kind.dtype, required=required)
        case Map():
            return _each(_object(given), dict.fromkeys(_object(given), (kind.value_type, required)))
        case Object():
            known = {each.name: (each.dtype, each.required) for each in kind.properties}
            return _each(_object(given), known)
    raise SchemaMismatch(came=told(given), wanted=repr(kind))


def values(given: Sequence[Any], kind: Type, *, required: bool = True) -> list[Any]:
    """Return the items of a list of JSON as ones of a type; the message of an error tells the place.

    Any of them may be ``null``: a signature has no word for whether an item of a list may be missing.

    Raises:
        SchemaMismatch: One does not fit.
    """
    done = []
    for at, each in enumerate(given):
        try:
            done.append(value(each, kind, required=required and each is not None))
        except SchemaMismatch as problem:
            raise problem.inside(f"[{at}]") from None
    return done


def column(given: Sequence[Any], kind: Type, *, required: bool = True) -> Any:  # noqa: ANN401
    """Return the values of a column: an array of NumPy where the type has one, else a list.

    Args:
        given: Values of JSON.
        kind: The type.
        required: Whether ``null`` is refused, where the type has no missing value of its own.

    Raises:
        SchemaMismatch: One does not fit; it tells the row.
    """
    if isinstance(kind, DataType):
        quick = _quick(given, kind)
        if quick is not None:
            return quick
    done = []
    for row, each in enumerate(given):
        try:
            done.append(value(each, kind, required=required))
        except SchemaMismatch as problem:
            raise problem.inside(row=row) from None
    return _packed(done, kind)


def tensor(given: Any, name: str) -> np.ndarray[Any, Any]:  # noqa: ANN401
    """Return lists of lists of JSON as an array.

    Args:
        given: A number, a text, or a list of such, or of lists.
        name: NumPy's name of the type of its elements.

    Raises:
        SchemaMismatch: An element does not fit, or the lists are of different lengths.
    """
    import numpy as np  # noqa: PLC0415 - whoever wants tensors has it

    wanted = np.dtype(name)
    if wanted.kind in "OMmc":
        try:
            return np.array(given, dtype=wanted)
        except (ValueError, TypeError):
            raise SchemaMismatch(came="what makes up no such array", wanted=f"an array of {name}") from None
    try:
        came = np.array(given)
    except ValueError:
        raise SchemaMismatch(came="lists of different lengths", wanted=f"an array of {name}") from None
    kind = _ELEMENTS.get(wanted.kind)
    if came.dtype.kind == wanted.kind or (came.dtype.kind, wanted.kind) in _SAFE or kind is None:
        return _narrowed(came, wanted)
    flat = _flat(given) if came.dtype.kind != "f" else came.reshape(-1).tolist()
    if wanted.kind == "S":
        flat = [each.encode() if isinstance(each, str) else each for each in flat]
        return np.array(flat, dtype=wanted).reshape(came.shape)
    return _narrowed(np.array([_scalar(each, kind, required=True) for each in flat]), wanted).reshape(came.shape)


def _narrowed(came: np.ndarray[Any, Any], wanted: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return an array in another type of the same kind, if its numbers are in its range."""
    import numpy as np  # noqa: PLC0415

    with np.errstate(over="ignore", invalid="ignore"):
        done = came.astype(wanted)
        lost = (
            done != came if wanted.kind in "iu" else np.isinf(done) & ~np.isinf(came) if wanted.kind == "f" else False
        )
    if np.any(lost):
        raise SchemaMismatch(came="a number out of range", wanted=f"an array of {wanted.name}")
    return done


_ELEMENTS = {
    "b": DataType.boolean,
    "i": DataType.long,
    "u": DataType.long,
    "f": DataType.double,
    "U": DataType.string,
    "S": DataType.string,
}
_SAFE = {("i", "f"), ("u", "f"), ("i", "u"), ("u", "i")}


def _flat(given: Any) -> list[Any]:  # noqa: ANN401
    return [leaf for each in given for leaf in _flat(each)] if isinstance(given, list) else [given]


def _each(given: Mapping[str, Any], known: Mapping[str, tuple[Type, bool]]) -> dict[str, Any]:
    # what is missing or unknown is told when the object is held against the signature
    done = {}
    for name, each in given.items():
        kind, required = known.get(name, (AnyType(), False))
        try:
            done[name] = value(each, kind, required=required)
        except SchemaMismatch as problem:
            raise problem.inside(f".{name}") from None
    return done


def _listed(given: Any) -> list[Any]:  # noqa: ANN401
    if not isinstance(given, list):
        raise SchemaMismatch(came=told(given), wanted="a list")
    return given


def _object(given: Any) -> Mapping[str, Any]:  # noqa: ANN401
    if not isinstance(given, Mapping):
        raise SchemaMismatch(came=told(given), wanted="an object")
    return given


def _quick(given: Sequence[Any], kind: DataType) -> Any:  # noqa: ANN401
    """Return a column whose values are all of the one right type, as most are; ``None`` for others."""
    import numpy as np  # noqa: PLC0415 - so will be the table

    kinds = set(map(type, given))
    if kinds == {float} and kind is DataType.double:
        return np.array(given, dtype="float64")
    if kinds == {int} and kind in _LIMITS:
        limit = _LIMITS[kind]
        fits = -limit <= min(given) and max(given) < limit
        return np.array(given, dtype="int32" if kind is DataType.integer else "int64") if fits else None
    if kind is DataType.datetime and kinds == {str} and all(each[:1].isdigit() for each in given):
        return _quick_moments(given)
    return list(given) if kinds == {str} and kind is DataType.string else None


def _quick_moments(given: Sequence[str]) -> Any:  # noqa: ANN401
    import pandas as pd  # noqa: PLC0415

    try:
        return pd.to_datetime(pd.Series(given), format="ISO8601").dt.as_unit("ns")
    except (ValueError, AttributeError):  # one is none, or they are of several zones: one after the other tells
        return None


def _packed(done: list[Any], kind: Type) -> Any:  # noqa: ANN401
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    absent = any(each is None for each in done)
    match kind:
        case DataType.double | DataType.float:
            return np.array(done, dtype="float64" if kind is DataType.double else "float32")
        case DataType.integer | DataType.long if not absent:
            return np.array(done, dtype="int32" if kind is DataType.integer else "int64")
        case DataType.integer | DataType.long if all(each is None or abs(each) <= EXACT for each in done):
            return np.array(done, dtype="float64")  # a whole number that is missing is NaN in tables of pandas
        case DataType.long:
            return pd.array(done, dtype="Int64")  # which holds what a float would round
        case DataType.boolean if not absent:
            return np.array(done, dtype="bool")
        case DataType.datetime:
            return _moments(done)
    return done


def _moments(done: list[Any]) -> Any:  # noqa: ANN401
    import pandas as pd  # noqa: PLC0415

    zoned = any(each is not None and each.tzinfo is not None for each in done)
    found = pd.to_datetime(pd.Series(done, dtype=object), utc=zoned)
    try:
        return found.dt.as_unit("ns")
    except pd.errors.OutOfBoundsDatetime:
        return found


def _scalar(given: Any, kind: DataType, *, required: bool) -> Any:  # noqa: ANN401
    if given is None or (isinstance(given, float) and is_missing(given)):
        if kind in (DataType.double, DataType.float):
            return math.nan
        if not required or kind in (DataType.string, DataType.binary, DataType.datetime):
            return None
        raise SchemaMismatch(came="null", wanted=kind.value)
    return _CASTS[kind](given, kind)


def _boolean(given: Any, kind: DataType) -> bool:  # noqa: ANN401
    if isinstance(given, bool) or (isinstance(given, int) and given in (0, 1)):
        return bool(given)
    raise SchemaMismatch(came=_number(given), wanted=f"{kind.value} (true or false)")


def _whole(given: Any, kind: DataType) -> int:  # noqa: ANN401
    if isinstance(given, str) and _WHOLE.fullmatch(given):
        given = int(given)
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int):
        raise SchemaMismatch(came=_number(given), wanted=kind.value)
    if not -_LIMITS[kind] <= given < _LIMITS[kind]:
        raise SchemaMismatch(came="a number out of range", wanted=kind.value)
    return given


def _float(given: Any, kind: DataType) -> float:  # noqa: ANN401
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise SchemaMismatch(came=_number(given), wanted=kind.value)
    try:
        done = float(given)
    except (ValueError, OverflowError):
        came = "text that is no number" if isinstance(given, str) else "a number out of range"
        raise SchemaMismatch(came=came, wanted=kind.value) from None
    if kind is DataType.float and math.isfinite(done) and abs(done) >= _FLOAT32:
        raise SchemaMismatch(came="a number out of range", wanted=kind.value)
    return done


def _text(given: Any, kind: DataType) -> str:  # noqa: ANN401
    if isinstance(given, str):
        return given
    raise SchemaMismatch(came=_number(given), wanted=kind.value)


def _bytes(given: Any, kind: DataType) -> bytes:  # noqa: ANN401
    if not isinstance(given, str):
        raise SchemaMismatch(came=_number(given), wanted=f"{kind.value}, as text in base64")
    try:
        return base64.b64decode("".join(given.split()), validate=True)
    except (binascii.Error, ValueError):
        raise SchemaMismatch(came="text that is no base64", wanted=f"{kind.value}, as text in base64") from None


def _moment(given: Any, kind: DataType) -> Any:  # noqa: ANN401
    import pandas as pd  # noqa: PLC0415

    if given in ("", "NaT"):
        return None
    if isinstance(given, str) and given[:1].isdigit():
        try:
            return pd.Timestamp(pd.to_datetime(given, format="ISO8601"))
        except (ValueError, TypeError, OverflowError):
            raise SchemaMismatch(came="text that is no date of ISO 8601", wanted=kind.value) from None
    came = "text that is no date of ISO 8601" if isinstance(given, str) else _number(given)
    raise SchemaMismatch(came=came, wanted=f"{kind.value}, as text of ISO 8601")


_CASTS: Mapping[DataType, Callable[[Any, DataType], Any]] = {
    DataType.boolean: _boolean,
    DataType.integer: _whole,
    DataType.long: _whole,
    DataType.float: _float,
    DataType.double: _float,
    DataType.string: _text,
    DataType.binary: _bytes,
    DataType.datetime: _moment,
}


def _number(given: object) -> str:
    """Return what a value is, in the words of JSON."""
    if isinstance(given, float):
        return "a number" if given.is_integer() else "a number with a fraction"
    words = {bool: "true or false", int: "a number", str: "text", list: "a list", dict: "an object"}
    return words.get(type(given), told(given))


def cell(text: str, kind: Type) -> Any:  # noqa: ANN401
    """Return the text of a cell of CSV as a value of JSON.

    Raises:
        SchemaMismatch: A nested value was wanted, and the text is no JSON.
    """
    if isinstance(kind, DataType):
        truth = {"true": True, "false": False, "1": True, "0": False}
        return truth.get(text.strip().lower(), text) if kind is DataType.boolean else text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise SchemaMismatch(came="text that is no JSON", wanted=repr(kind)) from None
