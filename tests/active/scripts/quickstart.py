"""scikit-learn by hand: parameters, metrics, the search for the best run."""

import json

import mlflow
import pandas as pd
from mlflow.entities import ViewType
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.model_selection import train_test_split

mlflow.set_experiment("diabetes")
X, y = load_diabetes(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=42)
training = mlflow.data.from_pandas(
    pd.concat([X_train, y_train], axis=1), source="diabetes.csv", name="diabetes", targets="target"
)

for alpha in (0.01, 0.1, 1.0):
    with mlflow.start_run(run_name=f"ridge {alpha}", tags={"model": "ridge"}, description="by hand") as run:
        mlflow.log_input(training, context="training")
        mlflow.log_params({"alpha": alpha, "solver": "auto"})
        model = Ridge(alpha=alpha).fit(X_train, y_train)
        predicted = model.predict(X_test)
        mlflow.log_metrics({"mse": mean_squared_error(y_test, predicted), "r2": r2_score(y_test, predicted)})
        mlflow.set_tag("done", True)

assert mlflow.active_run() is None
best = mlflow.search_runs(
    experiment_names=["diabetes"],
    filter_string="params.solver = 'auto' and metrics.r2 > 0 and tags.model = 'ridge'",
    order_by=["metrics.mse ASC"],
    max_results=1,
).iloc[0]
frame = mlflow.search_runs(run_view_type=ViewType.ACTIVE_ONLY)
kept = mlflow.get_run(best.run_id)
(used,) = kept.inputs.dataset_inputs
print(
    json.dumps(
        {
            "best": best["params.alpha"],
            "mse": round(best["metrics.mse"], 6),
            "name": best["tags.mlflow.runName"],
            "runs": len(frame),
            "columns": sorted(
                name for name in frame.columns if not name.startswith(("tags.toolkit", "tags.mlflow.source"))
            ),
            "types": {name: str(frame[name].dtype) for name in ("run_id", "start_time", "end_time", "metrics.mse")},
            "note": kept.data.tags["mlflow.note.content"],
            "done": kept.data.tags["done"],
            "status": kept.info.status,
            "stage": kept.info.lifecycle_stage,
            "dataset": [used.dataset.name, used.dataset.digest, used.dataset.source_type, used.dataset.source],
            "schema": json.loads(used.dataset.schema),
            "profile": json.loads(used.dataset.profile),
            "context": [(tag.key, tag.value) for tag in used.tags],
            "uri": mlflow.artifacts.list_artifacts(run_id=best.run_id) == [],
        }
    )
)
