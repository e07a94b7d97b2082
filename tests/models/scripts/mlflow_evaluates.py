"""Save models and data with MLflow, evaluate them, and print what MLflow says of each, in the folder that is given."""

import io
import json
import os
import sys
from pathlib import Path

folder = Path(sys.argv[1])
os.environ["MLFLOW_TRACKING_URI"] = (folder / "runs").as_uri()  # its database takes longer to make than all the rest
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"

import mlflow  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib import pyplot  # noqa: E402
from PIL import Image  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402

one_pixel = io.BytesIO()
Image.new("RGB", (1, 1)).save(one_pixel, "png")
pyplot.savefig = lambda path, **_: Path(path).write_bytes(one_pixel.getvalue())  # drawing takes the most of the time

cancer, malignant = load_breast_cancer(return_X_y=True, as_frame=True)
iris, species = load_iris(return_X_y=True, as_frame=True)
diabetes, progress = load_diabetes(return_X_y=True, as_frame=True)
flowers = species.map({0: "setosa", 1: "versicolor", 2: "virginica"})
CASES = {
    "binary": (LogisticRegression(max_iter=5000), cancer.iloc[:, :4], malignant, "classifier", {}),
    "binary-other": (LogisticRegression(max_iter=5000), cancer.iloc[:, :4], malignant, "classifier", {"pos_label": 0}),
    "weighted": (LogisticRegression(max_iter=5000), cancer.iloc[:, :4], malignant, "classifier", {"sample_weights": 1}),
    "classes": (LogisticRegression(max_iter=500), iris, flowers, "classifier", {}),
    "classes-macro": (LogisticRegression(max_iter=500), iris, flowers, "classifier", {"average": "macro"}),
    "numbers": (LinearRegression(), diabetes, progress, "regressor", {}),
    "numbers-weighted": (LinearRegression(), diabetes, progress, "regressor", {"sample_weights": 1}),
}
told = {}
for name, (model, rows, answers, kind, config) in CASES.items():
    weights = np.arange(len(rows)) % 5 + 0.5
    model.fit(rows[::3], answers[::3])
    mlflow.sklearn.save_model(model, folder / name, serialization_format="cloudpickle", pip_requirements=[])
    rows.assign(answer=answers, weight=weights).to_csv(folder / f"{name}.csv", index=False)
    given = {"log_model_explainability": False, **config}
    if "sample_weights" in config:
        given["sample_weights"] = weights
    with mlflow.start_run():
        data = rows.assign(answer=answers)
        found = mlflow.models.evaluate(
            str(folder / name), data, targets="answer", model_type=kind, evaluator_config=given
        )
    told[name] = {
        "metrics": {key: float(value) for key, value in found.metrics.items()},
        "artifacts": [*found.artifacts],
    }
print(json.dumps(told))
