"""What a signature is made of, under the names of ``mlflow.types.schema``."""

from __future__ import annotations

from toolkit.models.datatypes import AnyType, Array, DataType, Map, Object, Property, SparkMLVector
from toolkit.models.params import ParamSchema, ParamSpec
from toolkit.models.schema import ColSpec, Schema, TensorSpec

__all__ = [
    "AnyType",
    "Array",
    "ColSpec",
    "DataType",
    "Map",
    "Object",
    "ParamSchema",
    "ParamSpec",
    "Property",
    "Schema",
    "SparkMLVector",
    "TensorSpec",
]
