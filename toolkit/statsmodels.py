"""Models of statsmodels, under the names of ``mlflow.statsmodels``."""

from __future__ import annotations

from toolkit import wiring
from toolkit.active.autolog.statsmodels import autolog
from toolkit.active.flavor_verbs import FlavorVerbs

__all__ = ["autolog", "load_model", "log_model", "save_model"]

_verbs = FlavorVerbs("statsmodels", "statsmodels_model")

log_model = _verbs.log_model
save_model = _verbs.save_model
load_model = _verbs.load_model

wiring.connect()
