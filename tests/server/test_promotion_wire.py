"""Gates and approvals as MLflow's clients meet them: a 4xx that says what to do, and nothing is changed."""

from __future__ import annotations

import base64

import pytest
from server import API, Server

from toolkit.registry.gates import read_gate
from toolkit.registry.history import Author, ChangeQuery
from toolkit.registry.promotion import NewRequest, Policy, Target
from toolkit.registry.records import Stage
from toolkit.registry.store import PromotionStore
from toolkit.wiring.registry import open_catalog

PRODUCTION, CHAMPION = Target(stage=Stage.PRODUCTION), Target(alias="champion")


@pytest.fixture
def promotions(server: Server) -> PromotionStore:
    """What guards a model with two versions: a tag for its alias, a yes of somebody's for its stage."""
    server.api("POST", "registered-models/create", {"name": "wine"})
    for _ in range(2):
        server.api("POST", "model-versions/create", {"name": "wine", "source": "s3://b/m"})
    promotions = open_catalog(server.stores).promotions
    policies = [Policy(target=CHAMPION, gates=(read_gate("tag ok"),)), Policy(target=PRODUCTION, approvers=("eva",))]
    promotions.set_policies("wine", policies)
    return promotions


def test_a_move_that_lacks_something_is_refused_once(server: Server, promotions: PromotionStore) -> None:
    """A 5xx would be tried again for minutes; the message is all that a client shows."""
    before = promotions.history(ChangeQuery(name="wine")).items
    alias = {"name": "wine", "alias": "champion", "version": "1"}
    refused = server.call("POST", f"{API}registered-models/alias", alias)
    assert (refused.status, refused.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "tag ok: it has no such tag" in refused.json["message"]
    stage = {"name": "wine", "version": "1", "stage": "Production", "archive_existing_versions": True}
    refused = server.call("POST", f"{API}model-versions/transition-stage", stage)
    assert (refused.status, refused.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "only by a request that eva must approve" in refused.json["message"]
    assert "toolkit registry request wine/1 --stage Production" in refused.json["message"]
    assert "POST /api/v1/registry/requests" in refused.json["message"]
    assert promotions.history(ChangeQuery(name="wine")).items == before
    assert "aliases" not in server.api("GET", "registered-models/get", name="wine")["registered_model"]
    server.api("POST", "model-versions/set-tag", {"name": "wine", "version": "1", "key": "ok", "value": "yes"})
    server.api("POST", "registered-models/alias", alias)
    asked = promotions.acting(Author(user="ada")).request(NewRequest(name="wine", version=2, target=PRODUCTION))
    promotions.acting(Author(user="eva")).approve(asked.id)
    told = server.api("GET", "model-versions/get", name="wine", version="2")["model_version"]
    assert told["current_stage"] == "Production"


def test_who_changes_something_is_written_down(server: Server, promotions: PromotionStore) -> None:
    """Who logs in; else who is named; else nobody."""
    basic = "Basic " + base64.b64encode("müller:secret".encode()).decode()
    tag = {"name": "wine", "version": "1", "key": "k"}
    for value, headers in (
        ("1", {"Authorization": basic, "toolkit-user": "eve", "toolkit-reason": "d%C3%A9mo"}),
        ("2", {"toolkit-user": "eva"}),
        ("3", {}),
        ("4", {"Authorization": "Basic nonsense"}),
        ("5", {"Authorization": "Bearer whatever"}),
    ):
        answer = server.call("POST", f"{API}model-versions/set-tag", {**tag, "value": value}, headers)
        assert answer.status == 200, answer.body
    found = promotions.history(ChangeQuery(name="wine", key="k")).items
    assert [(change.new, change.user, change.reason) for change in reversed(found)] == [
        ("1", "müller", "démo"),
        ("2", "eva", None),
        ("3", None, None),
        ("4", None, None),
        ("5", None, None),
    ]
    long = server.call("POST", f"{API}model-versions/set-tag", {**tag, "value": "6"}, {"toolkit-user": "x" * 2_000})
    assert long.status == 400
