"""Registered models and versions on MLflow's wire, as its clients call it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from server import API, Answer, Server, serving

PROMPT = "mlflow.prompt.is_prompt"
RUN = "a" * 32


def refused(answer: Answer, status: int, code: str) -> str:
    """Return the message of an error of this kind."""
    told = answer.json
    assert (answer.status, told["error_code"]) == (status, code), told
    return str(told["message"])


def call(server: Server, method: str, name: str, body: object = None, /, **query: str) -> Answer:
    return server.call(method, API + name, body, **query)


@pytest.fixture
def wine(server: Server) -> Server:
    """A server with a registered model that has two versions."""
    server.api("POST", "registered-models/create", {"name": "wine"})
    for _ in range(2):
        server.api("POST", "model-versions/create", {"name": "wine", "source": "s3://b/m"})
    return server


def names(found: dict[str, Any]) -> list[str]:
    """Return names, or names and numbers, of a page."""
    if "registered_models" in found:
        return [model["name"] for model in found["registered_models"]]
    return [f"{version['name']}/{version['version']}" for version in found.get("model_versions", [])]


def test_a_model_is_written_as_mlflow_writes_it(server: Server) -> None:
    made = server.api(
        "POST",
        "registered-models/create",
        {"name": "rm1", "description": "d", "tags": [{"key": "k", "value": "v"}], "deployment_job_id": "7"},
    )["registered_model"]
    assert set(made) == {"name", "creation_timestamp", "last_updated_timestamp", "description", "tags"}
    assert made["tags"] == [{"key": "k", "value": "v"}]
    assert isinstance(made["creation_timestamp"], int)
    assert server.api("GET", "registered-models/get", name="rm1")["registered_model"] == made
    bare = server.api("POST", "registered-models/create", {"name": "rm2"})["registered_model"]
    assert set(bare) == {"name", "creation_timestamp", "last_updated_timestamp"}


def test_a_version_is_written_as_mlflow_writes_it(server: Server) -> None:
    run_id = server.new_run()
    server.api("POST", "registered-models/create", {"name": "rm1"})
    body = {"name": "rm1", "source": "s3://b/m", "run_id": run_id, "tags": [{"key": "q", "value": "1"}]}
    made = server.api("POST", "model-versions/create", body)["model_version"]
    times = (made.pop("creation_timestamp"), made.pop("last_updated_timestamp"))
    assert all(isinstance(time, int) for time in times)
    assert made == {
        "name": "rm1",
        "version": "1",
        "current_stage": "None",
        "description": "",
        "source": "s3://b/m",
        "run_id": run_id,
        "status": "READY",
        "tags": [{"key": "q", "value": "1"}],
        "run_link": "",
    }
    server.api("POST", "registered-models/alias", {"name": "rm1", "alias": "champion", "version": "1"})
    by_alias = server.api("GET", "registered-models/alias", name="rm1", alias="champion")["model_version"]
    assert by_alias["aliases"] == ["champion"]
    assert server.api("GET", "model-versions/get", name="rm1", version="1")["model_version"] == by_alias
    model = server.api("GET", "registered-models/get", name="rm1")["registered_model"]
    assert model["aliases"] == [{"alias": "champion", "version": "1"}]
    assert "aliases" not in model["latest_versions"][0]
    assert "aliases" not in server.api("GET", "model-versions/search")["model_versions"][0]
    assert server.api("POST", "registered-models/get-latest-versions", {"name": "rm1"})["model_versions"] == [by_alias]


def test_errors_that_steer_clients(wine: Server) -> None:
    create = "registered-models/create"
    assert refused(call(wine, "POST", create, {"name": "wine"}), 400, "RESOURCE_ALREADY_EXISTS") == (
        "Registered Model (name=wine) already exists."
    )
    gone = [
        ("GET", "registered-models/get", {"name": "x"}),
        ("GET", "model-versions/get", {"name": "wine", "version": "9"}),
        ("GET", "model-versions/get-download-uri", {"name": "wine", "version": "9"}),
        ("GET", "registered-models/alias", {"name": "x", "alias": "a"}),
    ]
    told = [refused(call(wine, method, name, **query), 404, "RESOURCE_DOES_NOT_EXIST") for method, name, query in gone]
    assert told[0] == "Registered Model with name=x not found"
    assert told[1] == told[2] == "Model Version (name=wine, version=9) not found"
    alias = call(wine, "GET", "registered-models/alias", name="wine", alias="nope")
    assert refused(alias, 400, "INVALID_PARAMETER_VALUE") == "Registered model alias nope not found."
    version = {"name": "x", "source": "s3://b/m"}
    assert "name=x not found" in refused(
        call(wine, "POST", "model-versions/create", version), 404, "RESOURCE_DOES_NOT_EXIST"
    )


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("registered-models/create", {}, "Missing value for required parameter 'name'"),
        ("registered-models/create", {"name": " "}, "Missing value for required parameter 'name'"),
        ("registered-models/create", {"name": "a/b"}, "Names cannot contain '/' or ':'"),
        ("registered-models/create", {"name": 5}, "Value was of type 'int'"),
        ("registered-models/rename", {"name": "wine"}, "Missing value for required parameter 'new_name'"),
        ("model-versions/create", {"name": "wine"}, "Missing value for required parameter 'source'"),
        ("model-versions/transition-stage", {"name": "wine", "version": "x", "stage": "None"}, "positive integer"),
        ("model-versions/transition-stage", {"name": "wine", "version": "1", "stage": "Prod"}, "Value must be one of"),
        ("registered-models/alias", {"name": "wine", "alias": "latest", "version": "1"}, "reserved"),
        ("registered-models/alias", {"name": "wine", "alias": "v1", "version": "1"}, "reserved"),
        ("registered-models/alias", {"name": "wine", "alias": "a b", "version": "1"}, "Invalid alias name"),
        ("registered-models/get-latest-versions", {"name": "wine", "stages": ["x"]}, "Invalid Model Version stage: x"),
        ("registered-models/search", {"filter": "nmae = 'x'"}, "did you mean 'name'"),
        ("registered-models/search", {"max_results": 1001}, "max_results"),
        ("registered-models/search", {"page_token": "x"}, "page_token"),
        (
            "model-versions/set-tag",
            {"name": "wine", "version": "1", "key": "a$b", "value": "x"},
            "Names may only contain",
        ),
    ],
)
def test_what_cannot_be_meant(wine: Server, name: str, body: dict[str, object], said: str) -> None:
    assert said in refused(call(wine, "POST", name, body), 400, "INVALID_PARAMETER_VALUE")


def test_stages(wine: Server) -> None:
    """In any case, with the flag as R writes it; MLflow's 500 is a 400 here."""
    path = "model-versions/transition-stage"
    for version in "12":
        moved = wine.api(
            "POST",
            path,
            {"name": "wine", "version": version, "stage": "production", "archive_existing_versions": "TRUE"},
        )
        assert moved["model_version"]["current_stage"] == "Production"
    latest = "registered-models/get-latest-versions"
    for found in (
        wine.api("POST", latest, {"name": "wine"}),
        wine.call("GET", f"{API}{latest}?name=wine&stages=Production&stages=archived").json,
    ):
        told = {version["version"]: version["current_stage"] for version in found["model_versions"]}
        assert told == {"1": "Archived", "2": "Production"}
    body = {"name": "wine", "version": "1", "stage": "None", "archive_existing_versions": True}
    assert "not an Active stage" in refused(call(wine, "POST", path, body), 400, "INVALID_PARAMETER_VALUE")


def test_changing(wine: Server) -> None:
    """With DELETE and PATCH that carry bodies; what is not there is removed without a word."""
    patched = wine.api("PATCH", "registered-models/update", {"name": "wine", "description": "red"})
    assert patched["registered_model"]["description"] == "red"
    changed = wine.api("PATCH", "model-versions/update", {"name": "wine", "version": "1", "description": "first"})
    assert changed["model_version"]["description"] == "first"
    tag = {"name": "wine", "key": "k", "value": "v"}
    assert wine.api("POST", "registered-models/set-tag", tag) == {}
    assert wine.api("POST", "model-versions/set-tag", {**tag, "version": "2"}) == {}
    assert names(wine.api("GET", "model-versions/search", filter="tags.k = 'v'")) == ["wine/2"]
    assert names(wine.api("GET", "registered-models/search", filter="tags.k = 'v'")) == ["wine"]
    for _ in range(2):
        assert wine.api("DELETE", "registered-models/delete-tag", tag) == {}
        assert wine.api("DELETE", "model-versions/delete-tag", {**tag, "version": "2"}) == {}
        assert wine.api("DELETE", "registered-models/alias", {"name": "wine", "alias": "nope"}) == {}
    renamed = wine.api("POST", "registered-models/rename", {"name": "wine", "new_name": "vin"})["registered_model"]
    assert renamed["name"] == "vin"
    assert wine.api("DELETE", "model-versions/delete", {"name": "vin", "version": "2"}) == {}
    assert names(wine.api("GET", "model-versions/search")) == ["vin/1"]
    third = wine.api("POST", "model-versions/create", {"name": "vin", "source": "s3://b/m"})["model_version"]
    assert third["version"] == "3"
    assert wine.api("DELETE", "registered-models/delete", {"name": "vin"}) == {}
    assert wine.api("GET", "model-versions/search") == {}
    assert wine.api("GET", "registered-models/search") == {}


def test_search_in_pages(server: Server) -> None:
    """By GET, and by POST as R does; integers as text."""
    for name in ("a", "b", "c"):
        server.api("POST", "registered-models/create", {"name": name})
        server.api("POST", "model-versions/create", {"name": name, "source": f"s3://b/{name}"})
    first = server.api("GET", "registered-models/search", max_results="2")
    assert names(first) == ["a", "b"]
    rest = server.api("POST", "registered-models/search", {"max_results": "2", "page_token": first["next_page_token"]})
    assert names(rest) == ["c"]
    assert "next_page_token" not in rest
    assert names(server.api("GET", "registered-models/search", order_by="name DESC", filter="name LIKE '%'")) == [
        *("c", "b", "a")
    ]
    found = server.call("GET", f"{API}model-versions/search?order_by=name%20DESC&order_by=version_number").json
    assert names(found) == ["c/1", "b/1", "a/1"]
    assert names(server.api("GET", "model-versions/search", filter="name = 'b'")) == ["b/1"]


def test_prompts_are_not_found_by_who_does_not_ask(server: Server) -> None:
    for name, flag in (("plain", "false"), ("prompt", "true")):
        tags = [{"key": PROMPT, "value": flag}]
        server.api("POST", "registered-models/create", {"name": name, "tags": tags})
    body = {"name": "prompt", "source": "prompt-template", "tags": [{"key": PROMPT, "value": "true"}]}
    server.api("POST", "model-versions/create", body)
    server.api("POST", "registered-models/create", {"name": "bare"})
    assert names(server.api("GET", "registered-models/search", filter=f"tag.`{PROMPT}` != 'true'")) == ["bare", "plain"]
    assert names(server.api("GET", "registered-models/search")) == ["bare", "plain"]
    assert names(server.api("GET", "registered-models/search", filter=f"tag.`{PROMPT}` = 'true'")) == ["prompt"]
    assert names(server.api("GET", "model-versions/search")) == []


def test_versions_of_many_clients_are_dense(server: Server) -> None:
    """Sixteen threads, and no error but none at all."""
    server.api("POST", "registered-models/create", {"name": "wine"})

    def make(number: int) -> tuple[int, str]:
        answer = call(server, "POST", "model-versions/create", {"name": "wine", "source": f"s3://b/{number}"})
        return answer.status, answer.json["model_version"]["version"]

    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(make, range(64)))
    assert {status for status, _ in made} == {200}
    assert sorted(int(version) for _, version in made) == list(range(1, 65))


# -- where the files of a version are ----------------------------------------------------------------


@pytest.fixture
def places(wine: Server) -> dict[str, str]:
    """A run and a logged model, and where a client is told that they are."""
    run_id = wine.new_run()
    run = wine.api("GET", "runs/get", run_id=run_id)["run"]["info"]
    model = wine.api("POST", "logged-models", {"experiment_id": "0", "name": "m", "source_run_id": run_id})
    info = model["model"]["info"]
    return {"R": run_id, "RUN": run["artifact_uri"], "M": info["model_id"], "MODEL": info["artifact_uri"]}


@pytest.mark.parametrize(
    ("source", "named", "location"),
    [
        ("s3://b/any", "", "s3://b/any"),
        ("s3://b/any", "R", "s3://b/any"),
        ("RUN/model", "R", "RUN/model"),
        ("RUN", "R", "RUN"),
        ("runs:/R/model", "R", "runs:/R/model"),
        ("models:/M", "M", "MODEL"),
        ("models:/M", "RM", "MODEL"),
        ("models:/M", "", "MODEL"),
        ("MODEL", "M", "MODEL"),
        ("MODEL/sub", "M", "MODEL/sub"),
        ("models:/wine/1", "", "s3://b/m"),
        ("models:/wine@best", "", "s3://b/m"),
        ("models:/wine/latest", "", "s3://b/m"),
    ],
)
def test_sources(wine: Server, places: dict[str, str], source: str, named: str, location: str) -> None:
    """What is registered is found where it is; the run of a logged model is the version's."""
    wine.api("POST", "registered-models/alias", {"name": "wine", "alias": "best", "version": "1"})
    made = wine.api("POST", "model-versions/create", version_body(places, source, named))["model_version"]
    told = wine.api("GET", "model-versions/get-download-uri", name="wine", version=made["version"])
    assert told == {"artifact_uri": replaced(places, location)}
    of_model = "M" in named or source == "models:/M"
    assert made.get("run_id") == (places["R"] if of_model or "R" in named else None)
    again = wine.api("POST", "model-versions/create", {"name": "wine", "source": f"models:/wine/{made['version']}"})
    copied = again["model_version"]
    assert copied.get("run_id") == made.get("run_id")
    assert copied["source"] == f"models:/wine/{made['version']}"
    wine.api("DELETE", "model-versions/delete", {"name": "wine", "version": made["version"]})
    after = wine.api("GET", "model-versions/get-download-uri", name="wine", version=copied["version"])
    assert after == told


def replaced(places: dict[str, str], text: str) -> str:
    for name in ("RUN", "MODEL"):
        if text.startswith(name):
            return places[name] + text[len(name) :]
    return text.replace("/R/", f"/{places['R']}/").replace(":/M", f":/{places['M']}")


def version_body(places: dict[str, str], source: str, named: str) -> dict[str, str]:
    body = {"name": "wine", "source": replaced(places, source)}
    if "R" in named:
        body["run_id"] = places["R"]
    if "M" in named:
        body["model_id"] = places["M"]
    return body


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("/etc/passwd", ""),
        ("/etc/passwd", "R"),
        ("file:///etc", "M"),
        ("model", "R"),
        ("C:\\Windows", ""),
        ("RUN/model", ""),
        ("RUN/model", "M"),
        ("MODEL", "R"),
        ("RUN/../../x", "R"),
        ("RUN/%2e%2e/x", "R"),
        ("RUN/%252e%252e/x", "R"),
        ("MODEL/..%2f..", "M"),
        ("s3://b/../x", ""),
        ("s3://b/a%00b", ""),
        ("mlflow-artifacts:/0/other/artifacts", ""),
        ("mlflow-artifacts://host/0/R/artifacts", "R"),
        ("http://host/api/2.0/mlflow-artifacts/artifacts/0/x", ""),
        ("http://[", ""),
        ("runs:/R/model", ""),
        ("runs:/" + "b" * 32 + "/model", "R"),
        ("runs:/R/model", "M"),
        ("models:/m-" + "0" * 32, ""),
        ("models:/m-" + "0" * 32, "M"),
        ("models:/wine", ""),
        ("models://host/wine/1", ""),
        ("models:/wine/Staging", ""),
        ("models:/wine@nope", ""),
        ("models:/wine/1", "R"),
    ],
)
def test_sources_that_are_refused(wine: Server, places: dict[str, str], source: str, named: str) -> None:
    """What lies elsewhere than in what the client names, however it is written. No version is made."""
    answer = call(wine, "POST", "model-versions/create", version_body(places, source, named))
    refused(answer, 400, "INVALID_PARAMETER_VALUE")
    assert len(wine.api("GET", "model-versions/search")["model_versions"]) == 2


def test_a_source_in_a_run_that_is_not_there(wine: Server) -> None:
    missing = "b" * 32
    body = {"name": "wine", "source": f"runs:/{missing}/model", "run_id": missing}
    answer = call(wine, "POST", "model-versions/create", body)
    refused(answer, 400, "INVALID_PARAMETER_VALUE")
    assert f"Run with id={missing} not found" in answer.json["message"]
    assert len(wine.api("GET", "model-versions/search")["model_versions"]) == 2


def test_sources_on_disk(tmp_path: Path) -> None:
    """Where clients are told the places themselves, a folder of the run may be named as a URI or as a path."""
    with serving(tmp_path / "home", serve_artifacts=False) as server:
        server.api("POST", "registered-models/create", {"name": "wine"})
        run_id = server.new_run()
        place = server.api("GET", "runs/get", run_id=run_id)["run"]["info"]["artifact_uri"]
        assert place.startswith("file:///")
        body = {"name": "wine", "run_id": run_id}
        for source in (f"{place}/model", f"{place.removeprefix('file://')}/model"):
            made = server.api("POST", "model-versions/create", {**body, "source": source})["model_version"]
            told = server.api("GET", "model-versions/get-download-uri", name="wine", version=made["version"])
            assert (made["source"], told["artifact_uri"]) == (source, f"{place}/model")
        for source in (f"{place}/../x", f"{place}x", f"{place}/a/%2e%2e/b", str(tmp_path), "file://host" + place[7:]):
            refused(
                call(server, "POST", "model-versions/create", {**body, "source": source}),
                400,
                "INVALID_PARAMETER_VALUE",
            )


def test_a_source_of_a_version_that_is_not_there(wine: Server) -> None:
    body = {"name": "wine", "source": "models:/wine/99"}
    refused(call(wine, "POST", "model-versions/create", body), 404, "RESOURCE_DOES_NOT_EXIST")


def test_the_same_under_the_other_base(wine: Server) -> None:
    assert wine.call("GET", "/ajax-api/2.0/mlflow/registered-models/search").json["registered_models"]
