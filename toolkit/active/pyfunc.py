"""The verbs of ``toolkit.pyfunc``: models of one's own, with MLflow's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.active import models
from toolkit.active.models import ModelInfo
from toolkit.errors import InvalidValue
from toolkit.models.loading import PYFUNC, LoadedModel


def log_model(
    artifact_path: str | None = None,
    loader_module: str | None = None,
    data_path: str | Path | None = None,
    *,
    python_model: Any = None,  # noqa: ANN401 - a class of the user's, a function or a path
    **arguments: Any,  # noqa: ANN401 - as `toolkit.log_model`
) -> ModelInfo:
    """Log a model of one's own; other arguments and errors as in `toolkit.log_model`.

    Args:
        artifact_path: MLflow's older word for ``name``.
        loader_module: A module with a function ``_load_pyfunc(path)``, instead of a model.
        data_path: The file or folder that this function is given.
        python_model: An object of a class of `PythonModel`, a function of one argument, or the path of a Python file
            that calls ``toolkit.models.set_model``.
        **arguments: Such as ``artifacts``, files that it needs, by name; ``model_config``; ``code_paths``.
    """
    model = _model(python_model, loader_module, data_path, arguments)
    return models.log_model(model, artifact_path, flavor=PYFUNC, **arguments)


def save_model(
    path: str | Path,
    loader_module: str | None = None,
    data_path: str | Path | None = None,
    *,
    python_model: Any = None,  # noqa: ANN401 - the same
    **arguments: Any,  # noqa: ANN401 - the same
) -> None:
    """Save a model of one's own into a folder; arguments as in `log_model`, errors as in `toolkit.save_model`."""
    model = _model(python_model, loader_module, data_path, arguments)
    models.save_model(model, path, flavor=PYFUNC, **arguments)


def load_model(
    model_uri: str | Path,
    suppress_warnings: bool = False,  # noqa: ARG001 - MLflow's
    dst_path: str | Path | None = None,
    model_config: Mapping[str, Any] | None = None,
    *,
    trust: bool = False,
) -> LoadedModel:
    """Load a model of any flavor so that it predicts; arguments and errors as in `toolkit.load_model`.

    Args:
        model_uri: The model.
        suppress_warnings: MLflow's argument; nothing is warned of.
        dst_path: Folder to copy its files into.
        model_config: What the model is to find as its configuration.
        trust: Load it though it can run any code.
    """
    return models.load_model(model_uri, dst_path, model_config=model_config, trust=trust)


def _model(
    python_model: Any,  # noqa: ANN401 - the same
    loader_module: str | None,
    data_path: str | Path | None,
    arguments: dict[str, Any],
) -> Any:  # noqa: ANN401 - the same
    """Return what is to be saved; a loader goes to the flavor's own arguments."""
    if (python_model is None) == (loader_module is None):
        raise InvalidValue("wanted python_model, or loader_module with data_path: one of the two")
    if loader_module is None:
        if data_path is not None:
            raise InvalidValue("data_path is what a loader_module is given: with python_model, give artifacts")
        return python_model
    arguments |= {"loader_module": loader_module, "data_path": data_path}
    return None
