"""Score a model on the test part."""

import argparse
import json
from pathlib import Path

import numpy as np
import wine
from sklearn.metrics import accuracy_score, classification_report, log_loss

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("data")
options = parser.parse_args()

model = {name: np.array(value) for name, value in json.loads(Path(options.model).read_text()).items()}
rows, cultivars = wine.read(options.data)
scores = (np.array(rows) - model["mean"]) / model["scale"] @ model["coefficients"].T + model["intercepts"]
chances = np.exp(scores - scores.max(axis=1, keepdims=True))
chances /= chances.sum(axis=1, keepdims=True)
guesses = chances.argmax(axis=1)

metrics = {"accuracy": accuracy_score(cultivars, guesses), "log_loss": log_loss(cultivars, chances)}
Path("metrics.json").write_text(json.dumps(metrics))
Path("report.txt").write_text(classification_report(cultivars, guesses))
print(f"accuracy {metrics['accuracy']:.4f} on {len(cultivars)} wines that the model has not seen")
