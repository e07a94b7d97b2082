"""MLflow's place of the client: ``from toolkit.client import MlflowClient``."""

from __future__ import annotations

from toolkit import wiring
from toolkit.active.client import Client, MlflowClient

__all__ = ["Client", "MlflowClient"]

wiring.connect()
