"""Trainings with XGBoost, LightGBM and statsmodels that log themselves."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
import xgboost as xgb
from logged import Logged, logged, writes
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

import toolkit
from toolkit.active.autolog import training
from toolkit.recording.run import RecordedRun

VALUES, LABELS = make_classification(200, 6, random_state=3)
X, Y = pd.DataFrame(VALUES, columns=list("abcdef")), pd.Series(LABELS, name="y")
X_TEST, Y_TEST = X[150:], Y[150:]


def only() -> Logged:
    (run,) = logged()
    return run


def train_xgboost(**more: Any) -> Any:  # noqa: ANN401 - a Booster
    train, test = xgb.DMatrix(X[:150], Y[:150]), xgb.DMatrix(X_TEST, Y_TEST)
    params = {"max_depth": 2, "objective": "binary:logistic", "eval_metric": ["logloss", "auc"], "nthread": 1}
    more = {"num_boost_round": 40, "evals": [(train, "train"), (test, "test")], "verbose_eval": False, **more}
    return xgb.train(params, train, **more)


def train_lightgbm(**more: Any) -> Any:  # noqa: ANN401 - a Booster
    train = lgb.Dataset(X[:150], Y[:150])
    sets: dict[str, Any] = {"valid_sets": [train, lgb.Dataset(X_TEST, Y_TEST)], "valid_names": ["train", "test"]}
    params = {"objective": "binary", "metric": "auc", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
    return lgb.train(params, train, 40, **sets, **more)


def test_xgboost_leaves_curves_the_early_stop_importance_data_and_a_model() -> None:
    toolkit.xgboost.autolog(importance_types=["weight", "gain"])
    mine: list[Any] = []
    booster = train_xgboost(early_stopping_rounds=3, callbacks=mine)
    assert mine == []  # the script's list is its own
    run = only()
    assert (run.params["max_depth"], run.params["num_boost_round"], run.params["early_stopping_rounds"]) == (
        *("2", "40", "3"),
    )
    assert "evals" not in run.params
    count = len(run.curve("test-auc")) - 1
    assert [step for step, _ in run.curve("train-logloss")] == list(range(count + 1))
    assert run.metrics["stopped_iteration"] == count - 1
    assert run.metrics["best_iteration"] == booster.best_iteration
    assert run.curve("test-auc")[-1][0] == count
    assert run.curve("test-auc")[-1][1] == pytest.approx(booster.best_score)
    kinds = [f"feature_importance_{kind}.{ending}" for kind in ("gain", "weight") for ending in ("json", "png")]
    assert run.files == kinds
    weights = json.loads((run.folder / "feature_importance_weight.json").read_text())
    assert weights == booster.get_score(importance_type="weight")
    assert run.inputs == [("dataset", "train"), ("test", "eval"), ("train", "eval")]
    assert run.tags["mlflow.autologging"] == "xgboost"
    loaded = toolkit.load_model(f"runs:/{run.run_id}/model")
    assert loaded.predict(X_TEST) == pytest.approx(booster.predict(xgb.DMatrix(X_TEST)))
    assert loaded.metadata.signature is not None


def test_an_estimator_of_xgboost_is_one_training_with_its_curves_and_its_own_model() -> None:
    toolkit.autolog()
    model = xgb.XGBClassifier(n_estimators=4, eval_metric="logloss", n_jobs=1)
    model.fit(X, Y, eval_set=[(X_TEST, Y_TEST)], verbose=False)
    model.score(X_TEST, Y_TEST)
    run = only()
    assert [step for step, _ in run.curve("validation_0-logloss")] == [0, 1, 2, 3]
    assert run.metrics["XGBClassifier_score_X_TEST"] == model.score(X_TEST, Y_TEST)
    assert (run.models, run.params["objective"]) == (["model"], "binary:logistic")
    assert list(toolkit.load_model(f"runs:/{run.run_id}/model").predict(X)) == list(model.predict(X))


def test_lightgbm_leaves_the_same() -> None:
    toolkit.lightgbm.autolog()
    booster = train_lightgbm(callbacks=[lgb.early_stopping(3, verbose=False)])
    run = only()
    count = len(run.curve("test-auc")) - 1
    assert run.metrics["stopped_iteration"] == count
    assert run.metrics["best_iteration"] == booster.best_iteration
    assert run.curve("test-auc")[-1] == (count, booster.best_score["test"]["auc"])
    assert run.files == [f"feature_importance_{each}" for each in ("gain.json", "gain.png", "split.json", "split.png")]
    assert json.loads((run.folder / "feature_importance_split.json").read_text()) == dict(
        zip(X.columns, booster.feature_importance("split").tolist(), strict=True)
    )
    assert run.inputs == [("dataset", "train"), ("test", "eval"), ("train", "eval")]
    loaded = toolkit.load_model(f"runs:/{run.run_id}/model")
    assert loaded.predict(X_TEST) == pytest.approx(booster.predict(X_TEST))


def test_an_estimator_of_lightgbm_is_one_training() -> None:
    toolkit.autolog()
    model = lgb.LGBMRegressor(n_estimators=4, verbose=-1, n_jobs=1).fit(X, Y, eval_X=(X_TEST,), eval_y=(Y_TEST,))
    run = only()
    assert [step for step, _ in run.curve("valid_0-l2")] == [0, 1, 2, 3]
    assert (run.models, run.params["num_boost_round"]) == (["model"], "4")
    assert toolkit.load_model(f"runs:/{run.run_id}/model").predict(X) == pytest.approx(model.predict(X))


def test_within_a_search_they_are_parts_of_it() -> None:
    toolkit.autolog(log_models=False)
    GridSearchCV(xgb.XGBClassifier(n_estimators=2, n_jobs=1), {"max_depth": [1, 2]}, cv=2).fit(X, Y)
    assert sorted(each.tags["estimator_name"] for each in logged()) == ["GridSearchCV", *["XGBClassifier"] * 2]


def test_names_that_metrics_cannot_have_are_written_as_mlflow_does() -> None:
    toolkit.autolog(log_models=False)
    rows = xgb.DMatrix(X, Y, group=[100, 100])
    params = {"objective": "rank:ndcg", "eval_metric": "ndcg@3", "nthread": 1}
    xgb.train(params, rows, 2, evals=[(rows, "rows")], verbose_eval=False)
    assert list(only().metrics) == ["rows-ndcg_at_3"]


@pytest.mark.parametrize("train", [train_xgboost, train_lightgbm], ids=["xgboost", "lightgbm"])
def test_many_iterations_are_few_writes(train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_WAIT", math.inf)  # else they are written each second, too
    toolkit.autolog(log_models=False)
    with writes(monkeypatch) as found:
        train()
    run = only()
    assert sum(len(run.curve(name)) for name in run.metrics) >= 80
    kinds = Counter(type(each).__name__ for each in found)
    files = len(run.files)
    assert kinds == {"Used": 3, "Logged": 2, "Listed": files, "Ended": 1}  # parameters once, all points once


def test_what_breaks_in_the_watching_does_not_break_the_training(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    toolkit.autolog()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no space left\non the device")

    monkeypatch.setattr(RecordedRun, "log_points", broken)
    monkeypatch.setattr(RecordedRun, "log_file", broken)
    monkeypatch.setattr(RecordedRun, "log_inputs", broken)
    assert train_xgboost().num_boosted_rounds() == 40
    assert train_lightgbm().num_trees() == 40
    told = [each.getMessage() for each in caplog.records if each.name == "toolkit.autolog"]
    assert told
    assert all("RuntimeError: no space left" in each and "\n" not in each for each in told)


def test_a_result_of_statsmodels_leaves_its_numbers_summary_and_model() -> None:
    toolkit.statsmodels.autolog(log_input_examples=True)
    rows = sm.add_constant(X[["a", "b"]])
    result = sm.OLS(Y, rows).fit(cov_type="HC1", use_t=True)
    run = only()
    assert (run.params["cov_type"], run.params["use_t"], run.params["method"]) == ("HC1", "True", "pinv")
    assert run.metrics["rsquared"] == result.rsquared
    assert {"aic", "bic", "llf", "condition_number", "f_pvalue", "mse_resid"} < set(run.metrics)
    assert run.files == ["model_summary.txt"]
    assert "OLS Regression Results" in (run.folder / "model_summary.txt").read_text()
    assert run.inputs == [("dataset", "train")]
    loaded = toolkit.load_model(f"runs:/{run.run_id}/model")
    assert np.asarray(loaded.predict(rows)).ravel() == pytest.approx(result.predict(rows))


def test_a_formula_takes_the_columns_that_it_names() -> None:
    toolkit.autolog()
    table = X.assign(y=Y)
    result = smf.logit("y ~ a + np.abs(b)", data=table).fit(disp=False)
    run = only()
    assert run.metrics["llf"] == pytest.approx(result.llf)
    metadata = toolkit.load_model(f"runs:/{run.run_id}/model").metadata
    assert metadata.signature is not None
    assert metadata.signature.inputs is not None
    assert metadata.signature.inputs.input_names() == list(X.columns)


def test_disable_puts_the_functions_back() -> None:
    def watched() -> list[object]:
        trains = [vars(module)["train"] for module in (xgb, xgb.sklearn, lgb, lgb.sklearn)]
        fits = [vars(kind)["fit"] for kind in (xgb.XGBModel, lgb.LGBMModel)]
        return [*trains, *fits, vars(xgb.DMatrix)["__init__"], sm.OLS.fit]

    before = watched()
    toolkit.autolog()
    assert not [each for each, other in zip(watched(), before, strict=True) if each is other]
    toolkit.autolog(disable=True)
    assert watched() == before


def test_arguments_by_place_are_watched_as_well() -> None:
    toolkit.autolog(log_models=False)
    train = lgb.Dataset(X, Y)
    sets: Any = ([train], ["rows"], None, None, False, [lgb.log_evaluation(0)])
    booster = lgb.train({"objective": "binary", "verbose": -1, "num_threads": 1}, train, 3, *sets)
    assert booster.num_trees() == 3
    assert [step for step, _ in only().curve("rows-binary_logloss")] == [0, 1, 2]


def test_a_wrong_call_fails_as_without_autolog() -> None:
    toolkit.autolog(log_models=False)
    with pytest.raises(TypeError, match="dtrain"):
        xgb.train({})
    with pytest.raises(TypeError, match="nonsense"):
        lgb.train({}, lgb.Dataset(X, Y), nonsense=1)  # type: ignore[call-arg]  # what is tested
    assert {each.status for each in logged()} == {"FAILED"}
