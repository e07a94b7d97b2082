"""TensorFlow: modules as SavedModel folders; and what MLflow saved of Keras by way of TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models.flavor import LoadContext, SavedFlavor, SaveRequest, class_modules, imported, part_of
from toolkit.models.flavors.keras import KerasPredictor, load_keras_file, write_keras_file
from toolkit.models.messages import first_line
from toolkit.models.metadata import ModelMetadata
from toolkit.models.pickles import loads
from toolkit.models.saved_model import load_saved_model, tensorflow_distribution

_FOLDER = "tf2model"
_DATA = "data"
_OBJECTS = ("global_custom_objects.cloudpickle", "custom_objects.cloudpickle")


class TensorflowFlavor:
    """Modules of TensorFlow; Keras models, too, where somebody asks for it."""

    name = "tensorflow"
    package = "tensorflow"
    modules = ("tensorflow",)
    loader_module = "mlflow.tensorflow"

    def takes(self, model: object) -> bool:
        """Tell whether a class of the model's is TensorFlow's."""
        return "tensorflow" in class_modules(model)

    def save(self, model: Any, folder: Path, request: SaveRequest) -> SavedFlavor:  # noqa: ANN401 - a module
        """Write a ``tf.Module`` as a SavedModel, with ``saved_model_kwargs``; a Keras model as a file of Keras's.

        Raises:
            InvalidValue: It is neither, or TensorFlow cannot save it.
        """
        options = request.read(saved_model_kwargs=None, keras_model_kwargs=None)
        if "keras" in class_modules(model):
            block = write_keras_file(model, folder / _DATA, options["keras_model_kwargs"])
            (folder / _DATA / "save_format.txt").write_text("keras", encoding="utf-8")
            (folder / _DATA / "keras_module.txt").write_text("keras", encoding="utf-8")
            block = {"data": _DATA, "model_type": "keras", "keras_version": block["keras_version"]}
            return SavedFlavor(
                block={**block, "save_format": "keras"},
                pyfunc={"data": _DATA},
                requirements=("keras", tensorflow_distribution()),
            )
        tensorflow = imported("tensorflow", self.package, self.name)
        if not isinstance(model, tensorflow.Module):
            raise InvalidValue(f"a {type(model).__name__} is no model of TensorFlow: wanted a tf.Module")
        try:
            tensorflow.saved_model.save(model, str(folder / _FOLDER), **(options["saved_model_kwargs"] or {}))
        except (ValueError, TypeError, AssertionError) as error:
            raise InvalidValue(f"TensorFlow cannot save this {type(model).__name__}: {first_line(error)}") from error
        return SavedFlavor(
            block={"saved_model_dir": _FOLDER, "model_type": "tf2-module"},
            pyfunc={},
            requirements=(tensorflow_distribution(),),
        )

    def load(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401 - TensorFlow's
        """Return the module; of a model of Keras that; of an estimator of TensorFlow 1 its function that predicts.

        Raises:
            UntrustedModel: It would run code that is not trusted.
            InvalidValue: TensorFlow is not installed, or cannot read the files.
        """
        if "saved_model_dir" not in block:
            return _load_keras(folder, block, context)
        loaded = load_saved_model(part_of(folder, block["saved_model_dir"]), context, block.get("meta_graph_tags"))
        return loaded if "signature_def_key" not in block else loaded.signatures[block["signature_def_key"]]

    def predictor(
        self, folder: Path, metadata: ModelMetadata, context: LoadContext
    ) -> TensorflowPredictor | KerasPredictor:
        """Return what calls the module with data as tensors."""
        block = metadata.flavor(self.name)
        model = self.load(folder, block, context)
        if "saved_model_dir" not in block:
            return (
                KerasPredictor(model, model.predict, {"verbose": 0})
                if hasattr(model, "predict")
                else KerasPredictor(model, model.serve)
            )
        return TensorflowPredictor(
            imported("tensorflow", self.package, self.name), model, named="signature_def_key" in block
        )


class TensorflowPredictor:
    """A module that is called with tensors and answers with arrays.

    Args:
        tensorflow: The library.
        native: The module, or a function of a SavedModel.
        named: It is such a function: it takes each column by its name.
    """

    def __init__(self, tensorflow: Any, native: Any, *, named: bool) -> None:  # noqa: ANN401 - TensorFlow's
        self.native = native
        self._tensorflow = tensorflow
        self._named = named

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - frames and arrays
        """Return what the module gives: arrays, one for each of its outputs.

        Raises:
            InvalidValue: The module does not take such data.
        """
        columns = dict(data) if self._named or isinstance(data, Mapping) else None
        try:
            if columns is not None:
                answer = self.native(
                    **{str(name): self._tensor(each) for name, each in columns.items()}, **(params or {})
                )
            else:
                answer = self.native(self._tensor(data), **(params or {}))
        except (TypeError, ValueError, self._tensorflow.errors.InvalidArgumentError) as error:
            raise InvalidValue(f"the model does not take such data: {first_line(error)}") from error
        return self._tensorflow.nest.map_structure(_array, answer)

    def _tensor(self, data: Any) -> Any:  # noqa: ANN401 - the same
        return self._tensorflow.convert_to_tensor(data.to_numpy() if hasattr(data, "to_numpy") else data)


def _load_keras(folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401 - Keras's
    data = part_of(folder, block.get("data") or _DATA)
    objects: dict[str, Any] = {}
    for name in _OBJECTS:
        if (data / name).exists():
            context.trust.require(data / name, "a pickle")
            objects |= loads((data / name).read_bytes(), str(data / name))
    for name in ("model.keras", "model.h5"):
        if (data / name).exists():
            return load_keras_file(data / name, context, objects)
    return load_saved_model(part_of(data, "model"), context)


def _array(value: Any) -> Any:  # noqa: ANN401 - a tensor
    return value.numpy() if hasattr(value, "numpy") else value


FLAVOR = TensorflowFlavor()
