"""XGBoost: boosters and estimators in the library's own formats, which hold no code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models.flavor import LoadContext, SavedFlavor, SaveRequest, class_modules, imported, part_of
from toolkit.models.metadata import FILE, ModelMetadata
from toolkit.models.prediction import FunctionPredictor, with_categories
from toolkit.models.requirements import distributions

FORMATS = ("ubj", "json", "xgb")
_BOOSTER = "xgboost.core.Booster"


class XgboostFlavor:
    """Boosters, and estimators with the interface of scikit-learn."""

    name = "xgboost"
    package = "xgboost"
    modules = ("xgboost",)
    loader_module = "mlflow.xgboost"

    def takes(self, model: object) -> bool:
        """Tell whether a class of the model's is XGBoost's."""
        return "xgboost" in class_modules(model)

    def save(self, model: Any, folder: Path, request: SaveRequest) -> SavedFlavor:  # noqa: ANN401 - a Booster or an estimator
        """Write the model into a file.

        ``model_format`` is ``ubj`` (binary JSON, the default), ``json``, or ``xgb``: what XGBoost wrote before 2.1.

        Raises:
            InvalidValue: It is not fitted, or of no class that can be saved; or the format is none.
        """
        library = imported("xgboost", self.package, self.name)
        kind = request.read(model_format="ubj")["model_format"]
        if kind not in FORMATS:
            raise InvalidValue(f"XGBoost has no format {kind!r}: wanted one of {', '.join(FORMATS)}")
        if not isinstance(model, library.Booster | library.XGBModel):
            raise InvalidValue(f"a {type(model).__name__} is no model of XGBoost: wanted a Booster or an estimator")
        data = f"model.{kind}"
        try:
            model.save_model(folder / data)
        except ValueError as error:  # XGBoostError, too, and NotFittedError
            raise InvalidValue(f"XGBoost cannot save this {type(model).__name__}: {_first(error)}") from None
        block = {
            "data": data,
            "model_class": f"{type(model).__module__}.{type(model).__qualname__}",
            "model_format": kind,
            "xgb_version": library.__version__,
        }
        modules = {type(model).__module__, "xgboost", *(() if isinstance(model, library.Booster) else ("sklearn",))}
        return SavedFlavor(block=block, pyfunc={"data": data}, requirements=distributions(modules))

    def load(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401 - the same
        """Return the model.

        Raises:
            UntrustedModel: Its class is not XGBoost's, and so somebody else's code.
            InvalidValue: XGBoost is not installed, or cannot read the file.
        """
        library = imported("xgboost", self.package, self.name)
        path = part_of(folder, block.get("data"))
        name = str(block.get("model_class") or _BOOSTER)
        found = _named(folder, name, context)
        if not isinstance(found, type) or not issubclass(found, library.Booster | library.XGBModel):
            raise InvalidValue(f"the MLmodel of {folder} names the class {name}, which is no model of XGBoost")
        model: Any = found()
        try:
            model.load_model(path)
        except library.core.XGBoostError as error:
            raise InvalidValue(f"XGBoost {library.__version__} cannot read {path}: {_first(error)}") from None
        return model

    def predictor(self, folder: Path, metadata: ModelMetadata, context: LoadContext) -> FunctionPredictor:
        """Return what predicts with the model: a Booster is given a DMatrix of the data."""
        library = imported("xgboost", self.package, self.name)
        model = self.load(folder, metadata.flavor(self.name), context)
        booster = model if isinstance(model, library.Booster) else model.get_booster()
        categories = _categorical(booster)

        def frame(data: Any) -> Any:  # noqa: ANN401 - frames and arrays
            columns = getattr(data, "columns", ())
            return with_categories(data, [name for name in categories if name in columns]) if len(columns) else data

        def matrix(data: Any) -> Any:  # noqa: ANN401 - frames and arrays
            names = None if hasattr(data, "columns") else booster.feature_names  # an array's columns are known by place
            return library.DMatrix(frame(data), feature_names=names, enable_categorical=True)

        prepare = matrix if model is booster else frame
        return FunctionPredictor(model, model.predict, prepare, {"validate_features": True})


def _categorical(booster: Any) -> list[str]:  # noqa: ANN401 - a Booster
    """Return the features that were categories, where the model knows which: it finds a category by its name then."""
    if not hasattr(booster, "get_categories") or not booster.feature_types or booster.get_categories().empty():
        return []
    return [name for name, kind in zip(booster.feature_names, booster.feature_types, strict=True) if kind == "c"]


def _named(folder: Path, name: str, context: LoadContext) -> object:
    """Return what an MLmodel names; a module of somebody else's is imported only where that is trusted."""
    module, _, attribute = name.rpartition(".")
    if module.partition(".")[0] != "xgboost":
        context.trust.require(folder / FILE, f"an MLmodel that names a class of other code, {name},")
    try:
        return getattr(import_module(module), attribute, None) if module else None
    except ImportError as error:
        raise InvalidValue(f"the class {name} of the model in {folder} cannot be imported: {error}") from None


def _first(error: Exception) -> str:
    """Return the line of an error that says what is wrong, without the time and the place in the library's code."""
    return re.sub(r"^\[[\d:]+\] \S+: ", "", next(iter(str(error).splitlines()), type(error).__name__))


FLAVOR = XgboostFlavor()
