"""Trainings with scikit-learn that log themselves: what is in the run, and that the training is as without it."""

from __future__ import annotations

import csv
import json
import math
import pickle
import re
import threading
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from logged import Logged, logged, writes
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, mean_absolute_error
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, StandardScaler

import toolkit
from toolkit.active.autolog import training
from toolkit.active.autolog.sklearn import INTEGRATION, SklearnIntegration
from toolkit.errors import InvalidValue

X, Y = make_classification(120, 5, random_state=1)
TABLE = pd.DataFrame(X, columns=list("abcde"))
PICTURES = [f"training_{each}.png" for each in ("confusion_matrix", "precision_recall_curve", "roc_curve")]


def only() -> Logged:
    (run,) = logged()
    return run


def test_a_classifier_leaves_params_metrics_pictures_data_and_a_model_that_predicts() -> None:
    toolkit.sklearn.autolog(log_input_examples=True, extra_tags={"team": "red"})
    model = LogisticRegression(C=0.5).fit(TABLE, Y)
    run = only()
    assert run.status == "FINISHED"
    assert run.params == {name: str(value) for name, value in model.get_params().items()}
    assert run.metrics["training_accuracy_score"] == accuracy_score(Y, model.predict(TABLE))
    assert run.metrics["training_score"] == model.score(TABLE, Y)
    assert run.metrics["training_log_loss"] == pytest.approx(log_loss(Y, model.predict_proba(TABLE)))
    assert {name.removeprefix("training_") for name in run.metrics} == {
        *("precision_score", "recall_score", "f1_score", "accuracy_score", "log_loss", "roc_auc", "score")
    }
    assert run.files == ["estimator.html", *PICTURES]
    assert all((run.folder / each).read_bytes().startswith(b"\x89PNG") for each in PICTURES)
    assert run.inputs == [("dataset", "train")]
    assert (run.tags["mlflow.autologging"], run.tags["team"]) == ("sklearn", "red")
    assert run.tags["estimator_name"] == "LogisticRegression"
    assert run.tags["estimator_class"] == "sklearn.linear_model._logistic.LogisticRegression"
    assert run.models == ["model"]
    loaded = toolkit.load_model(f"runs:/{run.run_id}/model")
    assert list(loaded.predict(TABLE)) == list(model.predict(TABLE))
    assert loaded.metadata.signature is not None
    assert loaded.metadata.signature.inputs is not None
    assert loaded.metadata.signature.inputs.input_names() == list("abcde")
    assert loaded.metadata.saved_input_example_info is not None
    assert toolkit.active_run() is None


def test_the_active_run_is_used_and_left_open() -> None:
    toolkit.autolog(log_models=False)
    with toolkit.start_run() as run:
        LogisticRegression().fit(X, Y)
        active = toolkit.active_run()
        assert active is not None
        assert active.info.run_id == run.info.run_id
        toolkit.log_metric("mine", 1)
    found = only()
    assert (found.metrics["mine"], "training_score" in found.metrics) == (1, True)
    assert "mlflow.autologging" not in found.tags


def test_exclusive_keeps_out_of_the_users_runs() -> None:
    toolkit.autolog(log_models=False, exclusive=True)
    with toolkit.start_run():
        LogisticRegression().fit(X, Y)
    assert only().params == {}
    LogisticRegression().fit(X, Y)
    assert [bool(each.params) for each in logged()] == [False, True]


def test_a_regressor_that_writes_into_its_data_is_measured_on_what_they_were() -> None:
    toolkit.autolog(log_models=False)
    x, y = make_regression(80, 3, noise=5, random_state=2)
    weights = np.linspace(1, 2, 80)
    model = LinearRegression(copy_X=False).fit(x.copy(), y, sample_weight=weights)
    run = only()
    said = model.predict(x)
    error = mean_absolute_error(y, said, sample_weight=weights)
    assert run.metrics["training_mean_absolute_error"] == pytest.approx(error)
    assert run.metrics["training_root_mean_squared_error"] ** 2 == pytest.approx(
        run.metrics["training_mean_squared_error"]
    )
    assert run.metrics["training_r2_score"] == run.metrics["training_score"]
    assert run.files == ["estimator.html"]


def test_a_pipeline_is_one_training() -> None:
    toolkit.autolog()
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0, n_jobs=2)).fit(X, Y)
    run = only()
    assert run.tags["estimator_name"] == "Pipeline"
    assert run.params["randomforestclassifier__n_estimators"] == "5"
    assert run.metrics["training_score"] == pipeline.score(X, Y)
    assert list(toolkit.load_model(f"runs:/{run.run_id}/model").predict(X)) == list(pipeline.predict(X))


@pytest.mark.parametrize("backend", ["threading", "loky", "one process"])
def test_a_search_has_child_runs_of_its_best_candidates(backend: str) -> None:
    toolkit.autolog(log_models=backend == "one process")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"logisticregression__C": [0.001, 0.01, 0.1, 1, 10, 100, 1000]},
        cv=2,
        n_jobs=None if backend == "one process" else 2,
    )
    with joblib.parallel_config(backend="threading" if backend == "threading" else "loky"):
        search.fit(X, Y)
    runs = logged()
    parents = [each for each in runs if each.parent is None]
    (parent,) = parents
    children = [each for each in runs if each.parent == parent.run_id]
    assert len(runs) == 6
    assert parent.params["cv"] == "2"
    assert parent.params["best_logisticregression__C"] == str(search.best_params_["logisticregression__C"])
    assert parent.metrics["best_cv_score"] == search.best_score_
    assert parent.files == ["cv_results.csv", "estimator.html", *PICTURES]
    table = list(csv.DictReader((parent.folder / "cv_results.csv").read_text().splitlines()))
    assert [float(row["mean_test_score"]) for row in table] == list(search.cv_results_["mean_test_score"])
    ranks = sorted(search.cv_results_["rank_test_score"])[:5]
    assert sorted(each.metrics["rank_test_score"] for each in children) == ranks
    for child in children:
        assert set(child.metrics) == {
            *("mean_fit_time", "mean_score_time", "mean_test_score", "rank_test_score"),
            *("std_fit_time", "std_score_time", "std_test_score"),
        }
        assert child.params["standardscaler__with_mean"] == "True"
        assert child.tags["estimator_name"] == "Pipeline"
        assert (child.status, child.files, child.inputs) == ("FINISHED", [], [("dataset", "train")])
    assert parent.models == (["best_estimator", "model"] if backend == "one process" else [])


def test_a_search_of_more_candidates_writes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_WAIT", math.inf)  # else metrics are written each second, too
    toolkit.autolog(log_models=False)
    counts = []
    for most in (5, 25):
        with writes(monkeypatch) as found:
            GridSearchCV(LogisticRegression(), {"C": [1.5**each for each in range(most)]}, cv=2).fit(X, Y)
        counts.append(len(found))
    assert counts[0] == counts[1]
    assert len(logged()) == 12


def test_a_registered_model_gets_a_version_of_each_training() -> None:
    toolkit.sklearn.autolog(registered_model_name="wine")
    models = [LogisticRegression(C=each).fit(X, Y) for each in (0.001, 10)]
    for number, model in enumerate(models, 1):
        assert list(toolkit.load_model(f"models:/wine/{number}").predict(X)) == list(model.predict(X))


def test_how_many_candidates_become_runs_is_said() -> None:
    toolkit.sklearn.autolog(log_models=False, max_tuning_runs=1)
    RandomizedSearchCV(LogisticRegression(), {"C": [0.1, 1, 10]}, n_iter=3, cv=2, random_state=0).fit(X, Y)
    assert len(logged()) == 2
    with pytest.raises(InvalidValue, match="max_tuning_runs is -1: wanted 0 or more"):
        toolkit.sklearn.autolog(max_tuning_runs=-1)


def test_what_is_no_training_makes_no_run() -> None:
    toolkit.autolog()
    StandardScaler().fit_transform(X)
    KBinsDiscretizer(3, strategy="kmeans", encode="ordinal").fit(X)  # by KMeans
    SelectFromModel(LogisticRegression()).fit(X, Y)
    cross_val_score(LogisticRegression(), X, Y, cv=2)
    assert logged() == []


def test_a_model_without_targets_has_no_metrics_but_all_the_rest() -> None:
    toolkit.autolog()
    KMeans(2, n_init=1, random_state=0).fit_predict(X)
    run = only()
    assert (run.metrics, run.params["n_clusters"], run.models) == ({}, "2", ["model"])


def test_what_a_script_measures_later_is_of_the_same_run() -> None:
    toolkit.autolog(log_models=False)
    model = LogisticRegression().fit(X[:80], Y[:80])
    x_test, y_test = X[80:], Y[80:]
    said = model.predict(x_test)
    value = measured(y_test, said)
    measured(y_test, said)
    model.score(x_test, y_test)
    model.score(TABLE.to_numpy(), Y)
    f1_score(y_test, y_test)  # of no model
    run = only()
    assert run.metrics["f1_score_x_test"] == run.metrics["f1_score-2_x_test"] == value
    assert run.metrics["LogisticRegression_score_x_test"] == accuracy_score(y_test, said)
    assert {name for name in run.metrics if not name.startswith("training_")} == {
        *("LogisticRegression_score-2_unknown_dataset", "LogisticRegression_score_x_test"),
        *("f1_score-2_x_test", "f1_score_x_test"),
    }
    calls = json.loads((run.folder / "metric_info.json").read_text())
    assert calls["f1_score_x_test"] == "f1_score(y_test, said)"
    assert sorted(run.inputs) == [("dataset", "eval"), ("dataset", "train")]


def measured(truth: object, said: object) -> float:
    import sklearn.metrics

    return float(sklearn.metrics.f1_score(truth, said))


def test_what_cannot_be_saved_safely_is_saved_as_it_can() -> None:
    toolkit.autolog()
    odd = make_pipeline(FunctionTransformer(lambda rows: rows * 2), LogisticRegression()).fit(X, Y)
    run = only()
    assert run.models == ["model"]
    loaded = toolkit.load_model(f"runs:/{run.run_id}/model")  # this store has recorded its digest
    assert list(loaded.predict(X)) == list(odd.predict(X))


def test_metrics_of_very_many_rows_are_of_a_part_of_them() -> None:
    toolkit.sklearn.autolog(log_models=False, max_metric_rows=50)
    LogisticRegression().fit(TABLE, list(Y))
    assert only().tags["toolkit.autolog.metricRows"] == "50"


def test_several_classes_have_a_confusion_matrix_and_no_curves() -> None:
    toolkit.autolog(log_models=False)
    names = np.array(["red", "green", "blue"])[np.arange(120) % 3]
    LogisticRegression().fit(X, names)
    run = only()
    assert run.files == ["estimator.html", PICTURES[0]]
    assert "training_roc_auc" in run.metrics


@pytest.mark.parametrize("silent", [False, True])
def test_a_store_that_cannot_be_had_is_one_line_and_no_harm(
    silent: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TOOLKIT_TRACKING_URI", f"sqlite:///{tmp_path}/file/toolkit.db")
    toolkit.autolog(silent=silent)
    model = LogisticRegression().fit(X, Y)
    assert model.score(X, Y) > 0.5
    told = [each for each in caplog.records if each.name == "toolkit.autolog"]
    assert len(told) == (0 if silent else 1)
    assert all("\n" not in each.getMessage() for each in told)


def test_what_does_not_fit_the_run_is_told_and_keeps_nothing_else_out(caplog: pytest.LogCaptureFixture) -> None:
    toolkit.autolog(log_models=False)
    with toolkit.start_run():
        toolkit.log_param("C", 7)
        LogisticRegression(tol=0.5).fit(X, Y)
    run = only()
    assert (run.params["C"], run.params["tol"]) == ("7", "0.5")
    (told,) = [each.getMessage() for each in caplog.records if each.name == "toolkit.autolog"]
    assert re.match(r"autolog of sklearn: 1 of \d+ parameters are not logged \(C\): Conflict: ", told)


def test_the_trainings_own_error_is_raised_and_fails_the_run() -> None:
    toolkit.autolog()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LogisticRegression().fit(X, Y[:10])
    assert only().status == "FAILED"
    with pytest.raises(NotFittedError):
        LogisticRegression().predict(X)


def test_threads_train_beside_each_other_each_in_a_run_of_its_own() -> None:
    toolkit.autolog(log_models=False)
    with toolkit.start_run() as around:
        threads = [threading.Thread(target=LogisticRegression(C=each).fit, args=(X, Y)) for each in (1, 2, 3, 4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    runs = logged()
    children = [each for each in runs if each.parent == around.info.run_id]
    assert sorted(each.params["C"] for each in children) == ["1", "2", "3", "4"]
    assert len({each.metrics["training_log_loss"] for each in children}) == 4
    assert len(runs) == 5


def test_disable_puts_everything_back() -> None:
    import sklearn.metrics

    before = (vars(LogisticRegression)["fit"], vars(joblib.parallel.Parallel)["__call__"], sklearn.metrics.f1_score)
    toolkit.autolog()
    assert vars(LogisticRegression)["fit"] is not before[0]
    toolkit.autolog(disable=True)
    after = (vars(LogisticRegression)["fit"], vars(joblib.parallel.Parallel)["__call__"], sklearn.metrics.f1_score)
    assert after == before
    LogisticRegression().fit(X, Y)
    assert logged() == []


def test_what_is_replaced_can_be_pickled() -> None:
    import sklearn.metrics

    toolkit.autolog(log_models=False)
    model = LogisticRegression().fit(X, Y)
    again, metric = pickle.loads(pickle.dumps((model, sklearn.metrics.f1_score)))
    assert list(again.predict(X)) == list(model.predict(X))
    assert metric is sklearn.metrics.f1_score
    assert "toolkit" not in json.dumps(sorted(vars(model)))


def test_a_flavors_own_word_counts_for_more() -> None:
    toolkit.sklearn.autolog(log_models=False, extra_tags={"from": "flavor"})
    toolkit.autolog(extra_tags={"from": "all"})
    LogisticRegression().fit(X, Y)
    assert (only().tags["from"], only().models) == ("flavor", [])


def test_an_older_release_can_be_left_alone(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(SklearnIntegration, "oldest", "99")
    monkeypatch.setattr(INTEGRATION, "_too_old", None)
    toolkit.autolog(disable_for_unsupported_versions=True)
    LogisticRegression().fit(X, Y)
    assert logged() == []
    (told,) = [each.getMessage() for each in caplog.records if each.name == "toolkit.autolog"]
    assert told == f"scikit-learn {sklearn.__version__} is not watched: the oldest that is watched is 99"
    monkeypatch.setattr(INTEGRATION, "_too_old", None)
    toolkit.autolog(log_models=False)
    LogisticRegression().fit(X, Y)
    assert len(logged()) == 1


def test_flavors_can_be_left_out() -> None:
    toolkit.autolog(exclude_flavors=["sklearn"])
    LogisticRegression().fit(X, Y)
    assert logged() == []
    with pytest.raises(InvalidValue, match="exclude_flavors names 'sk': there are sklearn, xgboost"):
        toolkit.autolog(exclude_flavors=["sk"])
