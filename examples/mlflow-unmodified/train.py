"""Fit an elastic net, and log it as any script does that was written for MLflow."""

import argparse

import mlflow
from diabetes import fit

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, required=True)
parser.add_argument("--l1-ratio", type=float, required=True)
options = parser.parse_args()

with mlflow.start_run() as run:
    model, scores = fit(options.alpha, options.l1_ratio)
    mlflow.log_params({"model": "ElasticNet", "iterations": int(model.n_iter_)})
    mlflow.log_metrics(scores)
    mlflow.set_tag("data", "diabetes")
    mlflow.log_dict({"intercept": float(model.intercept_), "weights": model.coef_.tolist()}, "model/weights.json")
    print(f"run {run.info.run_id}: rmse {scores['rmse']:.2f}, r2 {scores['r2']:.3f}")
