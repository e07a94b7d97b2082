"""What a step says of itself by a bearer token, as a server reads it that clients make runs on."""

from __future__ import annotations

import base64
import http.client
import json

import pytest
from server import API, Server

from toolkit.tracking.step_token import step_token, tags_in

TAGS = {"mlflow.parentRunId": "0" * 32, "toolkit.step": "train", "prefect.flow_run_id": "é"}


def tags_of_new_run(server: Server, authorization: str, tags: dict[str, str]) -> dict[str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        body = {"experiment_id": "0", "tags": [{"key": key, "value": value} for key, value in tags.items()]}
        headers = {"Content-Type": "application/json", "Authorization": authorization}
        connection.request("POST", f"{API}runs/create", json.dumps(body), headers)
        answer = connection.getresponse()
        said = json.loads(answer.read())
    finally:
        connection.close()
    assert answer.status == 200, said
    return {each["key"]: each["value"] for each in said["run"]["data"].get("tags", [])}


def test_a_run_that_says_nothing_of_it_is_a_part_of_the_step(server: Server) -> None:
    found = tags_of_new_run(server, f"Bearer {step_token(TAGS)}", {"mine": "1"})
    assert found.items() >= {**TAGS, "mine": "1"}.items()


def test_what_a_client_says_counts_more(server: Server) -> None:
    found = tags_of_new_run(server, f"bearer {step_token(TAGS)}", {"mlflow.parentRunId": "f" * 32})
    assert found["mlflow.parentRunId"] == "f" * 32
    assert found["toolkit.step"] == "train"


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic bWU6c2VjcmV0",
        "Bearer somebody's",
        "Bearer toolkit-step.",
        "Bearer toolkit-step.%%%",
        "Bearer toolkit-step." + base64.urlsafe_b64encode(b'["a"]').decode(),
        "Bearer toolkit-step." + base64.urlsafe_b64encode(b'{"a": 1, "b": {}}').decode(),
        "Bearer toolkit-step." + base64.urlsafe_b64encode(b"[" * 2000).decode(),
        "Bearer toolkit-step." + base64.urlsafe_b64encode(json.dumps({"a": "b" * 5000}).encode()).decode(),
    ],
    ids=["none", "password", "other", "empty", "damaged", "list", "numbers", "deep", "long"],
)
def test_other_logins_and_damaged_tokens_say_nothing(server: Server, authorization: str) -> None:
    assert tags_in(authorization) == {}
    assert set(tags_of_new_run(server, authorization, {})) == {"mlflow.runName", "mlflow.user"}


def test_tags_that_no_header_has_room_for_are_not_said() -> None:
    assert step_token({"toolkit.step": "x" * 5000}) is None
