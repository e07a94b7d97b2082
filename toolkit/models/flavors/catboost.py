"""CatBoost: models in the library's own formats, which hold no code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models.flavor import LoadContext, SavedFlavor, SaveRequest, class_modules, imported, part_of
from toolkit.models.metadata import ModelMetadata
from toolkit.models.prediction import FunctionPredictor

_DATA = "model.cb"
FORMATS = ("cbm", "json")
CLASSES = ("CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker", "CatBoost")


class CatboostFlavor:
    """Models of CatBoost."""

    name = "catboost"
    package = "catboost"
    modules = ("catboost",)
    loader_module = "mlflow.catboost"

    def takes(self, model: object) -> bool:
        """Tell whether a class of the model's is CatBoost's."""
        return "catboost" in class_modules(model)

    def save(self, model: Any, folder: Path, request: SaveRequest) -> SavedFlavor:  # noqa: ANN401 - a CatBoost
        """Write the model into a file.

        ``format`` is ``cbm`` (binary, the default) or ``json``; ``export_parameters`` and ``pool`` are those of
        CatBoost's ``save_model``.

        Raises:
            InvalidValue: It is not fitted, or of no class that can be saved; or the format cannot be loaded again.
        """
        library = imported("catboost", self.package, self.name)
        options = request.read(format="cbm", export_parameters=None, pool=None)
        if options["format"] not in FORMATS:
            raise InvalidValue(
                f"a model of CatBoost is not loaded from the format {options['format']!r}: wanted one of "
                f"{', '.join(FORMATS)} (for onnx, export it and log that with the flavor onnx)"
            )
        kind = next((each for each in CLASSES if isinstance(model, getattr(library, each))), None)
        if kind is None:
            raise InvalidValue(f"a {type(model).__name__} is no model of CatBoost: wanted one of {', '.join(CLASSES)}")
        try:
            model.save_model(str(folder / _DATA), **options)
        except library.CatBoostError as error:
            raise InvalidValue(f"CatBoost cannot save this {kind}: {error}") from None
        block = {
            "catboost_version": library.__version__,
            "data": _DATA,
            "model_type": kind,
            "save_format": options["format"],
        }
        return SavedFlavor(block=block, pyfunc={"data": _DATA}, requirements=("catboost",))

    def load(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401, ARG002 - no code is in it
        """Return the model.

        Raises:
            InvalidValue: CatBoost is not installed, or cannot read the file.
        """
        library = imported("catboost", self.package, self.name)
        path = part_of(folder, block.get("data") or _DATA)
        kind = block.get("model_type")
        if kind not in CLASSES:
            raise InvalidValue(
                f"the MLmodel of {folder} names the model_type {kind!r}: wanted one of {', '.join(CLASSES)}"
            )
        try:
            return getattr(library, kind)().load_model(str(path), block.get("save_format") or "cbm")
        except library.CatBoostError as error:
            raise InvalidValue(f"CatBoost {library.__version__} cannot read {path}: {error}") from None

    def predictor(self, folder: Path, metadata: ModelMetadata, context: LoadContext) -> FunctionPredictor:
        """Return what calls the model's ``predict``: of a classifier, that gives classes."""
        model = self.load(folder, metadata.flavor(self.name), context)
        return FunctionPredictor(model, model.predict)


FLAVOR = CatboostFlavor()
