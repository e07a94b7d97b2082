"""LightGBM: boosters in the library's own format, estimators as skops files or as pickles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models import pickles, skops_file
from toolkit.models.flavor import LoadContext, SavedFlavor, SaveRequest, class_modules, imported, part_of
from toolkit.models.metadata import ModelMetadata
from toolkit.models.prediction import FunctionPredictor, with_categories
from toolkit.models.requirements import distributions

FORMATS = ("skops", "cloudpickle", "pickle")
_BOOSTER = "lightgbm.basic.Booster"


class LightgbmFlavor:
    """Boosters, and estimators with the interface of scikit-learn."""

    name = "lightgbm"
    package = "lightgbm"
    modules = ("lightgbm",)
    loader_module = "mlflow.lightgbm"

    def takes(self, model: object) -> bool:
        """Tell whether a class of the model's is LightGBM's."""
        return "lightgbm" in class_modules(model)

    def save(self, model: Any, folder: Path, request: SaveRequest) -> SavedFlavor:  # noqa: ANN401 - a Booster or an estimator
        """Write the model into a file.

        ``serialization_format`` is that of estimators: ``skops`` (the default), ``cloudpickle`` or ``pickle``.
        ``skops_trusted_types`` are written into the MLmodel for MLflow, beside those that are found.

        Raises:
            InvalidValue: It is not fitted, of no class that can be saved, or cannot be kept in this format.
        """
        library = imported("lightgbm", self.package, self.name)
        options = request.read(serialization_format="skops", skops_trusted_types=None)
        kind = options["serialization_format"]
        if kind not in FORMATS:
            raise InvalidValue(f"a model of LightGBM has no format {kind!r}: wanted one of {', '.join(FORMATS)}")
        types, modules = set(options["skops_trusted_types"] or ()), {"lightgbm"}
        if isinstance(model, library.Booster):
            data = "model.lgb"
            model.save_model(str(folder / data))
        else:
            _check_estimator(model, library)
            data = "model.skops" if kind == "skops" else "model.pkl"
            modules |= {"sklearn", kind}
            if kind == "skops":
                types |= set(skops_file.write(model, folder / data))
                modules |= skops_file.modules_in(folder / data)
            else:
                made = pickles.pickled(model, plain=kind == "pickle")
                (folder / data).write_bytes(made.content)
                modules |= made.modules
        block = {
            "data": data,
            "lgb_version": library.__version__,
            "model_class": f"{type(model).__module__}.{type(model).__qualname__}",
            "serialization_format": kind,
            "skops_trusted_types": sorted(types) if kind == "skops" else None,
        }
        return SavedFlavor(block=block, pyfunc={"data": data}, requirements=distributions(modules))

    def load(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401 - the same
        """Return the model.

        Raises:
            UntrustedModel: It is a pickle, or holds types that are not LightGBM's own, and is not trusted.
            InvalidValue: LightGBM is not installed, or cannot read the file.
        """
        library = imported("lightgbm", self.package, self.name)
        path = part_of(folder, block.get("data"))
        if (block.get("model_class") or _BOOSTER) == _BOOSTER:
            try:
                return library.Booster(model_file=str(path))
            except library.basic.LightGBMError as error:
                raise InvalidValue(f"LightGBM {library.__version__} cannot read {path}: {error}") from None
        kind = block.get("serialization_format") or "cloudpickle"
        if kind == "skops":
            return skops_file.read(path, context.trust)
        if kind not in FORMATS:
            raise InvalidValue(f"the MLmodel of {folder} names the format {kind!r}: wanted one of {', '.join(FORMATS)}")
        context.trust.require(path, "a pickle")
        return pickles.loads(path.read_bytes(), str(path))

    def predictor(self, folder: Path, metadata: ModelMetadata, context: LoadContext) -> FunctionPredictor:
        """Return what calls the model's ``predict``: of a classifier, that gives classes."""
        model = self.load(folder, metadata.flavor(self.name), context)
        booster = model if type(model).__name__ == "Booster" else model.booster_
        categories = list(booster.pandas_categorical or ())
        if not categories:
            return FunctionPredictor(model, model.predict)
        infos = booster.dump_model(num_iteration=1)["feature_infos"]
        known = [bool(infos.get(name, {}).get("values")) for name in booster.feature_name()]
        return FunctionPredictor(model, model.predict, lambda data: _categorized(data, known, len(categories)))


def _categorized(data: Any, known: Sequence[bool], wanted: int) -> Any:  # noqa: ANN401 - frames and arrays
    """Return a frame with those columns as categories that were when the model was trained.

    A booster knows how many there were and, of those that it splits by, which. The others are found by their texts;
    where that leaves another number, LightGBM is left to say what it misses.
    """
    if not hasattr(data, "columns") or len(data.columns) != len(known):
        return data
    kinds = zip(data.columns, data.dtypes, known, strict=True)
    columns = [name for name, dtype, is_known in kinds if is_known or dtype.kind == "O"]
    return with_categories(data, columns) if len(columns) == wanted else data


def _check_estimator(model: object, library: Any) -> None:  # noqa: ANN401 - a module
    if not isinstance(model, library.LGBMModel):
        raise InvalidValue(f"a {type(model).__name__} is no model of LightGBM: wanted a Booster or an estimator")
    if not model.__sklearn_is_fitted__():
        raise InvalidValue(f"this {type(model).__name__} is not fitted: call fit() before it is saved")


FLAVOR = LightgbmFlavor()
