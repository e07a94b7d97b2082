"""scikit-learn: estimators and pipelines, as skops files, which hold no code, or as pickles."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models import skops_file
from toolkit.models.flavor import LoadContext, SavedFlavor, SaveRequest, class_modules, imported, part_of
from toolkit.models.metadata import ModelMetadata
from toolkit.models.pickles import loads, pickled
from toolkit.models.requirements import distributions

FORMATS = {"skops": "model.skops", "cloudpickle": "model.pkl", "pickle": "model.pkl"}
"""File names by format."""

PREDICT_FUNCTIONS = ("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "score")


class SklearnFlavor:
    """Estimators of scikit-learn, and of libraries that build on its classes."""

    name = "sklearn"
    package = "scikit-learn"
    modules = ("sklearn",)
    loader_module = "mlflow.sklearn"

    def takes(self, model: object) -> bool:
        """Tell whether a class of the model's is scikit-learn's."""
        return "sklearn" in class_modules(model)

    def save(self, model: Any, folder: Path, request: SaveRequest) -> SavedFlavor:  # noqa: ANN401 - an estimator
        """Write the estimator.

        Options are ``serialization_format``, ``skops`` (the default), ``cloudpickle`` or ``pickle``;
        ``pyfunc_predict_fn``, the function that predicts; ``skops_trusted_types``, types that MLflow is told to trust
        beside those that are found in the model.

        Raises:
            InvalidValue: The estimator or an option cannot be used.
        """
        library = imported("sklearn", self.package)
        options = request.read(serialization_format="skops", pyfunc_predict_fn="predict", skops_trusted_types=None)
        form, function = options["serialization_format"], options["pyfunc_predict_fn"]
        if form not in FORMATS:
            raise InvalidValue(f"serialization_format is {form!r}: wanted one of {', '.join(FORMATS)}")
        path = folder / FORMATS[form]
        types: list[str] = sorted(options["skops_trusted_types"] or [])
        if form == "skops":
            types = sorted({*types, *skops_file.write(model, path)})
            modules = skops_file.modules_in(path)
        else:
            made = pickled(model, plain=form == "pickle")
            modules = set(made.modules)
            path.write_bytes(made.content)
        return SavedFlavor(
            block={
                "pickled_model": path.name,
                "serialization_format": form,
                "skops_trusted_types": types or None,
                "sklearn_version": library.__version__,
            },
            pyfunc={"model_path": path.name, "predict_fn": function} if hasattr(model, _known(function)) else None,
            requirements=("scikit-learn", *distributions({*modules, "numpy"} | ({form} - {"pickle"}))),
        )

    def load(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401 - the same
        """Return the estimator.

        Raises:
            UntrustedModel: It is a pickle, or has types, that are not trusted.
            InvalidValue: It cannot be loaded.
        """
        imported("sklearn", self.package)
        path = part_of(folder, block.get("pickled_model"))
        form = block.get("serialization_format", "pickle")
        if form == "skops":
            return skops_file.read(path, context.trust)
        context.trust.require(path, "a pickle")
        return loads(path.read_bytes(), str(path))

    def predictor(self, folder: Path, metadata: ModelMetadata, context: LoadContext) -> SklearnPredictor:
        """Return what calls the estimator's function that predicts."""
        function = _known(metadata.flavor("python_function").get("predict_fn") or "predict")
        if self.name in metadata.flavors:
            block = metadata.flavor(self.name)
        else:  # as MLflow before 1.0 wrote it
            block = {"pickled_model": metadata.flavor("python_function").get("data")}
        return SklearnPredictor(self.load(folder, block, context), function)


class SklearnPredictor:
    """An estimator that predicts by one of its functions."""

    def __init__(self, native: Any, function: str) -> None:  # noqa: ANN401 - an estimator
        self.native = native
        self._function = getattr(native, function)
        self._names: frozenset[str] | None = None

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - arrays and frames
        """Return what the function gives. Of the parameters, those count that it takes, such as ``return_std``."""
        if not params:
            return self._function(data)
        if self._names is None:
            self._names = frozenset(inspect.signature(self._function).parameters)
        return self._function(data, **{name: value for name, value in params.items() if name in self._names})


def _known(function: object) -> str:
    """Return the name of a function that predicts; an MLmodel cannot have others called.

    Raises:
        InvalidValue: It is none.
    """
    if function not in PREDICT_FUNCTIONS:
        raise InvalidValue(f"pyfunc_predict_fn is {function!r}: wanted one of {', '.join(PREDICT_FUNCTIONS)}")
    return str(function)


FLAVOR = SklearnFlavor()
