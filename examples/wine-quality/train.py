"""Fit a logistic regression; judge it by cross-validation on the training part alone."""

import argparse
import json
from pathlib import Path

import wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--regularization", type=float, required=True)
options = parser.parse_args()

rows, cultivars = wine.read(options.data)
model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / options.regularization, max_iter=1000))
scores = cross_validate(model, rows, cultivars, cv=5, scoring=("accuracy", "neg_log_loss"))
metrics = {
    "validation_accuracy": float(scores["test_accuracy"].mean()),
    "validation_log_loss": float(-scores["test_neg_log_loss"].mean()),
}
Path("metrics.json").write_text(json.dumps(metrics))

scaler, regression = (step for _, step in model.fit(rows, cultivars).steps)
weights = {
    "mean": scaler.mean_.tolist(),
    "scale": scaler.scale_.tolist(),
    "coefficients": regression.coef_.tolist(),
    "intercepts": regression.intercept_.tolist(),
}
Path("model.json").write_text(json.dumps(weights))
print("  ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
