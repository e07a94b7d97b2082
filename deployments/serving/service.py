"""BentoML's service with the scoring protocol in front: what the generated ``service.py`` is made of.

Only that file imports this module, which imports BentoML.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bentoml

from toolkit.deployments.serving.app import ScoringApp
from toolkit.deployments.serving.scoring import Scoring, described

if TYPE_CHECKING:
    from toolkit.deployments.serving.app import App


class ScoringService(bentoml.Service[Any]):  # type: ignore[misc]
    """A service whose requests to the model do not pass BentoML's middleware, which takes longer than most models.

    Its class has an attribute ``scoring``, which `open_model` gives.
    """

    def __call__(self) -> Any:  # noqa: ANN401 - of the generated class
        """Return the one instance of this process, whose model answers from now on."""
        instance = super().__call__()
        self._scoring: Scoring | None = instance.scoring
        return instance

    def to_asgi(self, is_main: bool = True) -> App:
        """Return the application of one process."""
        app: App = super().to_asgi(is_main=is_main)
        return ScoringApp(app, lambda: getattr(self, "_scoring", None), lambda: self.openapi_spec.asdict())


def open_model(service_file: str, model: Any) -> Scoring:  # noqa: ANN401 - BentoML's model
    """Load the model of a service in this process.

    Args:
        service_file: The service's: ``model.json`` is beside it.
        model: What BentoML's store holds.
    """
    return Scoring(Path(model.path), described(service_file))
