"""MLflow's place of what a signature is made of: ``from toolkit.types import Schema, ColSpec``."""

from __future__ import annotations

from toolkit.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

__all__ = ["ColSpec", "DataType", "ParamSchema", "ParamSpec", "Schema", "TensorSpec"]
