"""Run the other entry points one after the other, each only if no earlier run of it can be taken over."""

import argparse

import mlflow
from mlflow.entities import Run
from mlflow.utils import mlflow_tags

parser = argparse.ArgumentParser()
parser.add_argument("--als-max-iter", type=int, required=True)
parser.add_argument("--keras-hidden-units", type=int, required=True)
parser.add_argument("--max-row-limit", type=int, required=True)
options = parser.parse_args()
client = mlflow.MlflowClient()


def earlier(step: str, parameters: dict[str, str], experiment: str, commit: str | None) -> Run | None:
    """Return a finished run of an entry point with the same parameters and the same commit."""
    for run in client.search_runs([experiment]):
        tags = run.data.tags
        if tags.get(mlflow_tags.MLFLOW_PROJECT_ENTRY_POINT) != step or run.info.status != "FINISHED":
            continue
        if tags.get(mlflow_tags.MLFLOW_GIT_COMMIT) != commit:
            continue
        if all(run.data.params.get(name) == value for name, value in parameters.items()):
            return run
    return None


with mlflow.start_run() as whole:
    commit = whole.data.tags.get(mlflow_tags.MLFLOW_GIT_COMMIT)

    def run_step(step: str, parameters: dict[str, str], cached: bool = True) -> str:
        """Return the place of a step's artifacts."""
        found = earlier(step, parameters, whole.info.experiment_id, commit) if cached else None
        if found is None:
            print(f"running {step}")
            submitted = mlflow.run(".", step, parameters=parameters, env_manager="local")
            found = client.get_run(submitted.run_id)
        else:
            print(f"taking over {step} from run {found.info.run_id}")
        return found.info.artifact_uri

    raw = run_step("load_raw_data", {})
    limit = {"ratings_csv": f"{raw}/ratings-csv-dir", "max_row_limit": str(options.max_row_limit)}
    ratings = run_step("etl_data", limit) + "/ratings-parquet-dir"
    model = run_step("als", {"ratings_data": ratings, "max_iter": str(options.als_max_iter)}) + "/als-model"
    units = str(options.keras_hidden_units)
    run_step("train_keras", {"ratings_data": ratings, "als_model_uri": model, "hidden_units": units}, cached=False)
