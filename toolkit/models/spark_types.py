"""Schemas of tables of Spark, from the types that Spark gives their columns."""

from __future__ import annotations

from typing import Any

from toolkit.models.datatypes import Array, DataType, Map, Object, Property, SparkMLVector, Type
from toolkit.models.schema import ColSpec, Schema
from toolkit.models.value_types import Unclear

# by the names that Spark gives them, so that no Spark needs to be loaded
_SCALARS = {
    "boolean": DataType.boolean,
    "byte": DataType.integer,
    "short": DataType.integer,
    "integer": DataType.integer,
    "long": DataType.long,
    "float": DataType.float,
    "double": DataType.double,
    "string": DataType.string,
    "binary": DataType.binary,
    "date": DataType.datetime,
    "timestamp": DataType.datetime,
}


def schema_of(table: Any) -> Schema:  # noqa: ANN401 - a table of Spark
    """Return the schema of a table of Spark.

    Every column is required, as Spark tells of every column that a value may be missing.

    Args:
        table: The table; nothing of it is computed.

    Raises:
        Unclear: A column has a type that a signature has no name for.
    """
    return Schema([ColSpec(_type(field.dataType, field.name), field.name) for field in table.schema.fields])


def _type(given: Any, place: str) -> Type:  # noqa: ANN401 - a type of Spark
    name = given.typeName()
    if name in _SCALARS:
        return _SCALARS[name]
    if name == "array":
        return Array(_type(given.elementType, place))
    if name == "map" and given.keyType.typeName() == "string":
        return Map(_type(given.valueType, place))
    if name == "struct":
        inner = [Property(each.name, _type(each.dataType, f"{place}.{each.name}"), not each.nullable) for each in given]
        return Object(inner)
    if type(given).__name__ == "VectorUDT":
        return SparkMLVector()
    raise Unclear(f"the column {place!r} is of Spark's type {name}, which has no name in a signature")
