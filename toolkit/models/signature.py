"""Signatures under the names of ``mlflow.models.signature``."""

from __future__ import annotations

from toolkit.models.contract import Signature
from toolkit.models.infer import infer_signature

ModelSignature = Signature

__all__ = ["ModelSignature", "Signature", "infer_signature"]
