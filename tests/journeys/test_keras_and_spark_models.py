"""Models of Keras, TensorFlow and Spark go both ways between MLflow and ours; Spark scores with any model."""

from __future__ import annotations

from pathlib import Path

import pytest
from large import run_script

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_keras_and_tensorflow(tmp_path: Path) -> None:
    done = run_script("keras_models", tmp_path, "keras", "tensorflow", "mlflow")
    assert done == ["keras_files", "code_in_files", "modules_of_tensorflow"]


def test_spark(tmp_path: Path) -> None:
    done = run_script("spark_models", tmp_path, "pyspark", "sklearn", "mlflow")
    assert done == ["columns", "tensors", "refusals", "pipelines"]
