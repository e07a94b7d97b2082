"""The types that a model's columns can have, in the names and the JSON of MLflow's signatures.

A type is a `DataType` (one value), or is made of others: `Array`, `Object` (named properties), `Map` (any names, one
type of value), `AnyType` (nothing is checked) and `SparkMLVector`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from toolkit.errors import InvalidValue

DEPTH = 64
"""A type that is nested deeper is refused: nobody means it, and reading it would cost the stack."""


class DataType(Enum):
    """The type of one value."""

    boolean = "boolean"
    integer = "integer"
    """A whole number of 32 bits."""
    long = "long"
    """A whole number of 64 bits."""
    float = "float"
    """A number of 32 bits."""
    double = "double"
    """A number of 64 bits."""
    string = "string"
    binary = "binary"
    datetime = "datetime"

    def __repr__(self) -> str:
        """Return the name, as a signature shows it."""
        return self.value


@dataclass(frozen=True)
class AnyType:
    """Whatever can be: nothing is checked.

    Attributes:
        seen: What was empty where it was inferred, ``list`` or ``object``: it goes with no value of another kind. A
            signature does not tell it.
    """

    seen: str | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        """Return what a signature shows."""
        return "any"


@dataclass(frozen=True)
class SparkMLVector:
    """A vector of Spark's machine-learning library."""

    def __repr__(self) -> str:
        """Return what a signature shows."""
        return "sparkml_vector"


@dataclass(frozen=True)
class Array:
    """A list of values of one type.

    Attributes:
        dtype: The type of each value; a name is taken, too.
    """

    dtype: Type

    def __post_init__(self) -> None:
        """Take a name for a type.

        Raises:
            InvalidValue: There is no such type.
        """
        object.__setattr__(self, "dtype", as_type(self.dtype))

    def __repr__(self) -> str:
        """Return what a signature shows."""
        return f"array of {self.dtype!r}"


@dataclass(frozen=True)
class Map:
    """Values of one type under names of any kind.

    Attributes:
        value_type: The type of each value; a name is taken, too.
    """

    value_type: Type

    def __post_init__(self) -> None:
        """Take a name for a type.

        Raises:
            InvalidValue: There is no such type.
        """
        object.__setattr__(self, "value_type", as_type(self.value_type))

    def __repr__(self) -> str:
        """Return what a signature shows."""
        return f"map of {self.value_type!r}"


@dataclass(frozen=True)
class Property:
    """A named value of an object.

    Attributes:
        name: Its name.
        dtype: Its type; a name is taken, too.
        required: Whether each object has it.
    """

    name: str
    dtype: Type
    required: bool = True

    def __post_init__(self) -> None:
        """Take a name for a type.

        Raises:
            InvalidValue: There is no such type, or the name is no text.
        """
        if not isinstance(self.name, str):
            raise InvalidValue(f"the name of an object's property is text, not {type(self.name).__name__}")
        object.__setattr__(self, "dtype", as_type(self.dtype))

    def __repr__(self) -> str:
        """Return what a signature shows."""
        return f"{self.name}: {self.dtype!r}{'' if self.required else ' (optional)'}"


@dataclass(frozen=True)
class Object:
    """Named values, each of its own type.

    Attributes:
        properties: The values, kept in the order of their names.
    """

    properties: Sequence[Property]

    def __post_init__(self) -> None:
        """Bring the properties into order.

        Raises:
            InvalidValue: There are none, or two have one name.
        """
        given = tuple(self.properties)
        if not given:
            raise InvalidValue("an object without properties cannot be declared: declare it as any, or as a map")
        names = [each.name for each in given]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InvalidValue(f"an object's properties have names of their own: {', '.join(twice)} came twice")
        object.__setattr__(self, "properties", tuple(sorted(given, key=lambda each: each.name)))

    def __repr__(self) -> str:
        """Return what a signature shows."""
        return "{" + ", ".join(repr(each) for each in self.properties) + "}"


Type = DataType | Array | Object | Map | AnyType | SparkMLVector


def as_type(given: object) -> Type:
    """Return a type that is given as one or by its name.

    Raises:
        InvalidValue: There is no such type.
    """
    if isinstance(given, Type):
        return given
    if isinstance(given, str):
        if given in DataType.__members__:
            return DataType[given]
        if given == "any":
            return AnyType()
        if given == "sparkml_vector":
            return SparkMLVector()
    shown = repr(given) if isinstance(given, str) else type(given).__name__
    raise InvalidValue(f"{shown} is no type: give one of {', '.join(DataType.__members__)}, any, Array, Object or Map")


def to_json(given: Type) -> dict[str, Any]:
    """Return a type as its JSON."""
    match given:
        case DataType():
            return {"type": given.value}
        case Array():
            return {"type": "array", "items": to_json(given.dtype)}
        case Map():
            return {"type": "map", "values": to_json(given.value_type)}
        case Object():
            properties = {each.name: {**to_json(each.dtype), "required": each.required} for each in given.properties}
            return {"type": "object", "properties": properties}
        case SparkMLVector():
            return {"type": "sparkml_vector"}
        case AnyType():
            return {"type": "any"}


def from_json(given: Mapping[str, Any], depth: int = 0) -> Type:
    """Return the type that a piece of JSON tells.

    Args:
        given: The piece: ``type``, and what that type needs; other keys are left alone.
        depth: How deep in another type it is.

    Raises:
        InvalidValue: It tells none.
    """
    if depth > DEPTH:
        raise InvalidValue(f"a type of a signature is nested deeper than {DEPTH} levels")
    kind = given.get("type")
    match kind:
        case "array":
            return Array(from_json(_part(given, "items"), depth + 1))
        case "map":
            return Map(from_json(_part(given, "values"), depth + 1))
        case "object":
            return Object([_property(name, of, depth) for name, of in _part(given, "properties").items()])
        case None:
            raise InvalidValue("a type of a signature has no `type`")
        case _:
            return as_type(kind)


def required_in(given: Mapping[str, Any]) -> bool:
    """Return whether JSON tells of something that it is required; old files say ``optional`` instead."""
    told = given.get("required")
    return not given.get("optional", False) if told is None else bool(told)


def merged(first: Type, second: Type) -> Type:
    """Return the type of which both are.

    A type of which nothing is known (`AnyType`) gives way to the other, whose properties may then be missing.

    Raises:
        InvalidValue: They do not go together.
    """
    if isinstance(second, AnyType):
        return _weakened(first, second)
    if isinstance(first, AnyType):
        return _weakened(second, first)
    match first, second:
        case (DataType(), DataType()) | (SparkMLVector(), SparkMLVector()) if first == second:
            return first
        case Array(), Array():
            return Array(merged(first.dtype, second.dtype))
        case Map(), Map():
            return Map(merged(first.value_type, second.value_type))
        case Object(), Object():
            return _union(first, second)
    raise InvalidValue(f"values of different types, {first!r} and {second!r}, stand beside each other")


def _weakened(given: Type, by: AnyType) -> Type:
    if by.seen and not _goes_with(given, by.seen):
        raise InvalidValue(f"an empty {by.seen} stands beside {given!r}")
    match given:
        case AnyType():
            return AnyType(given.seen or by.seen)
        case Object():
            return Object([Property(each.name, each.dtype, required=False) for each in given.properties])
    return given


def _goes_with(given: Type, empty: str) -> bool:
    match given:
        case AnyType():
            return given.seen in (None, empty)
        case Array():
            return empty == "list"
        case Object() | Map():
            return empty == "object"
    return False


def _union(first: Object, second: Object) -> Object:
    left = {each.name: each for each in first.properties}
    right = {each.name: each for each in second.properties}
    both = [
        Property(
            name, merged(left[name].dtype, right[name].dtype), required=left[name].required and right[name].required
        )
        for name in left.keys() & right.keys()
    ]
    one = [Property(name, each.dtype, required=False) for name, each in {**left, **right}.items()]
    return Object([*both, *(each for each in one if (each.name in left) != (each.name in right))])


def _part(given: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = given.get(key)
    if not isinstance(part, Mapping):
        raise InvalidValue(f"a type {given.get('type')!r} of a signature needs `{key}`, a JSON object")
    return part


def _property(name: str, given: object, depth: int) -> Property:
    if not isinstance(given, Mapping):
        raise InvalidValue(f"the property {name!r} of an object of a signature is no JSON object")
    return Property(name, from_json(given, depth + 1), required=required_in(given))
