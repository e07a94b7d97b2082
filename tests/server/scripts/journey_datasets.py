"""Datasets that runs use, by the newest client."""

import mlflow
import numpy as np
import pandas as pd
from journey_checks import check, client, equal, experiment

TABLE = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})


def inputs(run):
    """Return the datasets of a run, as (name, context, tags besides)."""
    found = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    told = []
    for one in found:
        tags = {tag.key: tag.value for tag in one.tags}
        told.append((one.dataset.name, tags.pop("mlflow.data.context", None), tags))
    return sorted(told, key=str)


@check
def a_dataset_is_an_input_of_a_run():
    experiment("datasets one")
    data = mlflow.data.from_pandas(TABLE, source="https://example.org/wine.csv", name="wine", targets="b")
    with mlflow.start_run() as run:
        mlflow.log_input(data, context="training", tags={"k": "v"})
        mlflow.log_input(data, context="training")
    equal(inputs(run), [("wine", "training", {"k": "v"})])
    found = mlflow.get_run(run.info.run_id).inputs.dataset_inputs[0].dataset
    equal((found.digest, found.source_type), (data.digest, "http"))
    assert "mlflow_colspec" in found.schema, found.schema
    assert '"num_rows": 2' in found.profile, found.profile
    source = mlflow.data.get_source(found)
    equal(source.url, "https://example.org/wine.csv")


@check
def several_datasets_are_logged_at_once():
    experiment("datasets many")
    first = mlflow.data.from_pandas(TABLE, name="first")
    second = mlflow.data.from_numpy(np.arange(6.0).reshape(2, 3), name="second")
    with mlflow.start_run() as run:
        mlflow.log_inputs([first, second], ["train", "test"], [{"n": "1"}, None])
    equal(inputs(run), [("first", "train", {"n": "1"}), ("second", "test", {})])


@check
def runs_are_found_by_their_datasets():
    made = experiment("datasets sought")
    for name, data, context in [
        ("a", mlflow.data.from_numpy(np.array([1.0]), name="wine"), "train"),
        ("b", mlflow.data.from_numpy(np.array([2.0]), name="Wine"), "test"),
        ("c", mlflow.data.from_numpy(np.array([3.0]), name="beer"), "train"),
    ]:
        with mlflow.start_run(run_name=name):
            mlflow.log_input(data, context=context)
    with mlflow.start_run(run_name="d"):
        pass
    digest = mlflow.data.from_numpy(np.array([3.0]), name="beer").digest
    wanted = {
        "datasets.name = 'wine'": "a",
        "dataset.name != 'wine'": "bc",
        "datasets.name LIKE '%ine'": "ab",
        "dataset.name ILIKE 'WINE'": "ab",
        "datasets.name IN ('wine', 'beer')": "ac",
        f"dataset.digest = '{digest}'": "c",
        "dataset.context = 'train'": "ac",
        "datasets.context ILIKE 'T%'": "abc",
        "dataset.context = 'train' and dataset.name = 'beer'": "c",
    }

    def found(text):
        runs = client().search_runs([made], text, order_by=["attributes.run_name"])
        return "".join(one.info.run_name for one in runs)

    equal({text: found(text) for text in wanted}, wanted)
    equal(found("dataset.name NOT IN ('wine')"), "bc")
