"""Estimators of scikit-learn that can be given an array: most of what a prediction of one row takes is for a table."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from toolkit.models.datatypes import DataType

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from toolkit.models.loading import LoadedModel

_ESTIMATORS = (
    "sklearn.discriminant_analysis",
    "sklearn.ensemble._forest",
    "sklearn.ensemble._gb",
    "sklearn.linear_model.",
    "sklearn.naive_bayes",
    "sklearn.neighbors.",
    "sklearn.neural_network.",
    "sklearn.svm.",
    "sklearn.tree.",
)
"""Where the classes are defined that make an array of what they are given, before anything else."""

_STEPS = frozenset(
    ("MaxAbsScaler", "MinMaxScaler", "Normalizer", "PolynomialFeatures", "RobustScaler", "StandardScaler")
)
"""The same, of what may come before one of them in a pipeline."""


def array_function(model: LoadedModel) -> Callable[[np.ndarray[Any, Any]], Any] | None:
    """Return what predicts for rows of doubles, in the order of the signature; None: the model needs a table for that.

    It is the estimator's own function, of a copy that does not know the columns' names: they are held against the
    signature's here, once, and it was tried that the answer is the same.
    """
    signature = model.metadata.signature
    schema = None if signature is None else signature.inputs
    if schema is None or schema.is_tensor_spec() or "sklearn" not in model.metadata.flavors:
        return None
    native = model.native
    names = list(getattr(native, "feature_names_in_", ()))
    if set(schema.input_types()) != {DataType.double} or names != schema.input_names():
        return None
    name = str(model.metadata.flavor("python_function").get("predict_fn") or "predict")
    bare = _bare(native)
    function: Callable[[np.ndarray[Any, Any]], Any] | None = getattr(bare, name, None)
    return function if function is not None and _is_same(model, function, names) else None


def _bare(native: Any) -> Any:  # noqa: ANN401 - an estimator
    """Return a copy without the names of columns; None: it may look at more of a table than its values."""
    kind = type(native)
    if kind.__module__ == "sklearn.pipeline" and kind.__name__ == "Pipeline":
        steps = [(name, _step(step, last=at == len(native.steps) - 1)) for at, (name, step) in enumerate(native.steps)]
        if any(step is None for _, step in steps):
            return None
        made = copy.copy(native)
        made.steps = steps
        return made
    return _step(native, last=True)


def _step(step: Any, *, last: bool) -> Any:  # noqa: ANN401 - the same
    kind = type(step)
    known = kind.__module__.startswith(_ESTIMATORS) if last else kind.__module__ == "sklearn.preprocessing._data"
    if not known or not (last or kind.__name__ in _STEPS) or hasattr(step, "_sklearn_output_config"):
        return None
    made = copy.copy(step)
    vars(made).pop("feature_names_in_", None)
    return made


def _is_same(model: LoadedModel, function: Callable[[np.ndarray[Any, Any]], Any], names: list[str]) -> bool:
    import numpy as np  # noqa: PLC0415 - as the model does
    import pandas as pd  # noqa: PLC0415 - the same

    values = np.arange(2.0 * len(names)).reshape(2, len(names)) / len(names)
    try:
        asked, told = function(values), model.predict(pd.DataFrame(values, columns=names))
    except Exception:  # noqa: BLE001 - an estimator of some release that wants it otherwise
        return False
    kinds = {type(asked), type(told)}
    return kinds == {np.ndarray} and asked.dtype == told.dtype and np.array_equal(asked, told)
