"""Try several strengths of regularization, each in a nested run, and keep the best on the parent."""

import argparse

import mlflow
from diabetes import fit

parser = argparse.ArgumentParser()
parser.add_argument("--alphas", required=True)
options = parser.parse_args()

with mlflow.start_run():
    best: dict[str, float] = {}
    for text in options.alphas.split(","):
        with mlflow.start_run(run_name=f"alpha={text}", nested=True):
            model, scores = fit(float(text), 0.5)
            mlflow.log_param("alpha", text)
            for step, weight in enumerate(model.coef_):
                mlflow.log_metric("weight", float(weight), step=step)
            mlflow.log_metrics(scores)
        if not best or scores["rmse"] < best["rmse"]:
            best = scores | {"alpha": float(text)}
    mlflow.log_metrics({f"best_{name}": value for name, value in best.items()})
    print(f"best alpha {best['alpha']}: rmse {best['rmse']:.2f}")
