"""Estimators that are given arrays instead of tables: the same answers, and only where that is sure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import toolkit.sklearn
from toolkit.deployments.serving.arrays import array_function
from toolkit.models.infer import infer_signature
from toolkit.models.loading import LoadedModel, load_model
from toolkit.models.trust import Trust

TABLE = pd.DataFrame(np.random.default_rng(0).random((60, 3)), columns=["c", "a b", "b"])
TARGET = (TABLE.sum(axis=1) > 1.5).astype(int)

WITH_ARRAYS = (
    LinearRegression(),
    LogisticRegression(),
    DecisionTreeClassifier(random_state=0),
    RandomForestRegressor(5, random_state=0),
    GradientBoostingClassifier(n_estimators=3, random_state=0),
    KNeighborsClassifier(),
    SVC(),
    make_pipeline(StandardScaler(), LogisticRegression()),
)
WITH_TABLES = (
    HistGradientBoostingRegressor(max_iter=3),
    make_pipeline(ColumnTransformer([("scale", StandardScaler(), ["b"])], remainder="passthrough"), LinearRegression()),
    make_pipeline(StandardScaler().set_output(transform="pandas"), LinearRegression()),
)


def saved(estimator: Any, folder: Path, table: pd.DataFrame = TABLE, **more: Any) -> LoadedModel:  # noqa: ANN401
    fitted = estimator.fit(TABLE, TARGET)
    signature = infer_signature(table, fitted.predict(TABLE))
    toolkit.sklearn.save_model(fitted, str(folder / "model"), signature=signature, **more)
    return load_model(folder / "model", trust=Trust.all())


def name_of(estimator: object) -> str:
    return "-".join(type(step).__name__ for step in getattr(estimator, "named_steps", {"": estimator}).values())


@pytest.mark.parametrize("estimator", WITH_ARRAYS, ids=name_of)
def test_the_answer_is_the_same_and_the_model_keeps_its_names(estimator: object, tmp_path: Path) -> None:
    model = saved(estimator, tmp_path)
    function = array_function(model)
    assert function is not None
    told = model.predict(TABLE)
    asked = function(TABLE.to_numpy())
    assert asked.dtype == told.dtype
    assert np.array_equal(asked, told)
    assert list(model.native.feature_names_in_) == list(TABLE.columns)
    with pytest.raises(ValueError, match="features"):
        function(TABLE.to_numpy()[:, :2])


@pytest.mark.parametrize("estimator", WITH_TABLES, ids=name_of)
def test_who_may_look_at_columns_gets_a_table(estimator: object, tmp_path: Path) -> None:
    assert array_function(saved(estimator, tmp_path)) is None


def test_probabilities(tmp_path: Path) -> None:
    function = array_function(saved(LogisticRegression(), tmp_path, pyfunc_predict_fn="predict_proba"))
    assert function is not None
    assert function(TABLE.to_numpy()).shape == (60, 2)


@pytest.mark.parametrize(
    "table",
    [TABLE[["a b", "b", "c"]], TABLE.astype({"b": "float32"}), TABLE.to_numpy()],
    ids=["order", "types", "no-names"],
)
def test_columns_that_are_others_than_those_of_the_training(table: pd.DataFrame, tmp_path: Path) -> None:
    assert array_function(saved(LinearRegression(), tmp_path, table)) is None
