"""Stock MLflow, in an environment of its own: what ours is compared with, and whose clients are let loose on it.

``TEST_MLFLOW_PYTHON`` names the interpreter; else the one of ``.venv-mlflow`` is taken, which ``make mlflow`` makes.
"""

from __future__ import annotations

import os
from pathlib import Path

NO_MLFLOW = "there is no MLflow to compare with: make mlflow, or name an interpreter that has it in TEST_MLFLOW_PYTHON"

_OURS = Path(__file__).resolve().parents[2] / ".venv-mlflow" / "bin" / "python"


def mlflow_python() -> str | None:
    """Return an interpreter that has MLflow; ``None`` where there is none."""
    return os.environ.get("TEST_MLFLOW_PYTHON") or (str(_OURS) if _OURS.exists() else None)
