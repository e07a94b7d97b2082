"""The example of continuous delivery: trained by one, approved by another, rolled out by a worker."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from machine import Machine
from prefect_server import call, called, wait_for
from process import ServerProcess, server_process

from toolkit.db.engine import open_database
from toolkit.registry.events import DeliveryState
from toolkit.registry.sql_webhooks import SqlWebhookStore

pytestmark = pytest.mark.timeout(600)  # a server, a worker and a workflow, which all import a lot, on a busy machine

EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples/model-ci-cd")
MODEL = "wine-cultivars"


@contextlib.contextmanager
def acting(**variables: str) -> Iterator[None]:
    """Be somebody, somewhere, for a block: commands are called in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@pytest.mark.slow
def test_from_training_to_what_would_serve(machine: Machine, tmp_path: Path) -> None:
    home = tmp_path / "server-home"
    with server_process(home, PREFECT_API_URL=machine.api_url) as server:
        here = {"TOOLKIT_HOME": str(machine.home), "TOOLKIT_TRACKING_URI": server.url}
        with acting(LOGNAME="ada", **here):
            pool = ("-p", "rollout", "--pool-type", "process")
            called("flows", "deploy", EXAMPLE, "-w", "rollout", "--name", "rollout", "-P", "version=0", *pool)
            rules = ("--file", f"{EXAMPLE}/gates.yaml", "--create", "--reason", "rules of the team")
            called("registry", "gates", "set", MODEL, *rules)
        with acting(TOOLKIT_HOME=str(home)):
            told = ("--deployment", "rollout", "-e", "model_version.stage_changed=Production")
            given = ("-P", "model={name}", "-P", "version={version}", "-P", "reason={reason}")
            called("registry", "events", "webhooks", "add", "rollout", *told, *given)
        with acting(LOGNAME="ada", **here):
            trained = called("run", EXAMPLE, "-P", "regularizations=[1.0]")
            assert {step["status"] for step in trained["steps"]} == {"FINISHED"}
            (request,) = called("registry", "requests", MODEL)["requests"]
            assert (request["version"], request["target"], request["user"]) == (1, "Production", "ada")
            assert called("registry", "gates", "check", f"{MODEL}/1", "--stage", "Production")["passed"]
            code, _, said = call("registry", "approve", str(request["request"]))
            assert code == 2
            assert "nobody decides on a request of their own" in said
            assert called("registry", "show", f"{MODEL}/1")["stage"] == "None"
        with acting(LOGNAME="bob", **here):
            assert called("registry", "approve", str(request["request"]))["state"] == "DONE"
            assert called("registry", "show", f"{MODEL}/Production")["version"] == 1
            events = called("registry", "events", "list", MODEL)["events"]
            assert [each["event"] for each in events] == [
                "registered_model.created",
                "registered_model.gates_changed",
                "model_version.created",
                "transition_request.created",
                "transition_request.approved",
                "model_version.stage_changed",
            ]
            assert (events[-1]["data"]["user"], events[-1]["data"]["to"]) == ("bob", "Production")
        run = wait_for(lambda: asked_for(home))
        worker = machine.start("flows", "serve", "-p", "rollout", cwd=tmp_path, TOOLKIT_TRACKING_URI=server.url)
        serving = wait_for(lambda: what_serves(server, run))
        worker.terminate()
        worker.wait(120)
        assert serving["model"] == f"models:/{MODEL}/1"
        assert len(serving["answers"]) == 3
        assert serving["reason"].startswith("step release of run")
        with acting(LOGNAME="bob", **here):
            shown = called("deployments", "show", MODEL)
            assert (shown["state"], shown["releases"][0]["version"]) == ("serving", 1)
            assert shown["releases"][0]["why"] == serving["reason"]
            called("deployments", "delete", "-n", MODEL)
        with acting(LOGNAME="cy", **here):
            back = ("registry", "rollback", MODEL, "--stage", "Production")
            code, _, said = call(*back)
            assert (code, "--reason" in said) == (2, True)
            called(*back, "--reason", "answers too slowly")
            assert called("registry", "show", f"{MODEL}/1")["stage"] == "None"
            (last, *_) = called("registry", "history", MODEL, "--stage", "Production")["changes"]
            told = tuple(last[key] for key in ("user", "from", "to", "reason"))
            assert told == ("cy", "Production", "None", "answers too slowly")


def asked_for(home: Path) -> str | None:
    """Return the name of the run that the server has asked for, once it has."""
    database = open_database(f"sqlite:///{home}/toolkit.db")
    try:
        done = SqlWebhookStore(database).deliveries(state=DeliveryState.DONE, limit=9)
        return str(done[0].message).removeprefix("run ") if done else None
    finally:
        database.close()


def what_serves(server: ServerProcess, name: str) -> Any:  # noqa: ANN401 - a JSON document
    """Return what the deployment has written, once its run has ended."""
    runs = server.api("runs/search", {"experiment_ids": ["0"], "max_results": 100}).get("runs", [])
    found = [each for each in runs if each["info"]["run_name"] == name]
    if not found or found[0]["info"]["status"] == "RUNNING":
        return None
    assert found[0]["info"]["status"] == "FINISHED", found[0]
    for each in runs:
        uri = f"/api/2.0/mlflow-artifacts/artifacts/0/{each['info']['run_id']}/artifacts/serving.json"
        status, text = server.call("GET", uri)
        if status == 200:
            return json.loads(text)
    raise AssertionError("no run has left serving.json")
