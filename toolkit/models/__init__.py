"""Model directories in the MLmodel format: flavors, signatures, what may be loaded.

For scripts it hands out what MLflow has in ``mlflow.models``: `infer_signature`, `ModelSignature`, `set_model`,
`ModelConfig`; and from above, by `toolkit.names`, what works on stores.
"""

from __future__ import annotations

import importlib
from typing import Any

from toolkit.names import handed_out

_OWN = {
    "AnyType": ("datatypes", "AnyType"),
    "Array": ("datatypes", "Array"),
    "ColSpec": ("schema", "ColSpec"),
    "DataType": ("datatypes", "DataType"),
    "Map": ("datatypes", "Map"),
    "ModelConfig": ("code_model", "ModelConfig"),
    "ModelMetadata": ("metadata", "ModelMetadata"),
    "ModelSignature": ("signature", "Signature"),
    "Object": ("datatypes", "Object"),
    "ParamSchema": ("params", "ParamSchema"),
    "ParamSpec": ("params", "ParamSpec"),
    "Property": ("datatypes", "Property"),
    "Schema": ("schema", "Schema"),
    "Signature": ("signature", "Signature"),
    "TensorSpec": ("schema", "TensorSpec"),
    "Trust": ("trust", "Trust"),
    "convert_input_example_to_serving_input": ("input_example", "request_of"),
    "infer_signature": ("infer", "infer_signature"),
    "validate_schema": ("enforcement", "validate_schema"),
    "set_model": ("code_model", "set_model"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a function or a class
    if name in _OWN:
        module, attribute = _OWN[name]
        return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    return handed_out(__name__, name)
