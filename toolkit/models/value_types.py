"""Types of values: what a value of Python or of NumPy, or one nested of such, is in a signature."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models import containers
from toolkit.models.datatypes import AnyType, Array, DataType, Object, Property, Type, merged
from toolkit.models.values import is_missing, told


class Unclear(Exception):
    """Data have no type that a signature has a name for."""


def infer_type(value: Any) -> Type:  # noqa: ANN401 - whatever a column holds
    """Return the type of a value of Python, of NumPy, or nested.

    Raises:
        Unclear: It has none.
    """
    if is_pydantic(value):
        raise InvalidValue(f"no signature can be inferred from {type(value).__name__}: give its model_dump()")
    if isinstance(value, Mapping):
        return _object(value) if value else AnyType("object")
    if isinstance(value, list) or containers.is_array(value):
        return Array(items_type(value)) if len(value) or not isinstance(value, list) else AnyType("list")
    return AnyType() if is_missing(value) else scalar_type(value)


def _object(value: Mapping[Any, Any]) -> Type:
    properties = []
    for name, each in value.items():
        if not isinstance(name, str):
            raise Unclear(f"a name in a dict is of {told(name)}: text was wanted")
        kind = infer_type(each)
        properties.append(Property(name, kind, required=not isinstance(kind, AnyType)))
    return Object(properties)


def items_type(values: Any) -> Type:  # noqa: ANN401 - a list or an array
    """Return the one type of all values; an empty array among them says nothing.

    Raises:
        Unclear: They have none.
    """
    found: Type | None = None
    shown = False
    for value in values:
        bare = containers.is_array(value) and not value.size
        kind = AnyType("list") if bare else infer_type(value)
        shown = shown or not bare
        try:
            found = kind if found is None else merged(found, kind)
        except InvalidValue as problem:
            raise Unclear(str(problem)) from None
    if found is None or not shown:
        raise Unclear("an empty array shows no type")
    return found


def scalar_type(value: Any) -> DataType:  # noqa: ANN401
    """Return the type of a scalar.

    Raises:
        Unclear: It has none, or it is no scalar.
    """
    if isinstance(value, dt.date) or (containers.is_numpy(value) and value.dtype.kind == "M"):
        return DataType.datetime
    kind = containers.element_type(value) if containers.is_numpy(value) else _python_type(value)
    if kind is None:
        raise Unclear(f"{told(value)} has no type that a signature has a name for")
    return kind


def _python_type(value: object) -> DataType | None:
    match value:
        case bool():
            return DataType.boolean
        case int():
            return DataType.long if -(2**63) <= value < 2**63 else None
        case float():
            return DataType.double
        case str():
            return DataType.string
        case bytes() | bytearray():
            return DataType.binary
    return None


def is_pydantic(value: object) -> bool:
    """Return whether a value is an object of pydantic's."""
    return hasattr(type(value), "model_fields") and hasattr(value, "model_dump")
