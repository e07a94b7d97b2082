"""The verbs of one flavor under MLflow's names: ``toolkit.sklearn.log_model`` and its like."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.active import models
from toolkit.active.autolog.switch import FLAVORS
from toolkit.active.models import ModelInfo
from toolkit.errors import InvalidValue


class FlavorVerbs:
    """What a script does with models of one flavor.

    Args:
        flavor: Its name.
        argument: What MLflow calls the model among the arguments, such as ``sk_model``.
    """

    def __init__(self, flavor: str, argument: str) -> None:
        self._flavor = flavor
        self._argument = argument

    def log_model(self, model: Any = None, artifact_path: str | None = None, **arguments: Any) -> ModelInfo:  # noqa: ANN401 - as `toolkit.log_model`
        """Log a model of this flavor; arguments and errors as in `toolkit.log_model`.

        Args:
            model: The model; MLflow's own name for it is taken, too, such as ``sk_model``.
            artifact_path: MLflow's older word for ``name``.
            **arguments: The others, and those of the flavor.
        """
        model = self._model(model, arguments)
        return models.log_model(model, artifact_path, flavor=self._flavor, **arguments)

    def save_model(self, model: Any = None, path: str | Path | None = None, **arguments: Any) -> None:  # noqa: ANN401 - the same
        """Save a model of this flavor into a folder; arguments and errors as in `toolkit.save_model`.

        Args:
            model: The model; MLflow's own name for it is taken, too, such as ``sk_model``.
            path: The folder, which is empty or not there.
            **arguments: The others, and those of the flavor.
        """
        if path is None:
            raise InvalidValue(f"{self._flavor}.save_model was given no path: wanted the folder to save the model into")
        model = self._model(model, arguments)
        models.save_model(model, path, flavor=self._flavor, **arguments)

    def load_model(self, model_uri: str | Path, dst_path: str | Path | None = None, *, trust: bool = False) -> Any:  # noqa: ANN401 - the library's class
        """Load a model as its library knows it; arguments and errors as in `toolkit.load_model`."""
        return models.load_native(model_uri, self._flavor, dst_path, trust=trust)

    def autolog(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - as the flavor's
        """Log trainings of this library by themselves; the arguments are on the page about autolog.

        Raises:
            InvalidValue: Trainings of this library are not watched.
        """
        if self._flavor not in FLAVORS:
            raise InvalidValue(f"{self._flavor} has no autolog: there are {', '.join(FLAVORS)}")
        begin: Callable[..., None] = importlib.import_module(FLAVORS[self._flavor]).autolog
        begin(*arguments, **named)

    def _model(self, model: Any, arguments: dict[str, Any]) -> Any:  # noqa: ANN401 - the same
        named = arguments.pop(self._argument, None)
        if (model is None) == (named is None):
            raise InvalidValue(f"{self._flavor} was given {'no' if model is None else 'two'} models: wanted one")
        return named if model is None else model
