"""Keras 3, on any of its backends: files of Keras's own, which hold no code; or exported for TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from packaging.version import Version

from toolkit.errors import InvalidValue
from toolkit.models.flavor import LoadContext, SavedFlavor, SaveRequest, class_modules, imported, part_of
from toolkit.models.messages import first_line
from toolkit.models.metadata import ModelMetadata
from toolkit.models.saved_model import load_saved_model, tensorflow_distribution

_DATA = "data"
_FILE = "model.keras"
_SAFE = Version("3.12")
"""From here on, what its safe mode lets through runs no code: before, there were ways around it."""


class KerasFlavor:
    """Models of Keras 3."""

    name = "keras"
    package = "keras"
    modules = ("keras",)
    loader_module = "mlflow.keras"

    def takes(self, model: object) -> bool:
        """Tell whether a class of the model's is Keras's."""
        return "keras" in class_modules(model)

    def save(self, model: Any, folder: Path, request: SaveRequest) -> SavedFlavor:  # noqa: ANN401 - a Model
        """Write the model as a ``.keras`` file; with ``save_exported_model`` as a SavedModel of TensorFlow's.

        ``save_model_kwargs`` are further arguments of Keras's ``Model.save``.

        Raises:
            InvalidValue: It is no model of Keras 3, or cannot be saved.
        """
        options = request.read(save_exported_model=False, save_model_kwargs=None)
        data = folder / _DATA
        if exported := bool(options["save_exported_model"]):
            imported("tensorflow", "tensorflow", "tensorflow")
            block = _write(model, data, lambda: model.export(str(data / "model"), verbose=False))
        else:
            block = write_keras_file(model, data, options["save_model_kwargs"])
        (data / "keras_module.txt").write_text("keras", encoding="utf-8")
        backend = block["keras_backend"]
        return SavedFlavor(
            block={"data": _DATA, **block, "save_exported_model": exported},
            pyfunc={},
            requirements=("keras", *_backend(backend)),
        )

    def load(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401 - a Model
        """Return the model; of an exported one what TensorFlow makes of it.

        Raises:
            UntrustedModel: It would run code that is not trusted.
            InvalidValue: Keras or its backend is not installed, or cannot read the file.
        """
        data = part_of(folder, block.get("data") or _DATA)
        if block.get("save_exported_model"):
            return load_saved_model(part_of(data, "model"), context)
        return load_keras_file(part_of(data, _FILE), context)

    def predictor(self, folder: Path, metadata: ModelMetadata, context: LoadContext) -> KerasPredictor:
        """Return what predicts with the model."""
        block = metadata.flavor(self.name)
        model = self.load(folder, block, context)
        if block.get("save_exported_model"):
            return KerasPredictor(model, model.serve)
        return KerasPredictor(model, model.predict, {"verbose": 0})


class KerasPredictor:
    """A model that is called with arrays and answers with arrays.

    Args:
        native: The model as Keras knows it.
        function: Takes an array, or several, and predicts.
        fixed: Its arguments each time, unless ``params`` has others.
    """

    def __init__(self, native: object, function: Callable[..., Any], fixed: Mapping[str, Any] | None = None) -> None:
        self.native = native
        self._function = function
        self._fixed = dict(fixed or {})

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - frames and arrays
        """Return what the model gives: for a DataFrame a DataFrame with its index, else arrays.

        Raises:
            InvalidValue: The data are neither a DataFrame nor arrays.
        """
        frame = data if hasattr(data, "iloc") and hasattr(data, "columns") else None
        if frame is None and not isinstance(data, list | tuple | Mapping) and not hasattr(data, "__array__"):
            raise InvalidValue(
                f"a Keras model is given a {type(data).__name__}: wanted a DataFrame, an array, or several"
            )
        values = data if frame is None else self._values(frame)
        answer = _arrays(self._function(values, **{**self._fixed, **(params or {})}))
        if frame is None or getattr(answer, "ndim", 3) > 2:
            return answer
        import pandas  # noqa: PLC0415 - whose frame the data are

        return pandas.DataFrame(answer, index=frame.index)

    def _values(self, frame: Any) -> Any:  # noqa: ANN401 - pandas' and NumPy's
        values = frame.to_numpy()
        return values.astype("float32") if values.dtype.kind in "fiub" else values


def write_keras_file(model: Any, data: Path, kwargs: Mapping[str, Any] | None = None) -> dict[str, Any]:  # noqa: ANN401 - a Model
    """Write a model as a ``.keras`` file into a folder that is made, and return what tells of it.

    Raises:
        InvalidValue: It is no model of Keras 3, or cannot be saved.
    """
    return _write(model, data, lambda: model.save(data / _FILE, **(kwargs or {})))


def load_keras_file(path: Path, context: LoadContext, objects: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - a Model
    """Load a ``.keras`` or ``.h5`` file; code in it only where that is trusted.

    Raises:
        UntrustedModel: It holds code.
        InvalidValue: Keras or its backend is not installed, or cannot read the file.
    """
    keras = _keras()
    trusted = context.trust.allows(path)
    if not trusted and (Version(keras.__version__) < _SAFE or path.suffix != ".keras"):
        context.trust.require(path, f"a {path.suffix} file for Keras {keras.__version__}")
    try:
        return keras.saving.load_model(path, custom_objects=dict(objects or {}), safe_mode=not trusted)
    except (ValueError, TypeError, OSError, KeyError, ImportError) as error:
        if not trusted and "safe_mode" in str(error):
            context.trust.require(path, "a file with Python code in it, such as a Lambda layer")
        raise InvalidValue(
            f"Keras {keras.__version__} cannot read {path}: {first_line(error)} (import classes of your own before "
            "you load the model)"
        ) from error


def _write(model: Any, data: Path, write: Callable[[], object]) -> dict[str, Any]:  # noqa: ANN401 - a Model
    keras = _keras()
    if not isinstance(model, keras.Model):
        raise InvalidValue(f"a {type(model).__name__} is no model of Keras: wanted a keras.Model")
    data.mkdir()
    try:
        write()
    except (ValueError, TypeError, NotImplementedError) as error:
        raise InvalidValue(f"Keras cannot save this {type(model).__name__}: {first_line(error)}") from error
    return {"keras_version": keras.__version__, "keras_backend": keras.backend.backend()}


def _keras() -> Any:  # noqa: ANN401 - a module
    try:
        keras = imported("keras", "keras", "keras")
    except ModuleNotFoundError as error:
        raise InvalidValue(
            f"Keras needs {error.name}, its backend, which is not installed: pip install {error.name}, or name another "
            "in KERAS_BACKEND"
        ) from None
    if Version(keras.__version__).major < 3:
        raise InvalidValue(f"models of Keras are kept from Keras 3 on: there is {keras.__version__}")
    return keras


def _backend(name: str) -> tuple[str, ...]:
    if name == "tensorflow":
        return (tensorflow_distribution(),)
    return {"torch": ("torch",), "jax": ("jax",)}.get(name, ())


def _arrays(answer: Any) -> Any:  # noqa: ANN401 - whatever the model gives
    if isinstance(answer, Mapping):
        return {name: _arrays(each) for name, each in answer.items()}
    if isinstance(answer, tuple | list):
        return [_arrays(each) for each in answer]
    return answer.numpy() if hasattr(answer, "numpy") else answer


FLAVOR = KerasFlavor()
