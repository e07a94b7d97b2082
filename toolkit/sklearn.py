"""Models of scikit-learn, under the names of ``mlflow.sklearn``."""

from __future__ import annotations

from toolkit import wiring
from toolkit.active.autolog.sklearn import autolog
from toolkit.active.flavor_verbs import FlavorVerbs

__all__ = ["autolog", "load_model", "log_model", "save_model"]

_verbs = FlavorVerbs("sklearn", "sk_model")

log_model = _verbs.log_model
save_model = _verbs.save_model
load_model = _verbs.load_model

wiring.connect()
