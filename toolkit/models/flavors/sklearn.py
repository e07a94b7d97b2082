"""scikit-learn: estimators and pipelines, as skops files or as pickles."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.models.flavor import LoadContext, SavedFlavor, SaveRequest, class_modules, imported, part_of
from toolkit.models.metadata import ModelMetadata


class SklearnFlavor:
    """Estimators of scikit-learn."""

    name = "sklearn"
    package = "scikit-learn"
    modules = ("sklearn",)
    loader_module = "mlflow.sklearn"

    def takes(self, model: object) -> bool:
        """Tell whether a class of the model's is scikit-learn's."""
        return "sklearn" in class_modules(model)

    def save(self, model: Any, folder: Path, request: SaveRequest) -> SavedFlavor:  # noqa: ANN401 - an estimator
        """Write the estimator."""
        options = request.read(serialization_format="pickle", pyfunc_predict_fn="predict")
        (folder / "model.pkl").write_bytes(pickle.dumps(model))
        return SavedFlavor(
            block={
                "pickled_model": "model.pkl",
                "serialization_format": options["serialization_format"],
                "sklearn_version": imported("sklearn", self.package).__version__,
            },
            pyfunc={"model_path": "model.pkl", "predict_fn": options["pyfunc_predict_fn"]},
            requirements=("scikit-learn",),
        )

    def load(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401 - the same
        """Return the estimator."""
        path = part_of(folder, block["pickled_model"])
        context.trust.require(path, "a pickle")
        return pickle.loads(path.read_bytes())  # noqa: S301 - it is trusted

    def predictor(self, folder: Path, metadata: ModelMetadata, context: LoadContext) -> SklearnPredictor:
        """Return what calls the estimator's predict function."""
        model = self.load(folder, metadata.flavor(self.name), context)
        return SklearnPredictor(model, metadata.flavor("python_function").get("predict_fn") or "predict")


class SklearnPredictor:
    """An estimator that predicts by one of its functions."""

    def __init__(self, native: Any, function: str) -> None:  # noqa: ANN401 - an estimator
        self.native = native
        self._function = function

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - arrays and frames
        """Return what the function gives."""
        return getattr(self.native, self._function)(data, **(params or {}))


FLAVOR = SklearnFlavor()
