"""Models of scikit-learn, and models registered, by every client since 2.0."""

import json
from functools import cache

import mlflow
import numpy as np
from journey_checks import check, client, code, equal, experiment, named
from sklearn.linear_model import LinearRegression

MISSING = "RESOURCE_DOES_NOT_EXIST"
X, Y = np.array([[1.0], [2.0], [3.0]]), np.array([2.0, 4.0, 6.0])


@cache
def logged():
    """Log a model; return the id of its run."""
    experiment("registry models")
    with mlflow.start_run() as run:
        mlflow.log_metric("rmse", 0.25)
        mlflow.sklearn.log_model(LinearRegression().fit(X, Y), "model", pip_requirements=["scikit-learn"])
    return run.info.run_id


def line(uri):
    """Load a model by its address; return what it predicts."""
    return [round(float(value), 6) for value in mlflow.pyfunc.load_model(uri).predict(X)]


def registered(text, versions=1):
    """Make a model with versions; return its name."""
    name = named(text)
    client().create_registered_model(name, tags={"team": "a"}, description="what it is")
    for number in range(versions):
        client().create_model_version(name, f"s3://elsewhere/model/{number}", tags={"n": str(number)})
    return name


@check
def a_model_is_logged_and_loaded():
    uri = f"runs:/{logged()}/model"
    equal(line(uri), [2.0, 4.0, 6.0])
    equal(round(float(mlflow.sklearn.load_model(uri).coef_[0]), 6), 2.0)
    equal(sorted(mlflow.models.get_model_info(uri).flavors), ["python_function", "sklearn"])


@check
def a_logged_model_is_registered_and_loaded_by_its_version_and_stage():
    name = named("registry wine")
    made = mlflow.register_model(f"runs:/{logged()}/model", name)
    equal((made.name, str(made.version), made.status, made.run_id), (name, "1", "READY", logged()))
    client().transition_model_version_stage(name, "1", "Production")
    for uri in (f"models:/{name}/1", f"models:/{name}/Production"):
        equal(line(uri), [2.0, 4.0, 6.0])
    assert client().get_model_version_download_uri(name, "1").startswith("mlflow-artifacts:/")


@check
def a_model_is_registered_while_it_is_logged():
    experiment("registry models")
    name = named("registry at once")
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(LinearRegression().fit(X, Y), "model", registered_model_name=name, pip_requirements=[])
    (found,) = client().search_model_versions(f"run_id = '{run.info.run_id}'")
    equal((found.name, str(found.version)), (name, "1"))


@check
def a_registered_model_is_described_tagged_renamed_and_deleted():
    name, other = registered("registry words"), named("registry other")
    client().update_registered_model(name, "new words")
    client().set_registered_model_tag(name, "owner", "Zoë")
    client().set_registered_model_tag(name, "gone", "x")
    client().delete_registered_model_tag(name, "gone")
    client().rename_registered_model(name, other)
    found = client().get_registered_model(other)
    equal((found.description, found.tags), ("new words", {"team": "a", "owner": "Zoë"}))
    equal([one.name for one in found.latest_versions], [other])
    equal(code(client().get_registered_model, name), MISSING)
    equal(code(client().create_registered_model, other), "RESOURCE_ALREADY_EXISTS")
    client().delete_registered_model(other)
    equal(code(client().get_registered_model, other), MISSING)


@check
def versions_are_described_tagged_and_deleted():
    name = registered("registry versions", 3)
    client().update_model_version(name, "1", "the first")
    client().set_model_version_tag(name, "1", "checked", "yes")
    client().set_model_version_tag(name, "1", "gone", "x")
    client().delete_model_version_tag(name, "1", "gone")
    found = client().get_model_version(name, "1")
    equal(
        (found.description, found.tags, found.source),
        ("the first", {"n": "0", "checked": "yes"}, "s3://elsewhere/model/0"),
    )
    client().delete_model_version(name, "3")
    equal(code(client().get_model_version, name, "3"), MISSING)
    made = client().create_model_version(name, "s3://elsewhere/again")
    equal(int(made.version) >= 3, True)


@check
def versions_move_through_stages():
    name = registered("registry stages", 3)
    for version, stage in [("1", "Staging"), ("2", "production"), ("3", "Production")]:
        client().transition_model_version_stage(name, version, stage)
    stages = {str(one.version): one.current_stage for one in client().search_model_versions(f"name = '{name}'")}
    equal(stages, {"1": "Staging", "2": "Production", "3": "Production"})
    client().transition_model_version_stage(name, "1", "Production", archive_existing_versions=True)
    stages = {str(one.version): one.current_stage for one in client().search_model_versions(f"name = '{name}'")}
    equal(stages, {"1": "Production", "2": "Archived", "3": "Archived"})
    latest = {one.current_stage: str(one.version) for one in client().get_latest_versions(name)}
    equal(latest, {"Production": "1", "Archived": "3"})
    equal([str(one.version) for one in client().get_latest_versions(name, ["Archived"])], ["3"])
    equal(code(client().transition_model_version_stage, name, "1", "Cellar"), "INVALID_PARAMETER_VALUE")


@check
def registered_models_are_searched_in_orders_and_pages():
    end = named("sought")
    for number in range(5):
        client().create_registered_model(f"{'B' if number == 4 else 'b'} {number} {end}", tags={"odd": str(number % 2)})

    def found(text, **more):
        models = client().search_registered_models(f"{text} and name LIKE '%{end}'", **more)
        return "".join(one.name[2] for one in models)

    equal(found("name LIKE 'b%'"), "0123")
    equal(found("name ILIKE 'b%'", order_by=["name DESC"]), "32104")
    equal(found(f"name = 'b 2 {end}'"), "2")
    equal(found(f"name != 'b 2 {end}'", order_by=["name ASC"]), "4013")
    equal(found("tags.odd = '1'"), "13")
    equal(found("tags.odd != '1'"), "402")
    text, token, pages = f"name LIKE '%{end}'", None, []
    while True:
        page = client().search_registered_models(text, max_results=2, page_token=token)
        pages.append("".join(one.name[2] for one in page))
        if not (token := page.token):
            break
    equal(pages, ["40", "12", "3"])
    wrong = ["nope = 'a'", "name > 'a'", "name = 1", "name = 'a' or name = 'b'"]
    equal(
        {one: code(client().search_registered_models, one) for one in wrong[:3]},
        dict.fromkeys(wrong[:3], "INVALID_PARAMETER_VALUE"),
    )


@check
def versions_are_searched():
    name = registered("registry sought", 3)

    def found(text, **more):
        return [int(one.version) for one in client().search_model_versions(f"name = '{name}' and {text}", **more)]

    equal(found("tags.n = '1'"), [2])
    equal(sorted(found("tags.n != '1'")), [1, 3])
    equal(sorted(found("version_number > 1")), [2, 3])
    equal(found("source_path = 's3://elsewhere/model/0'"), [1])
    equal(found("source_path LIKE '%/2'"), [3])
    equal(found("run_id = 'nobody'"), [])
    equal(sorted(int(one.version) for one in client().search_model_versions(f"name='{name}'")), [1, 2, 3])


@check
def a_run_knows_what_models_were_logged():
    run = client().get_run(logged())
    if mlflow.__version__.startswith("2."):
        (told,) = json.loads(run.data.tags["mlflow.log-model.history"])
        equal((told["artifact_path"], told["run_id"]), ("model", logged()))
    else:
        (model,) = run.outputs.model_outputs
        equal(client().get_logged_model(model.model_id).name, "model")


@check
def scikit_learn_logs_by_itself():
    made = experiment("registry autolog")
    mlflow.sklearn.autolog()
    try:
        LinearRegression().fit(X, Y)
    finally:
        mlflow.sklearn.autolog(disable=True)
    (run,) = mlflow.search_runs([made], output_format="list")
    equal((run.info.status, run.data.params["fit_intercept"]), ("FINISHED", "True"))
    equal(run.data.tags["estimator_name"], "LinearRegression")
    if not mlflow.__version__.startswith("2."):
        (data,) = run.inputs.dataset_inputs  # a search tells it too
        equal([(tag.key, tag.value) for tag in data.tags], [("mlflow.data.context", "train")])
    assert abs(run.data.metrics["training_r2_score"] - 1) < 1e-9, run.data.metrics
    equal(line(f"runs:/{run.info.run_id}/model"), [2.0, 4.0, 6.0])
