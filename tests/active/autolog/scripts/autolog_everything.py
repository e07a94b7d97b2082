"""Trainings that log themselves, with ours or with MLflow: it prints what is in the runs.

python autolog_everything.py toolkit|mlflow TRACKING_URI
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings

import lightgbm as lgb
import numpy as np
import pandas as pd
import statsmodels.api as sm
import xgboost as xgb
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

warnings.simplefilter("ignore")

tracker = importlib.import_module(sys.argv[1])
tracker.set_tracking_uri(sys.argv[2])
tracker.autolog(log_models=False, silent=True)

values, labels = make_classification(120, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=5)
X = pd.DataFrame(values, columns=list("abcde"))
two = (labels > 0).astype(int)
numbers, target = make_regression(90, 4, noise=3, random_state=6)


def classifier():
    model = LogisticRegression(C=0.7).fit(X, two, sample_weight=np.linspace(1, 2, 120))
    x_test, y_test = X[:40], two[:40]
    said = model.predict(x_test)
    f1_score(y_test, said)
    model.score(x_test, y_test)


def classifier_of_three():
    Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())]).fit(values, labels)


def classifier_without_probabilities():
    SVC().fit(values, two)


def regressor():
    RandomForestRegressor(4, random_state=0).fit(numbers, target)


def search():
    GridSearchCV(Ridge(), {"alpha": [0.01, 0.1, 1, 10, 100, 1000, 10000]}, cv=3).fit(numbers, target)


def xgboost_train():
    rows, test = xgb.DMatrix(values[:90], two[:90]), xgb.DMatrix(values[90:], two[90:])
    params = {"max_depth": 2, "objective": "binary:logistic", "eval_metric": ["logloss", "auc"], "nthread": 1}
    evals = [(rows, "train"), (test, "test")]
    xgb.train(params, rows, 30, evals=evals, early_stopping_rounds=2, verbose_eval=False)


def xgboost_estimator():
    xgb.XGBRegressor(n_estimators=3, n_jobs=1).fit(numbers, target, eval_set=[(numbers, target)], verbose=False)


def lightgbm_train():
    rows = lgb.Dataset(values[:90], two[:90])
    test = lgb.Dataset(values[90:], two[90:])
    params = {"objective": "binary", "metric": "auc", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
    stop = [lgb.early_stopping(2, verbose=False)]
    lgb.train(params, rows, 30, valid_sets=[rows, test], valid_names=["train", "test"], callbacks=stop)


def lightgbm_estimator():
    lgb.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1, random_state=0).fit(X, labels)


def statsmodels_fit():
    sm.OLS(target, sm.add_constant(numbers)).fit(cov_type="HC0")


def read(run, client):
    history = {
        name: [[each.step, each.value] for each in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }
    return {
        "status": run.info.status,
        "params": run.data.params,
        "metrics": history,
        "tags": {name: value for name, value in run.data.tags.items() if not name.startswith(("mlflow.", "toolkit."))},
        "autologging": run.data.tags.get("mlflow.autologging"),
        "files": sorted(each.path for each in client.list_artifacts(run.info.run_id)),
        "inputs": sorted(
            [tag.value for tag in each.tags if tag.key == "mlflow.data.context"] for each in run.inputs.dataset_inputs
        ),
    }


def main():
    client = tracker.MlflowClient()
    found = {}
    known = set()
    for train in (
        *(classifier, classifier_of_three, classifier_without_probabilities, regressor, search, xgboost_train),
        *(xgboost_estimator, lightgbm_train, lightgbm_estimator, statsmodels_fit),
    ):
        train()
        getattr(tracker, "flush", lambda: None)()
        runs = [each for each in client.search_runs(["0"]) if each.info.run_id not in known]
        known |= {each.info.run_id for each in runs}
        whole = [client.get_run(each.info.run_id) for each in runs]
        parents = [each for each in whole if "mlflow.parentRunId" not in each.data.tags]
        children = [read(each, client) for each in whole if "mlflow.parentRunId" in each.data.tags]
        (parent,) = parents
        rank = "rank_test_score"
        found[train.__name__] = {
            **read(parent, client),
            "children": sorted(children, key=lambda each: each["metrics"][rank]),
        }
    print(json.dumps(found))


main()
