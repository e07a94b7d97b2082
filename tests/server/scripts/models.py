"""What a user of MLflow does with models, by MLflow's own client; each finding is printed as JSON at the end.

It is run by an interpreter that has MLflow and scikit-learn, with the address of a server as its argument.
"""

import json
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LinearRegression

warnings.simplefilter("ignore")
FOUND = {}
X, Y = np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 2.0, 3.0])


def code(call, *arguments, **named):
    """Return the code of the error that a call raises."""
    try:
        call(*arguments, **named)
    except MlflowException as error:
        return error.error_code
    return None


def predicted(uri):
    return [round(float(value), 6) for value in mlflow.pyfunc.load_model(uri).predict(X)]


mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
mlflow.set_experiment("models")

# -- logged, registered, loaded by every name ----------------------------------------------------------
with mlflow.start_run() as run:
    mlflow.log_param("alpha", "0.5")
    mlflow.log_metric("rmse", 0.25)
    info = mlflow.sklearn.log_model(
        LinearRegression().fit(X, Y), name="model", registered_model_name="wine", input_example=X
    )
RUN = run.info.run_id
model = client.get_logged_model(info.model_id)
FOUND["logged"] = {
    "status": str(model.status),
    "name": model.name,
    "of run": model.source_run_id == RUN,
    "params": dict(model.params),
    "metrics": [[metric.key, metric.value, metric.run_id == RUN] for metric in model.metrics],
    "versions": json.loads(model.tags["mlflow.modelVersions"]),
    "output of run": [output.model_id == info.model_id for output in client.get_run(RUN).outputs.model_outputs],
}
client.set_registered_model_alias("wine", "champion", "1")
uris = ["models:/wine/1", "models:/wine@champion", "models:/wine/latest", info.model_uri, f"runs:/{RUN}/model"]
FOUND["loaded"] = [predicted(uri) for uri in uris]

# -- a second version, from the run; stages ------------------------------------------------------------
second = mlflow.register_model(f"runs:/{RUN}/model", "wine", tags={"from": "run"})
FOUND["second"] = [second.version, second.status, second.run_id == RUN, second.tags]
client.transition_model_version_stage("wine", "1", "Production")
client.transition_model_version_stage("wine", "2", "Production", archive_existing_versions=True)
FOUND["stages"] = {each.version: each.current_stage for each in client.get_latest_versions("wine")}
FOUND["production"] = predicted("models:/wine/Production")

# -- a copy --------------------------------------------------------------------------------------------
copy = client.copy_model_version("models:/wine@champion", "wine-prod")
FOUND["copy"] = [copy.name, copy.version, copy.source, copy.run_id == RUN, predicted("models:/wine-prod/1")]

# -- an older kind of artifact: a model's folder logged as files ----------------------------------------
with tempfile.TemporaryDirectory() as folder, mlflow.start_run() as older:
    mlflow.sklearn.save_model(LinearRegression().fit(X, Y), f"{folder}/model")
    mlflow.log_artifacts(f"{folder}/model", "model")
registered = mlflow.register_model(f"runs:/{older.info.run_id}/model", "old")
FOUND["older"] = [registered.source.endswith(f"{older.info.run_id}/artifacts/model"), predicted("models:/old/1")]

# -- words about them ----------------------------------------------------------------------------------
client.update_registered_model("wine", "red and white")
client.update_model_version("wine", "1", "the first")
client.set_registered_model_tag("wine", "team", "a")
client.set_model_version_tag("wine", "1", "checked", "yes")
client.set_model_version_tag("wine", "1", "gone", "yes")
client.delete_model_version_tag("wine", "1", "gone")
wine, first = client.get_registered_model("wine"), client.get_model_version("wine", "1")
FOUND["words"] = [wine.description, wine.tags, wine.aliases, first.description, first.tags, list(first.aliases)]

# -- searches ------------------------------------------------------------------------------------------
FOUND["searches"] = {
    "models": [each.name for each in client.search_registered_models()],
    "by name": [each.name for each in mlflow.search_registered_models(filter_string="name LIKE 'wine%'")],
    "by tag": [each.name for each in client.search_registered_models("tags.team = 'a'")],
    "descending": [each.name for each in client.search_registered_models(order_by=["name DESC"])],
    "versions": [each.version for each in client.search_model_versions("name = 'wine'")],
    "of run": sorted(f"{each.name}/{each.version}" for each in client.search_model_versions(f"run_id = '{RUN}'")),
    "by version tag": [each.version for each in client.search_model_versions("tags.checked = 'yes'")],
    "logged": len(mlflow.search_logged_models(filter_string="metrics.rmse < 1", output_format="list")),
    "none logged": len(mlflow.search_logged_models(filter_string="metrics.rmse > 1", output_format="list")),
}
page = client.search_registered_models(max_results=2)
FOUND["pages"] = [len(page), len(client.search_registered_models(max_results=2, page_token=page.token))]

# -- logged models by hand -----------------------------------------------------------------------------
external = mlflow.create_external_model(name="elsewhere", params={"p": "1"}, tags={"t": "x"}, model_type="agent")
mlflow.set_logged_model_tags(external.model_id, {"u": "y"})
mlflow.delete_logged_model_tag(external.model_id, "t")
begun = mlflow.initialize_logged_model(name="begun")
failed = mlflow.finalize_logged_model(begun.model_id, "FAILED")
many = mlflow.initialize_logged_model(name="many", params={f"p{n}": str(n) for n in range(250)})
external = mlflow.get_logged_model(external.model_id)
FOUND["by hand"] = [
    str(external.status),
    external.model_type,
    {key: value for key, value in external.tags.items() if not key.startswith("mlflow.")},
    str(failed.status),
    len(mlflow.get_logged_model(many.model_id).params),
]

# -- autolog -------------------------------------------------------------------------------------------
mlflow.sklearn.autolog()
with mlflow.start_run() as automatic:
    LinearRegression().fit(X, Y)
mlflow.sklearn.autolog(disable=True)
last = mlflow.last_logged_model()
FOUND["autolog"] = [
    last.source_run_id == automatic.info.run_id,
    sorted(metric.key for metric in last.metrics if metric.dataset_name),
    len(client.get_run(automatic.info.run_id).inputs.dataset_inputs),
    predicted(f"models:/{last.model_id}"),
]

# -- many at once --------------------------------------------------------------------------------------
client.create_registered_model("busy")
with ThreadPoolExecutor(8) as pool:
    made = list(pool.map(lambda _: client.create_model_version("busy", "s3://b/m").version, range(40)))
FOUND["busy"] = sorted(map(int, made)) == list(range(1, 41))

# -- what is refused, and what goes --------------------------------------------------------------------
FOUND["codes"] = {
    "again": code(client.create_registered_model, "wine"),
    "no model": code(client.get_registered_model, "nope"),
    "no version": code(client.get_model_version, "wine", "9"),
    "no alias": code(client.get_model_version_by_alias, "wine", "nope"),
    "reserved": code(client.set_registered_model_alias, "wine", "latest", "1"),
    "outside": code(client.create_model_version, "wine", "/etc", RUN),
    "no logged model": code(client.get_logged_model, "m-" + "0" * 32),
    "bad filter": code(client.search_model_versions, "nope = 'x'"),
}
client.rename_registered_model("wine-prod", "cellar")
client.delete_model_version("wine", "2")
client.delete_registered_model_alias("wine", "champion")
client.delete_registered_model("cellar")
mlflow.delete_logged_model_tag(info.model_id, "mlflow.modelVersions")
client.delete_logged_model(begun.model_id)
FOUND["gone"] = [
    code(client.get_model_version, "wine", "2"),
    code(client.get_model_version_by_alias, "wine", "champion"),
    code(client.get_registered_model, "cellar"),
    code(client.get_logged_model, begun.model_id),
    client.create_model_version("wine", "s3://b/m").version,
]
print(json.dumps(FOUND))
