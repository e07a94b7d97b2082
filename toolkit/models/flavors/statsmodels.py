"""statsmodels: fitted results, as pickles, for the library has no other format."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models.flavor import LoadContext, SavedFlavor, SaveRequest, class_modules, imported, part_of
from toolkit.models.metadata import ModelMetadata
from toolkit.models.prediction import FunctionPredictor, refuse_path

_DATA = "model.statsmodels"


class StatsmodelsFlavor:
    """Results of fitted models."""

    name = "statsmodels"
    package = "statsmodels"
    modules = ("statsmodels",)
    loader_module = "mlflow.statsmodels"

    def takes(self, model: object) -> bool:
        """Tell whether a class of the model's is statsmodels'."""
        return "statsmodels" in class_modules(model)

    def save(self, model: Any, folder: Path, request: SaveRequest) -> SavedFlavor:  # noqa: ANN401 - results
        """Write the results into a pickle.

        With ``remove_data`` the arrays of the training data are left out; the object that was given keeps them.

        Raises:
            InvalidValue: It is not fitted, or cannot be saved, or not be loaded again.
        """
        library = imported("statsmodels", self.package, self.name)
        remove = bool(request.read(remove_data=False)["remove_data"])
        if not hasattr(model, "save"):
            raise InvalidValue(f"a {type(model).__name__} cannot be saved: wanted fitted results, what fit() returns")
        path = folder / _DATA
        try:
            (copy.deepcopy(model) if remove else model).save(str(path), remove_data=remove)
            if remove:
                self._probe(path)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # what a class of the model's raises when it is pickled
            without = " without its data" if remove else ""
            raise InvalidValue(f"this {type(model).__name__} cannot be kept{without}: {_said(error)}") from error
        block = {"data": _DATA, "statsmodels_version": library.__version__}
        pyfunc = {"data": _DATA} if hasattr(model, "predict") else None
        return SavedFlavor(block=block, pyfunc=pyfunc, requirements=("statsmodels",))

    def load(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401 - results
        """Return the results.

        Raises:
            UntrustedModel: The pickle is not trusted.
            InvalidValue: statsmodels is not installed, or the pickle was made by a version that this one cannot read.
        """
        path = part_of(folder, block.get("data") or _DATA)
        context.trust.require(path, "a pickle")
        library = imported("statsmodels", self.package, self.name)
        try:
            return _unpickled(path)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # a pickle's own code raises whatever it likes
            made = block.get("statsmodels_version", "an unknown version")
            raise InvalidValue(
                f"statsmodels {library.__version__} cannot read {path}, which {made} made: {_said(error)}"
            ) from error

    def predictor(self, folder: Path, metadata: ModelMetadata, context: LoadContext) -> FunctionPredictor | TimeSeries:
        """Return what predicts with the results."""
        results = self.load(folder, metadata.flavor(self.name), context)
        return TimeSeries(results) if self._is_series(results) else FunctionPredictor(results, results.predict)

    def _is_series(self, results: Any) -> bool:  # noqa: ANN401 - results
        series = imported("statsmodels.tsa.base.tsa_model", self.package, self.name).TimeSeriesModel
        return isinstance(getattr(results, "model", None), series)

    def _probe(self, path: Path) -> None:
        """Try results without their data: some cannot be loaded so, and series predict nothing."""
        results = _unpickled(path)
        if self._is_series(results):
            results.predict(start=0, end=0)


class TimeSeries:
    """A fitted time series, which predicts from one moment to another."""

    def __init__(self, native: Any) -> None:  # noqa: ANN401 - results
        self.native = native

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401, ARG002 - as all predict
        """Return the series between two moments.

        Args:
            data: A DataFrame of one row, whose columns ``start`` and ``end`` are dates or positions.
            params: Nothing is done with them.

        Raises:
            InvalidValue: The data are something else.
        """
        refuse_path(data)
        columns = getattr(data, "columns", ())
        if len(data) != 1 or "start" not in columns or "end" not in columns:
            raise InvalidValue("a time series predicts from a DataFrame of exactly one row with columns start and end")
        return self.native.predict(start=data["start"].iloc[0], end=data["end"].iloc[0])


def _unpickled(path: Path) -> Any:  # noqa: ANN401 - results
    return pickle.loads(path.read_bytes())  # noqa: S301 - it is our own, or trusted


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


FLAVOR = StatsmodelsFlavor()
