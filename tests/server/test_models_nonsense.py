"""Requests about models that no client would send: each is answered, and none with a 5xx."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from server import API, Server, serving

from toolkit.server.wire import logged_models, registered_models, versions

ENDPOINTS = [
    (method, endpoint.path)
    for endpoint in (*logged_models.ENDPOINTS, *registered_models.ENDPOINTS, *versions.ENDPOINTS)
    for method in endpoint.methods
]
FIELDS = (
    *(
        "name",
        "new_name",
        "version",
        "alias",
        "stage",
        "stages",
        "key",
        "value",
        "source",
        "run_id",
        "model_id",
        "tags",
    ),
    *("description", "filter", "order_by", "max_results", "page_token", "experiment_ids", "experiment_id", "params"),
    *("datasets", "models", "status", "archive_existing_versions", "model_json", "run_link", "model_type"),
    *("source_run_id", "artifact_directory_path", "allow_deleted"),
)
TEXTS = (
    *(
        "wine",
        "1",
        "best",
        "Production",
        "k",
        "0",
        "",
        " ",
        "\x00",
        "\ud800",
        "ä\U0001f600",
        "../..",
        "%00",
        "x" * 70_000,
    ),
    *("name = 'wine'", "name = ", "tags.`a", "models:/wine/1", "models:/", "models:/wine/" + "9" * 400, "runs:/x"),
    *("http://[::1", "file://%", "m-" + "0" * 32, "9" * 30, "-1", "1e999", "NaN", "LOGGED_MODEL_READY", "[[", "{}"),
    *("name REGEXP '('", "name DESC", "creation_timestamp > 1e400", "version_number BETWEEN 1 AND 9e99"),
)


def some(random: Random, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON
    """Return any value that JSON has."""
    kind = random.randrange(8 if depth < 3 else 5)
    if kind < 3:
        return random.choice(TEXTS)
    if kind == 3:
        return random.choice([0, -1, 2**63, 10**400, 1.5, 1e308, True, False, None, 3])
    if kind == 4:
        return []
    if kind < 7:
        return [some(random, depth + 1) for _ in range(random.randrange(1, 3))]
    names = [*FIELDS, "model_id", "step", "dataset_name", "field_name", "ascending"]
    return {random.choice(names): some(random, depth + 1) for _ in range(3)}


def test_no_request_is_the_fault_of_a_server_on_postgresql(tmp_path: Path, postgres_emptied_url: str) -> None:
    """Which takes less text than SQLite does."""
    with serving(tmp_path / "home", tracking_uri=postgres_emptied_url) as server:
        test_no_request_is_the_servers_fault(server, 5)


@pytest.mark.parametrize("seed", range(4))
def test_no_request_is_the_servers_fault(server: Server, seed: int) -> None:
    server.api("POST", "registered-models/create", {"name": "wine"})
    server.api("POST", "model-versions/create", {"name": "wine", "source": "s3://b/m"})
    model_id = server.api("POST", "logged-models", {"experiment_id": "0", "name": "m"})["model"]["info"]["model_id"]
    random = Random(seed)
    usual = {"name": "wine", "version": "1", "key": "k", "experiment_ids": ["0"], "experiment_id": "0"}
    for _ in range(12):
        for method, path in ENDPOINTS:
            place = API + path.replace("{model_id}", random.choice([model_id, "m-1"])).replace("{tag_key:path}", "a/b")
            given = {name: some(random) for name in random.sample(FIELDS, 4)}
            body = {**usual, **given} if random.random() < 0.7 else given
            if method == "GET":
                query = {name: value for name, value in body.items() if isinstance(value, str) and len(value) < 1_000}
                query = {name: value.replace("\ud800", "?") for name, value in query.items()}
                answer = server.call(method, place, **query)
            else:
                answer = server.call(method, place, body)
            assert answer.status < 500, (method, place, body, answer.body)
            if answer.status != 200:
                assert set(answer.json) >= {"error_code", "message"}
