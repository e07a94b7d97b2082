"""Logged models on MLflow's wire, and what runs use, make and measure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from server import API, PROXY, Answer, Server

NOBODY = "m-" + "0" * 32


def refused(answer: Answer, status: int = 400, code: str = "INVALID_PARAMETER_VALUE") -> str:
    """Return the message of an error of this kind."""
    told = answer.json
    assert (answer.status, told["error_code"]) == (status, code), told
    return str(told["message"])


def new_model(server: Server, **fields: object) -> dict[str, Any]:
    """Make a model; return what the server says of it."""
    made = server.api("POST", "logged-models", {"experiment_id": "0", "name": "model", **fields})
    return dict(made["model"])


def found(server: Server, **fields: object) -> list[str]:
    """Return the names that a search finds."""
    answer = server.api("POST", "logged-models/search", {"experiment_ids": ["0"], **fields})
    return [model["info"]["name"] for model in answer.get("models", [])]


def test_a_model_is_written_as_mlflow_writes_it(server: Server) -> None:
    run_id = server.new_run()
    tags, params = [{"key": "mlflow.user", "value": "ana"}], [{"key": "alpha", "value": "0.5"}]
    made = new_model(server, source_run_id=run_id, params=params, tags=tags)
    info = made["info"]
    model_id = info["model_id"]
    assert isinstance(info.pop("creation_timestamp_ms"), int)
    assert isinstance(info.pop("last_updated_timestamp_ms"), int)
    assert made == {
        "info": {
            "model_id": model_id,
            "experiment_id": "0",
            "name": "model",
            "artifact_uri": f"mlflow-artifacts:/0/models/{model_id}/artifacts",
            "status": "LOGGED_MODEL_PENDING",
            "model_type": "",
            "source_run_id": run_id,
            "tags": tags,
        },
        "data": {"params": params},
    }
    for status in ("LOGGED_MODEL_READY", 2, "2"):
        done = server.api("PATCH", f"logged-models/{model_id}", {"model_id": model_id, "status": status})
        assert done["model"]["info"]["status"] == "LOGGED_MODEL_READY"
    assert server.api("GET", f"logged-models/{model_id}")["model"] == done["model"]


def test_a_model_without_a_name_is_given_one(server: Server) -> None:
    made = server.api("POST", "logged-models", {"experiment_id": "0"})["model"]["info"]
    assert made["name"]


def test_what_cannot_be_meant(server: Server) -> None:
    path = f"{API}logged-models"
    model_id = new_model(server)["info"]["model_id"]
    assert "'experiment_id'" in refused(server.call("POST", path, {"name": "m"}))
    assert "cannot contain" in refused(server.call("POST", path, {"experiment_id": "0", "name": "a/b"}))
    refused(server.call("POST", path, {"experiment_id": "77"}), 404, "RESOURCE_DOES_NOT_EXIST")
    assert "'status'" in refused(server.call("PATCH", f"{path}/{model_id}", {"model_id": model_id}))
    refused(server.call("PATCH", f"{path}/{model_id}", {"model_id": model_id, "status": "READY"}))
    for model in (NOBODY, "nonsense"):
        told = refused(server.call("GET", f"{path}/{model}"), 404, "RESOURCE_DOES_NOT_EXIST")
        assert told == f"Logged model with ID '{model}' not found."
    assert "'experiment_ids'" in refused(server.call("POST", f"{path}/search", {}))
    for wrong in (
        {"filter": "nmae = 'x'"},
        {"datasets": [{"dataset_digest": "x"}]},
        {"datasets": [{"dataset_name": f"d{number}"} for number in range(2_000)]},
        {"datasets": [{"dataset_name": "\ud800"}]},
        {"order_by": [{"field_name": "nothing"}]},
        {"order_by": [{"field_name": "metrics.m", "dataset_name": "\ud800"}]},
        {"order_by": [{"field_name": "metrics.m", "dataset_digest": "x"}]},
        {"page_token": "x"},
        {"max_results": -1},
    ):
        refused(server.call("POST", f"{path}/search", {"experiment_ids": ["0"], **wrong}))


def test_tags_params_and_deletion(server: Server) -> None:
    """With the bodies that clients send: no model id where the path has it, none at all with DELETE."""
    model_id = new_model(server)["info"]["model_id"]
    path = f"logged-models/{model_id}"
    assert (
        server.api("PATCH", f"{path}/tags", {"tags": [{"key": "a/b", "value": "1"}, {"key": "c", "value": "2"}]}) == {}
    )
    assert server.api("DELETE", f"{path}/tags/a%2Fb") == {}
    refused(server.call("DELETE", f"{API}{path}/tags/nope"), 404, "RESOURCE_DOES_NOT_EXIST")
    params = {"model_id": model_id, "params": [{"key": "p", "value": "1"}]}
    assert server.api("POST", f"{path}/params", params) == {}
    told = server.api("GET", path)["model"]
    assert (told["info"]["tags"], told["data"]["params"]) == ([{"key": "c", "value": "2"}], params["params"])
    assert server.api("DELETE", path) == {}
    refused(server.call("GET", API + path), 404, "RESOURCE_DOES_NOT_EXIST")
    assert server.api("GET", path, allow_deleted="true")["model"]["info"]["model_id"] == model_id
    assert found(server) == []


def test_a_client_lists_a_version_once(server: Server) -> None:
    """The server has added it; the client adds it again, with its number as text."""
    model_id = new_model(server)["info"]["model_id"]
    server.api("POST", "registered-models/create", {"name": "rm1"})
    body = {"name": "rm1", "source": f"models:/{model_id}", "model_id": model_id}
    server.api("POST", "model-versions/create", body)
    value = json.dumps([{"name": "rm1", "version": 1}, {"name": "rm1", "version": "1"}])
    server.api("PATCH", f"logged-models/{model_id}/tags", {"tags": [{"key": "mlflow.modelVersions", "value": value}]})
    (tag,) = server.api("GET", f"logged-models/{model_id}")["model"]["info"]["tags"]
    assert json.loads(tag["value"]) == [{"name": "rm1", "version": 1}]


def test_what_runs_use_and_make(server: Server) -> None:
    run_id = server.new_run()
    used, made = (new_model(server, name=name)["info"]["model_id"] for name in ("used", "made"))
    for _ in range(2):
        server.api("POST", "runs/outputs", {"run_id": run_id, "models": [{"model_id": made, "step": "3"}]})
        server.api("POST", "runs/log-inputs", {"run_id": run_id, "models": [{"model_id": used}]})
    run = server.api("GET", "runs/get", run_id=run_id)["run"]
    assert run["inputs"] == {"model_inputs": [{"model_id": used}]}
    assert run["outputs"] == {"model_outputs": [{"model_id": made, "step": 3}]}
    other = server.new_run()
    runs = server.api("POST", "runs/search", {"experiment_ids": ["0"]})["runs"]
    assert {each["info"]["run_id"]: each["outputs"] for each in runs} == {run_id: run["outputs"], other: {}}
    body = {"run_id": run_id, "models": [{"model_id": NOBODY}]}
    refused(server.call("POST", f"{API}runs/outputs", body), 404, "RESOURCE_DOES_NOT_EXIST")


def test_what_is_measured_of_a_model(server: Server) -> None:
    """By single points and by batches, on data or not; the run has it too."""
    run_id = server.new_run()
    model_id = new_model(server)["info"]["model_id"]
    point = {"key": "rmse", "value": 0.5, "timestamp": 7, "step": 0, "model_id": model_id}
    server.api("POST", "runs/log-metric", {"run_id": run_id, **point})
    data = {"dataset_name": "d", "dataset_digest": "x"}
    batch = [
        {**point, "value": "NaN", "step": 2},
        {**point, "key": "acc", **data},
        {"key": "own", "value": 1.0, "timestamp": 7},
    ]
    for _ in range(2):
        server.api("POST", "runs/log-batch", {"run_id": run_id, "metrics": batch})
    metrics = server.api("GET", f"logged-models/{model_id}")["model"]["data"]["metrics"]
    own = {"run_id": run_id, "model_id": model_id}
    assert metrics == [
        {**point, "key": "acc", **data, **own},
        {**point, **own},
        {**point, "value": "NaN", "step": 2, **own},
    ]
    logged = server.api("GET", "runs/get", run_id=run_id)["run"]["data"]["metrics"]
    assert {metric["key"] for metric in logged} == {"rmse", "acc", "own"}
    assert found(server, filter="metrics.acc > 0.1", datasets=[{"dataset_name": "d"}]) == ["model"]
    assert found(server, filter="metrics.rmse > 0.1", datasets=[{"dataset_name": "d"}]) == []
    wrong = {"run_id": run_id, **point, "model_id": NOBODY}
    refused(server.call("POST", f"{API}runs/log-metric", wrong), 404, "RESOURCE_DOES_NOT_EXIST")


def test_search_in_pages(server: Server) -> None:
    for name in ("a", "b", "c"):
        new_model(server, name=name, params=[{"key": "p", "value": name}])
    order = [{"field_name": "name", "ascending": False}]
    body = {"experiment_ids": ["0"], "order_by": order, "max_results": 2}
    first = server.api("POST", "logged-models/search", body)
    rest = server.api("POST", "logged-models/search", {**body, "page_token": first["next_page_token"]})
    assert [model["info"]["name"] for model in (*first["models"], *rest["models"])] == ["c", "b", "a"]
    assert "next_page_token" not in rest
    assert found(server, filter="params.p = 'b'") == ["b"]
    assert found(server, filter="name = 'c'") == ["c"]
    assert server.api("POST", "logged-models/search", {"experiment_ids": ["5"]}) == {}


def test_files_of_a_model(server: Server) -> None:
    """Through the proxy, as those of a run; listed relative to the model's root."""
    model_id = new_model(server)["info"]["model_id"]
    for name in ("MLmodel", "code/a.py"):
        assert server.call("PUT", f"{PROXY}/0/models/{model_id}/artifacts/{name}", b"text").status == 200
    path = f"logged-models/{model_id}/artifacts/directories"
    listed = server.api("GET", path)
    assert listed == {
        "root_uri": f"mlflow-artifacts:/0/models/{model_id}/artifacts",
        "files": [
            {"path": "MLmodel", "is_dir": False, "file_size": 4},
            {"path": "code", "is_dir": True},
        ],
    }
    below = server.api("GET", path, artifact_directory_path="code")["files"]
    assert below == [{"path": "code/a.py", "is_dir": False, "file_size": 4}]
    assert "files" not in server.api("GET", path, artifact_directory_path="nope")
    for outside in ("..", "../..", "/etc", "a/../../b"):
        refused(server.call("GET", API + path, artifact_directory_path=outside))


@pytest.mark.parametrize("number", [1, 3])
def test_models_of_older_clients(server: Server, number: int) -> None:
    """R, and Python before 3.x: a tag of the run lists them, without what makes it long."""
    run_id = server.new_run()
    flavors = {"crate": {"version": "0.1", "config": {"long": "x" * 10_000}}}
    told = {"artifact_path": "model", "flavors": flavors, "utc_time_created": "2026-01-01", "run_id": run_id, "x": 1}
    for _ in range(number):
        server.api("POST", "runs/log-model", {"run_id": run_id, "model_json": json.dumps(told)})
    tags = {tag["key"]: tag["value"] for tag in server.api("GET", "runs/get", run_id=run_id)["run"]["data"]["tags"]}
    kept = {key: value for key, value in told.items() if key != "x"} | {"flavors": {"crate": {"version": "0.1"}}}
    assert json.loads(tags["mlflow.log-model.history"]) == [kept] * number
    for wrong in ("{", "[]", "{}"):
        refused(server.call("POST", f"{API}runs/log-model", {"run_id": run_id, "model_json": wrong}))
