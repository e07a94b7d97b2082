"""Log a model with MLflow's client, load one that was logged otherwise, and print both. Arguments: a version's URI."""

import json
import sys

import mlflow
import pandas as pd
from sklearn.linear_model import LogisticRegression

FRAME = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})

with mlflow.start_run() as run:
    info = mlflow.sklearn.log_model(
        LogisticRegression().fit(FRAME, [0, 1, 0, 1]),
        name="theirs",
        serialization_format="pickle",
        pip_requirements=["numpy"],
        registered_model_name="theirs",
    )
ours = mlflow.pyfunc.load_model(sys.argv[1])
said = {
    "uri": info.model_uri,
    "run": f"runs:/{run.info.run_id}/theirs",
    "predictions": ours.predict(FRAME).tolist(),
    "native": type(mlflow.sklearn.load_model(sys.argv[1])).__name__,
}
print(json.dumps(said))
