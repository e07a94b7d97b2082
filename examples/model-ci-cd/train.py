"""Fit a logistic regression, judge it by cross-validation, and save it with its signature."""

import argparse
import json
from pathlib import Path

from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import toolkit
from toolkit.models import infer_signature

parser = argparse.ArgumentParser()
parser.add_argument("--regularization", type=float, required=True)
options = parser.parse_args()

wines = load_wine(as_frame=True)
model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / options.regularization, max_iter=1000))
accuracy = float(cross_val_score(model, wines.data, wines.target, cv=5).mean())
Path("metrics.json").write_text(json.dumps({"accuracy": accuracy}))

model.fit(wines.data, wines.target)
signature = infer_signature(wines.data, model.predict(wines.data))
toolkit.save_model(model, "model", signature=signature, input_example=wines.data.head(3))
print(f"accuracy {accuracy:.4f}")
