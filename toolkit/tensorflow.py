"""Models of TensorFlow, under the names of ``mlflow.tensorflow``."""

from __future__ import annotations

from toolkit import wiring
from toolkit.active.autolog.keras import autolog  # what TensorFlow calls tf.keras
from toolkit.active.flavor_verbs import FlavorVerbs

__all__ = ["autolog", "load_model", "log_model", "save_model"]

_verbs = FlavorVerbs("tensorflow", "model")

log_model = _verbs.log_model
save_model = _verbs.save_model
load_model = _verbs.load_model

wiring.connect()
