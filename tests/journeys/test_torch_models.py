"""Models of torch and transformers go both ways between MLflow and ours, and run no code that nobody trusts."""

from __future__ import annotations

from pathlib import Path

import pytest
from large import run_script

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_torch(tmp_path: Path) -> None:
    done = run_script("torch_models", tmp_path, "torch", "safetensors", "lightning", "mlflow")
    assert done == ["graphs", "forged_graphs", "weights", "pickles", "lightning"]


def test_transformers(tmp_path: Path) -> None:
    done = run_script("transformers_models", tmp_path, "torch", "transformers", "mlflow")
    assert done == ["labels", "other_tasks", "code_in_files"]
