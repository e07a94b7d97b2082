"""Small fitted models of several libraries, each made the same way here and where MLflow is."""

# ruff: noqa: ANN401 - what the libraries make has no types

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

ROWS = 40


def frame() -> pd.DataFrame:
    """Return two columns of numbers."""
    return pd.DataFrame({"a": np.arange(ROWS) / 4, "b": (np.arange(ROWS) % 3).astype(float)})


def classes() -> Any:
    """Return a class for each row of the frame."""
    return (np.arange(ROWS) // 5) % 2


def values() -> Any:
    """Return a number for each row of the frame."""
    data = frame()
    return (data["a"] * 2 + np.sin(data["b"])).rename("y")


def xgboost_booster() -> Any:
    xgboost = import_module("xgboost")
    return xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(frame(), classes()), 3)


def xgboost_classifier() -> Any:
    return import_module("xgboost").XGBClassifier(n_estimators=3, n_jobs=1).fit(frame(), classes())


def xgboost_regressor() -> Any:
    return import_module("xgboost").XGBRegressor(n_estimators=3, n_jobs=1).fit(frame(), values())


def lightgbm_booster() -> Any:
    lightgbm = import_module("lightgbm")
    options = {"verbosity": -1, "objective": "binary", "min_data_in_leaf": 2, "num_threads": 1}
    return lightgbm.train(options, lightgbm.Dataset(frame(), classes()), 3)


def lightgbm_classifier() -> Any:
    made = import_module("lightgbm").LGBMClassifier(n_estimators=3, verbosity=-1, min_child_samples=2, n_jobs=1)
    return made.fit(frame(), np.where(classes(), "yes", "no"))


def lightgbm_ranker() -> Any:
    made = import_module("lightgbm").LGBMRanker(n_estimators=3, verbosity=-1, min_child_samples=2, n_jobs=1)
    return made.fit(frame(), classes(), group=[ROWS // 2, ROWS // 2])


def catboost_classifier() -> Any:
    made = import_module("catboost").CatBoostClassifier(
        iterations=3, thread_count=1, verbose=0, allow_writing_files=False
    )
    return made.fit(frame(), np.where(classes(), "yes", "no"))


def catboost_plain() -> Any:
    catboost = import_module("catboost")
    options = {"iterations": 3, "thread_count": 1, "loss_function": "RMSE", "allow_writing_files": False, "verbose": 0}
    return catboost.CatBoost(options).fit(frame(), values())


def statsmodels_linear() -> Any:
    api = import_module("statsmodels.api")
    return api.OLS(values(), frame()).fit()


def statsmodels_formula() -> Any:
    formula = import_module("statsmodels.formula.api")
    return formula.ols("y ~ a + np.log1p(b)", frame().assign(y=values())).fit()


def statsmodels_series() -> Any:
    arima = import_module("statsmodels.tsa.arima.model").ARIMA
    series = pd.Series(np.sin(np.arange(40.0)), index=pd.date_range("2024-01-01", periods=40, freq="D"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return arima(series, order=(1, 0, 0)).fit()


def onnx_graph(columns: int = 1) -> Any:
    """Return a graph that multiplies a row of two numbers with a matrix of so many columns."""
    onnx = import_module("onnx")
    kind, helper = onnx.TensorProto.FLOAT, onnx.helper
    weights = onnx.numpy_helper.from_array(np.arange(2 * columns, dtype=np.float32).reshape(2, columns) + 1, "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", kind, [None, 2])],
        [helper.make_tensor_value_info("y", kind, [None, columns])],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


ANIMALS: dict[str, Callable[[], Any]] = {
    "xgboost.booster": xgboost_booster,
    "xgboost.classifier": xgboost_classifier,
    "xgboost.regressor": xgboost_regressor,
    "lightgbm.booster": lightgbm_booster,
    "lightgbm.classifier": lightgbm_classifier,
    "lightgbm.ranker": lightgbm_ranker,
    "catboost.classifier": catboost_classifier,
    "catboost.plain": catboost_plain,
    "statsmodels.linear": statsmodels_linear,
    "statsmodels.formula": statsmodels_formula,
    "statsmodels.series": statsmodels_series,
    "onnx.graph": onnx_graph,
}
"""How each is made, by the flavor and a name."""


def asked(name: str) -> pd.DataFrame:
    """Return data that a model predicts from."""
    if name == "statsmodels.series":
        return pd.DataFrame({"start": [pd.Timestamp("2024-02-01")], "end": [pd.Timestamp("2024-02-14")]})
    return frame()


def answered(predictions: Any) -> list[Any]:
    """Return predictions as lists, whatever they are in."""
    return list(np.asarray(predictions).ravel().tolist())
