"""Models of Keras, under the names of ``mlflow.keras``."""

from __future__ import annotations

from toolkit import wiring
from toolkit.active.autolog.keras import autolog
from toolkit.active.flavor_verbs import FlavorVerbs

__all__ = ["autolog", "load_model", "log_model", "save_model"]

_verbs = FlavorVerbs("keras", "model")

log_model = _verbs.log_model
save_model = _verbs.save_model
load_model = _verbs.load_model

wiring.connect()
