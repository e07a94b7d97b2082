"""Models as 3.x keeps them: logged ones, aliases, and what was measured of them; by the newest client."""

from functools import cache

import mlflow
import numpy as np
import pandas as pd
from journey_checks import check, client, code, differs, equal, experiment, mine, named
from mlflow.entities import LoggedModelOutput
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

X, Y = np.array([[1.0], [2.0], [3.0]]), np.array([2.0, 4.0, 6.0])


@cache
def logged():
    """Log a model with parameters, a signature and an example; return what MLflow knows of it."""
    experiment("logged models")
    model = LinearRegression().fit(X, Y)
    with mlflow.start_run():
        mlflow.log_params({"alpha": "0.5", "depth": 3})
        mlflow.log_metric("rmse", 0.25)
        return mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(X, Y),
            input_example=X,
            pip_requirements=["scikit-learn"],
            params={"own": "1"},
            tags={"team": "a"},
        )


def line(uri):
    """Load a model by its address; return what it predicts."""
    return [round(float(value), 6) for value in mlflow.pyfunc.load_model(uri).predict(X)]


@check
def a_model_is_logged_with_what_its_run_knows():
    info = logged()
    model = mlflow.get_logged_model(info.model_id)
    equal((model.name, str(model.status), model.source_run_id), ("model", "READY", info.run_id))
    equal(model.params, {"alpha": "0.5", "depth": "3", "own": "1"})
    equal(mine(model.tags), {"team": "a"})
    equal([(one.key, one.value, one.run_id) for one in model.metrics], [("rmse", 0.25, info.run_id)])
    equal([one.model_id for one in mlflow.get_run(info.run_id).outputs.model_outputs], [info.model_id])


@check
def it_is_loaded_by_its_id_and_by_its_run():
    info = logged()
    for uri in (info.model_uri, f"models:/{info.model_id}", f"runs:/{info.run_id}/model"):
        equal(line(uri), [2.0, 4.0, 6.0])
    equal(isinstance(mlflow.sklearn.load_model(info.model_uri), LinearRegression), True)
    told = mlflow.models.get_model_info(info.model_uri)
    equal((told.signature is not None, told.model_id), (True, info.model_id))
    names = {one.path for one in client().list_logged_model_artifacts(info.model_id)}
    equal({"MLmodel", "requirements.txt", "input_example.json"} - names, set())


@check
def logged_models_are_searched():
    made = experiment("logged sought")
    for name, kind, value in [("a", "agent", 1.0), ("b", "tree", 2.0), ("B", "tree", 3.0)]:
        with mlflow.start_run():
            model = mlflow.initialize_logged_model(name=name, model_type=kind, params={"p": name}, tags={"t": kind})
            mlflow.log_metric("m", value, model_id=model.model_id)
            mlflow.finalize_logged_model(model.model_id, "READY" if name != "a" else "FAILED")

    def found(text, **more):
        order = more.pop("order_by", [{"field_name": "creation_timestamp"}])
        models = mlflow.search_logged_models([made], text, order_by=order, output_format="list", **more)
        return "".join(one.name for one in models)

    wanted = {
        "": "abB",
        "name = 'b'": "b",
        "name != 'b'": "aB",
        "name LIKE 'B'": "B",
        "name ILIKE 'B'": "bB",
        "name IN ('a', 'B')": "aB",
        "model_type = 'tree'": "bB",
        "params.p = 'a'": "a",
        "tags.t != 'agent'": "bB",
        "metrics.m >= 2": "bB",
        "metrics.m < 2 and params.p LIKE 'a'": "a",
        "creation_timestamp > 0": "abB",
    }
    equal({text: found(text) for text in wanted}, wanted)
    equal(found("", order_by=[{"field_name": "metrics.m", "ascending": False}]), "Bba")
    equal(found("", order_by=[{"field_name": "name"}], max_results=2), "Ba")
    table = mlflow.search_logged_models([made])
    equal((len(table), {"model_id", "name", "status"} <= set(table.columns)), (3, True))
    page = client().search_logged_models([made], max_results=2)
    rest = client().search_logged_models([made], max_results=2, page_token=page.token)
    equal((len(page), len(rest), rest.token), (2, 1, None))


@differs(
    "the states have the names that users know, and a filter that cannot be is the client's mistake, not the server's"
)
def logged_models_are_searched_by_their_state():
    made = experiment("logged states")
    for status in ("READY", "FAILED"):
        client().finalize_logged_model(client().create_logged_model(made, name=status).model_id, status)
    found = mlflow.search_logged_models([made], "status = 'READY'", output_format="list")
    equal([one.name for one in found], ["READY"])
    equal(code(client().search_logged_models, [made], "nope = 'x'"), "INVALID_PARAMETER_VALUE")


@check
def a_logged_model_changes_its_tags_and_goes():
    made = experiment("logged by hand")
    model = client().create_logged_model(made, name="m", tags={"a": "1"}, params={"p": "1"}, model_type="x")
    equal((str(model.status), model.model_type), ("PENDING", "x"))
    client().set_logged_model_tags(model.model_id, {"a": "2", "b": "3", "gone": "4"})
    client().delete_logged_model_tag(model.model_id, "gone")
    client().log_model_params(model.model_id, {f"q{number}": str(number) for number in range(150)})
    client().finalize_logged_model(model.model_id, "READY")
    found = client().get_logged_model(model.model_id)
    equal((mine(found.tags), len(found.params), str(found.status)), ({"a": "2", "b": "3"}, 151, "READY"))
    client().delete_logged_model(model.model_id)
    equal(code(client().get_logged_model, model.model_id), "RESOURCE_DOES_NOT_EXIST")
    equal(client().search_logged_models([made]), [])


@check
def metrics_are_of_a_model_and_a_dataset():
    experiment("logged metrics")
    data = mlflow.data.from_pandas(pd.DataFrame({"a": [1.0]}), name="test set")
    model = mlflow.create_external_model(name="elsewhere", params={"p": "1"})
    with mlflow.start_run() as run:
        mlflow.log_metric("acc", 0.5, model_id=model.model_id, dataset=data)
        mlflow.log_metrics({"acc": 0.75, "f1": 0.25}, step=1, model_id=model.model_id)
        mlflow.log_outputs([LoggedModelOutput(model.model_id, step=1)])
    found = mlflow.get_logged_model(model.model_id).metrics
    told = sorted((one.key, one.value, one.dataset_name or "") for one in found)
    equal(told, [("acc", 0.5, "test set"), ("acc", 0.75, ""), ("f1", 0.25, "")])
    equal({one.run_id for one in found}, {run.info.run_id})
    equal([one.model_id for one in mlflow.get_run(run.info.run_id).outputs.model_outputs], [model.model_id])
    on = [{"dataset_name": "test set", "dataset_digest": data.digest}]
    text = "metrics.acc = 0.5"
    equal(len(mlflow.search_logged_models(filter_string=text, datasets=on, output_format="list")), 1)
    text = "metrics.acc = 0.75"
    equal(len(mlflow.search_logged_models(filter_string=text, datasets=on, output_format="list")), 0)


@check
def an_active_model_gets_what_is_measured():
    experiment("logged active")
    active = mlflow.set_active_model(name="assistant")
    try:
        equal(mlflow.get_active_model_id(), active.model_id)
        mlflow.log_model_params({"prompt": "short"})
        with mlflow.start_run():
            mlflow.log_metric("quality", 0.5)
    finally:
        mlflow.clear_active_model()
    equal(mlflow.get_logged_model(active.model_id).params, {"prompt": "short"})


@check
def aliases_name_versions():
    name = named("logged aliases")
    mlflow.register_model(logged().model_uri, name, tags={"from": "model"})
    mlflow.register_model(f"runs:/{logged().run_id}/model", name)
    client().set_registered_model_alias(name, "champion", "1")
    client().set_registered_model_alias(name, "challenger", "2")
    client().set_registered_model_alias(name, "champion", "2")
    equal(client().get_registered_model(name).aliases, {"champion": "2", "challenger": "2"})
    found = client().get_model_version_by_alias(name, "champion")
    equal((str(found.version), sorted(found.aliases)), ("2", ["challenger", "champion"]))
    client().delete_registered_model_alias(name, "challenger")
    equal(client().get_model_version(name, "2").aliases, ["champion"])
    for uri in (f"models:/{name}@champion", f"models:/{name}/1", f"models:/{name}/latest"):
        equal(line(uri), [2.0, 4.0, 6.0])
    first = client().get_model_version(name, "1")
    equal(
        (first.tags, first.run_id, first.model_id or logged().model_id),
        ({"from": "model"}, logged().run_id, logged().model_id),
    )


@check
def a_version_is_copied_to_another_model():
    name, other = named("logged source"), named("logged copy")
    mlflow.register_model(logged().model_uri, name)
    copy = client().copy_model_version(f"models:/{name}/1", other)
    equal((copy.name, str(copy.version), copy.run_id), (other, "1", logged().run_id))
    equal(line(f"models:/{other}/1"), [2.0, 4.0, 6.0])
    mlflow.set_model_version_tag(other, "1", "k", "v")
    equal(
        [str(one.version) for one in mlflow.search_model_versions(filter_string=f"name = '{other}' and tags.k = 'v'")],
        ["1"],
    )
    found = mlflow.search_registered_models(filter_string=f"name IN ('{name}', '{other}')")
    equal(len(found), 2)


@check
def a_python_model_of_ones_own_is_loaded():
    class Twice(mlflow.pyfunc.PythonModel):
        def predict(self, model_input):
            return [2 * value for value in model_input]

    experiment("logged own")
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(name="twice", python_model=Twice(), pip_requirements=[])
    equal(mlflow.pyfunc.load_model(info.model_uri).predict([1, 2]), [2, 4])
