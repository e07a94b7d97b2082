"""Try pairs of learning rate and momentum, several at a time, each in a nested run, and name the best."""

import argparse
from concurrent.futures import ThreadPoolExecutor

import mlflow
import mlflow.projects
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("training_data")
parser.add_argument("--max-runs", type=int, default=8)
parser.add_argument("--max-p", type=int, default=1)
parser.add_argument("--epochs", type=int, default=32)
parser.add_argument("--metric", default="rmse")
parser.add_argument("--seed", type=int, default=97531)
options = parser.parse_args()
client = mlflow.MlflowClient()


def evaluate(experiment: str, epochs: int, learning_rate: float, momentum: float) -> None:
    """Train in a run of its own; a worker's thread has no active run, and yet this one is a part of the search's."""
    with mlflow.start_run(nested=True) as child:
        submitted = mlflow.projects.run(
            uri=".",
            entry_point="train",
            run_id=child.info.run_id,
            parameters={
                "training_data": options.training_data,
                "epochs": str(epochs),
                "learning_rate": str(learning_rate),
                "momentum": str(momentum),
                "seed": str(options.seed),
            },
            experiment_id=experiment,
            synchronous=False,
        )
        if not submitted.wait():
            raise SystemExit(f"run {submitted.run_id} failed")
        mlflow.log_params({"lr": learning_rate, "momentum": momentum})


with mlflow.start_run() as search:
    experiment = search.info.experiment_id
    evaluate(experiment, 0, 0.0, 0.0)
    random = np.random.default_rng(options.seed)
    pairs = [(float(random.uniform(1e-5, 1e-1)), float(random.uniform(0, 0.9))) for _ in range(options.max_runs)]
    with ThreadPoolExecutor(max_workers=options.max_p) as pool:
        list(pool.map(lambda pair: evaluate(experiment, options.epochs, *pair), pairs))
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{search.info.run_id}' ")
    best = min(children, key=lambda run: run.data.metrics[f"val_{options.metric}"])
    mlflow.set_tag("best_run", best.info.run_id)
    mlflow.log_metrics({name: value for name, value in best.data.metrics.items() if name.endswith(options.metric)})
    print(f"best of {len(children)}: val_{options.metric} {best.data.metrics[f'val_{options.metric}']:.3f}")
