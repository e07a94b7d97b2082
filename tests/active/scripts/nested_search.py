"""A search for hyperparameters: a parent with children, one of which fails, in two ways to nest."""

import json
import random

import mlflow

mlflow.set_experiment("search")
rng = random.Random(7)

with mlflow.start_run(run_name="parent") as parent:
    mlflow.log_param("trials", 4)
    for trial in range(4):
        try:
            with mlflow.start_run(run_name=f"trial {trial}", nested=True) as child:
                rate = rng.uniform(0.01, 0.1)
                mlflow.log_param("rate", rate)
                if trial == 2:
                    raise RuntimeError("diverged")
                for step in range(5):
                    mlflow.log_metric("loss", (1 - rate) ** step, step=step)
        except RuntimeError:
            pass
    mlflow.start_run(run_name="by hand", nested=True)
    mlflow.log_metric("loss", 9.0)
    mlflow.end_run("KILLED")
    assert mlflow.active_run().info.run_id == parent.info.run_id
    mlflow.log_metric("best", 0.5)

children = mlflow.search_runs(
    filter_string=f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'",
    order_by=["attributes.run_name DESC"],
    output_format="list",
)
client = mlflow.MlflowClient()
mlflow.delete_run(children[0].info.run_id)
left = len(mlflow.search_runs(output_format="list"))
mlflow.restore_run(children[0].info.run_id)
with mlflow.start_run(run_id=parent.info.run_id):
    mlflow.log_metric("best", 0.25, step=1)
print(
    json.dumps(
        {
            "children": [(run.data.tags["mlflow.runName"], run.info.status) for run in children],
            "losses": [run.data.metrics.get("loss") for run in children],
            "history": [(each.step, each.value) for each in client.get_metric_history(children[1].info.run_id, "loss")],
            "left": left,
            "back": len(mlflow.search_runs(output_format="list")),
            "parent": mlflow.get_parent_run(children[3].info.run_id).info.run_name,
            "orphan": mlflow.get_parent_run(parent.info.run_id),
            "parent_metrics": mlflow.get_run(parent.info.run_id).data.metrics,
            "last": mlflow.last_active_run().info.run_name,
            "ended": client.get_run(parent.info.run_id).info.status,
        }
    )
)
