"""Runs in threads at once, and logging that is not waited for."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import mlflow

mlflow.set_experiment("threads")
ready = threading.Barrier(4)


def train(number):
    """Train in a run of its own."""
    with mlflow.start_run(run_name=f"worker {number}") as run:
        ready.wait()
        mlflow.log_param("number", number)
        for step in range(20):
            mlflow.log_metric("loss", number + step / 100, step=step)
        return run.info.run_id


with ThreadPoolExecutor(4) as pool:
    ids = list(pool.map(train, range(4)))

with mlflow.start_run() as late:
    waiting = [mlflow.log_metric("m", step, step=step, synchronous=False) for step in range(50)]
    waiting.append(mlflow.log_params({"a": 1}, synchronous=False))
    waiting.append(mlflow.set_tags({"t": "x"}, synchronous=False))
    for each in waiting:
        each.wait()
    mlflow.flush_async_logging()
    seen = mlflow.get_run(late.info.run_id).data
print(
    json.dumps(
        {
            "numbers": [mlflow.get_run(run_id).data.params["number"] for run_id in ids],
            "losses": [mlflow.get_run(run_id).data.metrics["loss"] for run_id in ids],
            "points": [len(mlflow.MlflowClient().get_metric_history(run_id, "loss")) for run_id in ids],
            "late": [seen.metrics["m"], seen.params["a"], seen.tags["t"]],
        }
    )
)
