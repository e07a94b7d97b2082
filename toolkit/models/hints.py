"""Schemas from dataclasses: each field is a column."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from toolkit.errors import InvalidValue
from toolkit.models.datatypes import Array, DataType, Object, Property, Type
from toolkit.models.schema import ColSpec, Schema

_TYPES: dict[object, DataType] = {
    bool: DataType.boolean,
    int: DataType.long,
    float: DataType.float,  # MLflow's choice; whoever wants doubles writes a schema
    str: DataType.string,
    bytes: DataType.binary,
    dt.date: DataType.datetime,
    dt.datetime: DataType.datetime,
}


def schema_of_dataclass(given: type) -> Schema:
    """Return the schema whose columns are the fields of a dataclass.

    Args:
        given: The dataclass; its fields are of scalars, of lists, of dataclasses, or of one of these or ``None``.

    Raises:
        InvalidValue: A field is of another type.
    """
    return Schema([ColSpec(kind, name, required) for name, kind, required in _fields(given)])


def _fields(given: type) -> Iterator[tuple[str, Type, bool]]:
    hints = get_type_hints(given)
    for field in fields(given):
        hint, required = _optional(hints[field.name])
        yield field.name, _type(hint, f"{given.__name__}.{field.name}"), required


def _optional(hint: Any) -> tuple[Any, bool]:  # noqa: ANN401 - a type hint is of no type
    if get_origin(hint) not in (Union, UnionType):
        return hint, True
    others = [each for each in get_args(hint) if each is not NoneType]
    return (others[0], False) if len(others) == 1 else (hint, True)


def _type(hint: Any, place: str) -> Type:  # noqa: ANN401
    if hint in _TYPES:
        return _TYPES[hint]
    if is_dataclass(hint) and isinstance(hint, type):
        return Object([Property(name, kind, required) for name, kind, required in _fields(hint)])
    if get_origin(hint) is list and get_args(hint):
        return Array(_type(get_args(hint)[0], place))
    raise InvalidValue(
        f"{place} is of {hint!r}: a column is of a scalar, of a list, of a dataclass, or of these or None"
    )
