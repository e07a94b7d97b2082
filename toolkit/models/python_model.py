"""Models that are a class or a function of the user's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from toolkit.errors import InvalidValue


class PythonModelContext:
    """What a model finds beside itself when it is loaded."""

    def __init__(self, artifacts: Mapping[str, str], model_config: Mapping[str, Any] | None) -> None:
        self._artifacts = dict(artifacts)
        self._model_config = dict(model_config or {})

    @property
    def artifacts(self) -> Mapping[str, str]:
        """Local paths of the files that it was saved with, by name."""
        return self._artifacts

    @property
    def model_config(self) -> Mapping[str, Any]:
        """What it was configured with: when it was saved, and when it was loaded."""
        return self._model_config


class PythonModel:
    """A model of one's own: subclass it and say what `predict` does.

    Examples:
        >>> class AddN(PythonModel):
        ...     def __init__(self, n):
        ...         self.n = n
        ...
        ...     def predict(self, model_input, params=None):
        ...         return model_input + self.n
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Get ready to predict: called once, when the model is loaded.

        Args:
            context: Where the files are that it was saved with.
        """

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - whatever the model takes and gives
        """Return what the model says of the input. ``context`` and ``params`` may be left out of one's own.

        Args:
            context: What `load_context` was given.
            model_input: Data that fit the signature.
            params: What else the signature names.
        """
        raise NotImplementedError(f"{type(self).__qualname__} has no predict")

    def predict_stream(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Iterator[Any]:  # noqa: ANN401 - as `predict`
        """Give what the model says piece by piece; arguments as in `predict`."""
        raise NotImplementedError(f"{type(self).__qualname__} has no predict_stream")


class FunctionModel(PythonModel):
    """A function that is a model."""

    def __init__(self, func: Callable[..., Any], signature: object = None) -> None:
        self.func = func
        self.signature = signature

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # type: ignore[override]  # noqa: ANN401 - as `PythonModel`, without a context
        """Return what the function gives."""
        return self.func(model_input, **({"params": params} if "params" in _parameters(self.func) else {}))


def as_python_model(model: object) -> Any:  # noqa: ANN401 - MLflow's class of this name will do as well
    """Return an object that has `predict`: a function is wrapped.

    Raises:
        InvalidValue: It is no model, or a function that does not take one argument.
    """
    if hasattr(model, "load_context") and hasattr(model, "predict"):
        return model
    if not callable(model) or inspect.isclass(model):
        raise InvalidValue(
            f"{model!r:.200} is no model: wanted an object of a class of toolkit.pyfunc.PythonModel, a function of one "
            "argument, or the path of a Python file"
        )
    own = [name for name in _parameters(model) if name != "params"]
    if len(own) != 1:
        raise InvalidValue(
            f"the function {getattr(model, '__name__', model)!r} takes the arguments {', '.join(own) or 'none'}: a "
            "model takes one, and may take params"
        )
    return FunctionModel(model)


class PythonPredictor:
    """A model of the user's that predicts in the uniform way."""

    def __init__(self, native: Any, context: PythonModelContext) -> None:  # noqa: ANN401 - a class of the user's
        self.native = native
        self.context = context

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - what the model takes
        """Return what the model says."""
        return self._call(self.native.predict, data, params)

    def predict_stream(self, data: Any, params: Mapping[str, Any] | None = None) -> Iterator[Any]:  # noqa: ANN401 - the same
        """Give what the model says piece by piece."""
        return iter(self._call(self.native.predict_stream, data, params))

    def _call(self, function: Callable[..., Any], data: Any, params: Mapping[str, Any] | None) -> Any:  # noqa: ANN401 - the same
        names = _parameters(function)
        said = {"params": dict(params) if params is not None else None} if "params" in names else {}
        if "context" in names or len([name for name in names if name != "params"]) == 2:
            return function(self.context, data, **said)
        return function(data, **said)


def _parameters(function: Callable[..., Any]) -> list[str]:
    """Return the names of a function's parameters; of what has no signature, one."""
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ["model_input"]
