"""MLflow's place of its exception: ``from toolkit.exceptions import MlflowException`` catches ours."""

from __future__ import annotations

from toolkit.errors import ToolkitError

__all__ = ["MlflowException"]

MlflowException = ToolkitError
