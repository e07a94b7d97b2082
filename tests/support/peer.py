"""Stock MLflow, in an environment of its own: what ours is compared with, and whose clients are let loose on it.

``TEST_MLFLOW_PYTHON`` names the interpreter; else the one of ``.venv-mlflow`` is taken, which ``make mlflow`` makes.
The oldest client of 2.x is in ``.venv-mlflow2``, or ``TEST_MLFLOW2_PYTHON`` names an interpreter that has it.
Libraries on top of torch that log to MLflow are in one of their own: ``.venv-torch``, made by ``make mlflow-torch``.
The largest libraries of models, with toolkit and MLflow, are in ``.venv-flavors``, made by ``make flavors``.
"""

from __future__ import annotations

import os
from pathlib import Path

NO_MLFLOW = "there is no MLflow to compare with: make mlflow, or name an interpreter that has it in TEST_MLFLOW_PYTHON"

NO_OLD_MLFLOW = "there is no MLflow 2.0: make mlflow, or name an interpreter that has it in TEST_MLFLOW2_PYTHON"

NO_TORCH = "there is no torch: make mlflow-torch, or name an interpreter with lightning and transformers in "
NO_TORCH += "TEST_TORCH_PYTHON"

NO_FLAVORS = "there are none of the large libraries of models: make flavors, or name an interpreter with toolkit and "
NO_FLAVORS += "them in TEST_FLAVORS_PYTHON"

_ROOT = Path(__file__).resolve().parents[2]


def mlflow_python() -> str | None:
    """Return an interpreter that has MLflow; ``None`` where there is none."""
    return os.environ.get("TEST_MLFLOW_PYTHON") or _made(".venv-mlflow")


def old_mlflow_python() -> str | None:
    """Return an interpreter that has the oldest client of MLflow 2; ``None`` where there is none."""
    return os.environ.get("TEST_MLFLOW2_PYTHON") or _made(".venv-mlflow2")


def torch_python() -> str | None:
    """Return an interpreter that has a client of MLflow's, lightning and transformers; ``None`` where there is none."""
    return os.environ.get("TEST_TORCH_PYTHON") or _made(".venv-torch")


def flavors_python() -> str | None:
    """Return an interpreter that has toolkit, MLflow and the large libraries of models; ``None``: there is none."""
    return os.environ.get("TEST_FLAVORS_PYTHON") or _made(".venv-flavors")


def _made(environment: str) -> str | None:
    # a marker that make leaves last: an environment without it is half made
    return str(_ROOT / environment / "bin" / "python") if (_ROOT / environment / ".installed").exists() else None
