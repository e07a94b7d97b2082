"""Models that predict in one way, and models of one's own, under the names of ``mlflow.pyfunc``."""

from __future__ import annotations

from toolkit import wiring
from toolkit.active.pyfunc import load_model, log_model, save_model
from toolkit.active.spark import spark_udf
from toolkit.models.loading import LoadedModel
from toolkit.models.python_model import PythonModel, PythonModelContext

__all__ = [
    "LoadedModel",
    "PyFuncModel",
    "PythonModel",
    "PythonModelContext",
    "load_model",
    "log_model",
    "save_model",
    "spark_udf",
]

PyFuncModel = LoadedModel

wiring.connect()
