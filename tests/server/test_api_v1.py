"""Our API as its clients see it: exact, typed as its document says, bounded, and the same store as MLflow's wire."""

from __future__ import annotations

import gzip
import http.client
import json
import math
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from process import ServerProcess, server_process
from server import Server, serving

from toolkit.ids import new_run_id
from toolkit.registry.history import Author
from toolkit.registry.promotion import NewRequest, Target
from toolkit.server.v1 import deployment_records as deployments
from toolkit.server.v1 import model_records, promotion_records, records, registry_events, registry_records
from toolkit.testing.registry_store import new_version
from toolkit.testing.runs import OWNER, START, add_run, new_run
from toolkit.tracking.entries import Begun, Ended, Entry, Logged
from toolkit.tracking.http import HttpRunStore
from toolkit.tracking.http_codec import JOURNAL_TYPE, entries_out
from toolkit.tracking.limits import check_points
from toolkit.tracking.records import ArtifactEntry, Dataset, DatasetInput, Metric, RunStatus
from toolkit.transport.client import HttpClient
from toolkit.wiring.registry import open_catalog

ROOT = Path(__file__).resolve().parents[2]


def v1(server: Server, method: str, path: str, body: object = None, /, status: int = 200, **query: str) -> Any:  # noqa: ANN401 - JSON
    """Call an endpoint; return its answer."""
    headers = {"toolkit-user": "eva", "toolkit-reason": "why%20not"}
    answer = server.call(method, f"/api/v1{path}", body, headers, **query)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    return answer.json


def filled(server: Server) -> str:
    """Make a run with all that a run may have; return its id."""
    runs = server.stores.runs
    run_id = add_run(runs, parent_run_id=None, params={"a": "1"}, tags={"t": "ü"}, owner=OWNER, lease_ms=1).info.run_id
    values = (0.1, math.nan, math.inf, -math.inf, -0.0, 5e-324)
    runs.log_batch(
        run_id, metrics=[Metric(key=f"m{n}", value=v, timestamp=n, step=2**60 + n) for n, v in enumerate(values)]
    )
    runs.record_artifacts(run_id, [ArtifactEntry(path="a/b", size=3, sha256="0" * 64, created=START)])
    data = Dataset(name="d", digest="1", source_type="local", source="{}", schema="{}")
    runs.log_inputs(run_id, [DatasetInput(dataset=data, tags={"mlflow.data.context": "training"})])
    return run_id


def test_answers_are_what_the_document_says(server: Server) -> None:
    """Each endpoint's answer, read by the type that the OpenAPI document is made of."""
    run_id = filled(server)
    child = add_run(server.stores.runs, parent_run_id=run_id).info.run_id
    owner = {"host": OWNER.host, "pid": OWNER.pid, "started": OWNER.started}
    search = {"filter": "params.a = '1'", "order_by": ["metrics.m0"], "fields": ["metrics.*"]}
    file = {"path": "c", "size": 1, "sha256": "1" * 64}
    step_key = {
        "run_id": run_id,
        "key": "5" * 64,
        "family": "6" * 64,
        "reusable": True,
        "created": 1,
        "components": "{}",
    }
    new_model = {"model_id": f"m-{'7' * 32}", "experiment_id": "0", "name": "m", "tags": {"a": "b"}}
    model = f"/logged-models/{new_model['model_id']}"
    measured = {"key": "m", "value": "NaN", "timestamp": 1, "model_id": new_model["model_id"], "run_id": run_id}
    version = {"source": "s3://b/m", "location": "s3://b/m", "tags": {"a": "b"}}
    beer, promotions = "/registered-models/beer", open_catalog(server.stores).acting(Author(user="ada")).promotions
    open_catalog(server.stores).registered.create_model("beer")
    for number in (1, 2):
        open_catalog(server.stores).registered.create_version(new_version("beer"))
        promotions.request(NewRequest(name="beer", version=number, target=Target(alias="best")))
    asked_for = {"name": "beer", "version": 1, "target": "Production", "archive_existing": True}
    policies = [{"target": "Production", "gates": ["tag a = b"], "approvals": 1, "approvers": ["ada", "eva"]}]
    served = f"/deployments/{'8' * 32}"
    deployment = {"name": "prod", "target": "local", "state": "creating", "config": {"a": [1.5, None]}}
    calls: list[tuple[type[Any], str, str, object]] = [
        (records.About, "GET", "/about", None),
        (records.ExperimentTold, "POST", "/experiments", {"name": "wine", "tags": {"a": "b"}}),
        (records.ExperimentTold, "POST", "/experiments/ensure", {"name": "wine"}),
        (records.ExperimentFound, "POST", "/experiments/find", {"name": "nobody's"}),
        (records.ExperimentFound, "POST", "/experiments/find", {"name": "wine"}),
        (records.ExperimentPage, "POST", "/experiments/search", {"filter": "name = 'wine'"}),
        (records.ExperimentPage, "GET", "/experiments?lifecycle=any&limit=1", None),
        (records.ExperimentTold, "GET", "/experiments/0", None),
        (records.ExperimentTold, "PATCH", "/experiments/1", {"tags": {"a": None}}),
        (records.RunTold, "POST", "/runs", {"run_id": new_run_id(), "run_name": "r", "start_time": START}),
        (records.RunTold, "GET", f"/runs/{run_id}", None),
        (records.RunTold, "PATCH", f"/runs/{run_id}", {"run_name": "new"}),
        (records.RunPage, "POST", "/runs/list", {"limit": 2}),
        (records.RunPage, "POST", "/runs/search", search),
        (records.Count, "POST", "/runs/count", search),
        (records.Sizes, "POST", "/runs/sizes", {"run_ids": [run_id, "nope"]}),
        (records.RunPage, "GET", f"/runs/{run_id}/children", None),
        (records.Ancestors, "GET", f"/runs/{child}/ancestors", None),
        (records.Done, "POST", f"/runs/{run_id}/batch", {"metrics": [{"key": "x", "value": 1, "timestamp": 0}]}),
        (records.Done, "POST", f"/runs/{run_id}/inputs", {"inputs": []}),
        (records.HistoryPage, "GET", f"/runs/{run_id}/history?key=m1", None),
        (records.History, "GET", f"/runs/{run_id}/sample?key=m1", None),
        (records.SeriesTold, "GET", f"/series?run_ids={run_id}&keys=m1&points=40", None),
        (records.SeriesTold, "POST", "/series", {"run_ids": [run_id, "nope", child], "keys": ["m1", "m2", "nope"]}),
        (records.ArtifactPage, "GET", f"/runs/{run_id}/artifacts", None),
        (records.Done, "POST", f"/runs/{run_id}/artifacts", {"artifacts": [file]}),
        (records.PathsTold, "POST", f"/runs/{run_id}/artifacts/forget", {"paths": ["c", "d"]}),
        (records.Applied, "PUT", "/journal/j/entries?first=0", {"entries": [None]}),
        (records.LineageTold, "GET", f"/lineage?kind=run&id={run_id}", None),
        (records.Done, "POST", "/step-keys", step_key),
        (records.StepKeysTold, "POST", "/step-keys/find", {"family": "6" * 64}),
        (records.RunIdsTold, "POST", "/step-keys/forget", {"run_ids": [run_id]}),
        (records.Renewed, "POST", "/leases/renew", {"owner": owner, "run_ids": [run_id], "lease_ms": 1}),
        (records.Candidates, "POST", "/leases/candidates", {"host": "h"}),
        (records.Lost, "POST", f"/runs/{run_id}/lost", {"reason": "r", "owner": owner, "expired": False}),
        (model_records.LoggedModelTold, "POST", "/logged-models", new_model),
        (model_records.LoggedModelPage, "POST", "/logged-models/search", {"filter": "name = 'm'"}),
        (records.Done, "POST", "/logged-models/metrics", {"metrics": [{**measured, "dataset": {"name": "d"}}]}),
        (model_records.LoggedModelTold, "GET", f"{model}?allow_deleted=true", None),
        (model_records.LoggedModelTold, "PATCH", model, {"status": "READY"}),
        (records.Done, "POST", f"{model}/tags", {"tags": {"a": None}}),
        (records.Done, "POST", f"{model}/params", {"params": {"p": "1"}}),
        (records.Done, "POST", f"{model}/files", {"files": [file]}),
        (model_records.ModelFilesTold, "GET", f"{model}/files", None),
        (records.Done, "POST", f"{model}/files/forget", {"paths": ["c"]}),
        (records.Done, "POST", f"/runs/{run_id}/models/inputs", {"model_ids": [new_model["model_id"]]}),
        (records.Done, "POST", f"/runs/{run_id}/models/outputs", {"models": [{"model_id": new_model["model_id"]}]}),
        (model_records.ModelsOfRuns, "POST", "/logged-models/find", {"run_ids": [run_id]}),
        (records.Done, "DELETE", model, {}),
        (records.Removed, "POST", "/logged-models/purge", {"model_ids": [new_model["model_id"]]}),
        (registry_records.RegisteredTold, "POST", "/registered-models", {"name": "red wine"}),
        (registry_records.VersionTold, "POST", "/registered-models/red%20wine/versions", version),
        (records.Done, "PUT", "/registered-models/red%20wine/aliases/best", {"version": 1}),
        (registry_records.VersionTold, "GET", "/registered-models/red%20wine/aliases/best", None),
        (registry_records.VersionTold, "GET", "/registered-models/red%20wine/versions/1", None),
        (registry_records.VersionTold, "PATCH", "/registered-models/red%20wine/versions/1", {"tags": {"a": None}}),
        (registry_records.VersionTold, "POST", "/registered-models/red%20wine/versions/1/stage", {"stage": "Staging"}),
        (registry_records.VersionsTold, "GET", "/registered-models/red%20wine/latest?stages=staging,none", None),
        (registry_records.VersionPage, "POST", "/model-versions/search", {"filter": "name = 'red wine'"}),
        (registry_records.NeededTold, "GET", f"/model-versions/needed?holder={run_id}", None),
        (registry_records.RegisteredPage, "POST", "/registered-models/search", {}),
        (registry_records.RegisteredTold, "GET", "/registered-models/red%20wine", None),
        (records.Done, "DELETE", "/registered-models/red%20wine/aliases/best", {}),
        (records.Done, "DELETE", "/registered-models/red%20wine/versions/1", {}),
        (registry_records.RegisteredTold, "PATCH", "/registered-models/red%20wine", {"new_name": "vin"}),
        (promotion_records.RequestTold, "POST", "/registry/requests/1/approve", {}),
        (promotion_records.RequestTold, "POST", "/registry/requests/2/reject", {}),
        (promotion_records.RequestTold, "POST", "/registry/requests", asked_for),
        (promotion_records.RequestTold, "GET", "/registry/requests/1", None),
        (promotion_records.RequestTold, "POST", "/registry/requests/3/withdraw", {}),
        (promotion_records.RequestTold, "POST", "/registry/requests/3/comment", {}),
        (promotion_records.RequestPage, "POST", "/registry/requests/search", {"state": "PENDING"}),
        (promotion_records.PoliciesTold, "PUT", f"{beer}/policies", {"policies": policies}),
        (promotion_records.PoliciesTold, "GET", f"{beer}/policies", None),
        (promotion_records.ReportTold, "GET", f"{beer}/versions/1/gates?target=production", None),
        (promotion_records.ChangesTold, "POST", f"{beer}/rollback", {"target": "@best"}),
        (promotion_records.HeldTold, "GET", f"{beer}/held?time=1", None),
        (promotion_records.ChangePage, "POST", "/registry/changes/search", {"name": "beer", "limit": 2}),
        (deployments.DeploymentTold, "POST", "/deployments", {"id": served[13:], **deployment}),
        (deployments.DeploymentTold, "GET", "/deployments/named/prod", None),
        (deployments.ReleaseTold, "POST", f"{served}/releases", {"model": "beer", "version": 1, "bento": "beer:1"}),
        (deployments.ReleaseTold, "PATCH", f"{served}/releases/1", {"state": "serving"}),
        (deployments.DeploymentTold, "PATCH", served, {"expected": ["creating"], "state": "serving", "release": 1}),
        (deployments.DeploymentsTold, "GET", "/deployments?model=beer&deleted=true", None),
        (deployments.ReleasesTold, "GET", f"{served}/releases", None),
        (deployments.ReleasesTold, "GET", "/deployments/current", None),
        (deployments.BentoTold, "POST", "/bentos", {"tag": "b:1", "digest": "1", "model": "beer", "version": 1}),
        (deployments.BentosTold, "GET", "/bentos?model=beer", None),
        (registry_events.EventPage, "GET", "/registry/events?after=1&limit=2", None),
        (records.Done, "DELETE", "/registered-models/vin", {}),
        (records.Removed, "POST", "/purge", {"run_ids": [run_id]}),
        (records.Services, "GET", "/services", None),
        (records.PictureTold, "POST", "/pictures", {}),
        (records.Done, "DELETE", "/pictures/nope", {}),
    ]
    document = v1(server, "GET", "/openapi.json")
    asked = set()
    for kind, method, target, body in calls:
        told = v1(server, method, target, body)
        kind.model_validate(told)
        assert set(told) <= set(kind.model_fields), target
        path = f"/api/v1{target.partition('?')[0]}"
        templates = [each for each in document["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), path)]
        template = min(templates, key=lambda each: each.count("{"))
        asked.add((method, template))
        answer = document["paths"][template][method.lower()]["responses"]["200"]["content"]["application/json"]
        assert answer["schema"]["$ref"].endswith(f"/{kind.__name__}"), target
    known = {(method.upper(), path) for path, each in document["paths"].items() for method in each}
    assert known - asked == {("GET", "/api/v1/runs/{run_id}/events"), ("GET", "/api/v1/registry/events/stream")}


def test_the_page_about_the_api_lists_each_endpoint(server: Server) -> None:
    document = v1(server, "GET", "/openapi.json")
    known = {f"{method.upper()} {path}" for path, each in document["paths"].items() for method in each}
    page = (ROOT / "docs" / "reference" / "server-api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([A-Z]+ /api/v1/[^`]*)`", page, re.MULTILINE))
    assert listed == known
    for path, each in document["paths"].items():
        for method, operation in each.items():
            row = next(line for line in page.splitlines() if line.startswith(f"| `{method.upper()} {path}`"))
            for parameter in operation.get("parameters", ()):
                assert parameter["in"] != "query" or f"`{parameter['name']}`" in row, row


def test_numbers_are_exact(server: Server) -> None:
    told = v1(server, "GET", f"/runs/{filled(server)}")["metrics"]
    assert [told[f"m{n}"]["value"] for n in range(4)] == [0.1, "NaN", "Infinity", "-Infinity"]
    assert math.copysign(1.0, told["m4"]["value"]) == -1.0
    assert (told["m5"]["value"], told["m5"]["step"]) == (5e-324, 2**60 + 5)
    run_id = server.new_run()
    points = [{"key": "m", "value": value, "timestamp": 0, "step": 2**62} for value in ("NaN", "-Infinity", -0.0, 1)]
    v1(server, "POST", f"/runs/{run_id}/batch", {"metrics": points})
    found = v1(server, "GET", f"/runs/{run_id}/history", key="m")
    assert json.dumps(found["values"]) == '["-Infinity", -0.0, 1.0, "NaN"]'
    assert found["steps"] == [2**62] * 4


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/runs/" + "f" * 32, None, 404, "NOT_FOUND"),
        ("GET", "/nothing", None, 404, "NO_SUCH_ENDPOINT"),
        ("DELETE", "/experiments", {}, 405, "NO_SUCH_ENDPOINT"),
        ("POST", "/experiments", {"name": "Default"}, 400, "ALREADY_EXISTS"),
        ("POST", "/experiments", {"name": ""}, 400, "INVALID_VALUE"),
        ("POST", "/experiments", {"name": 3}, 400, "INVALID_VALUE"),
        ("POST", "/experiments", {"name": "a", "nmae": "b"}, 400, "INVALID_VALUE"),
        ("POST", "/experiments", [], 400, "INVALID_VALUE"),
        ("POST", "/experiments", b"{", 400, "INVALID_VALUE"),
        ("POST", "/experiments", None, 400, "INVALID_VALUE"),
        ("POST", "/experiments", {"name": "\ud800"}, 400, "INVALID_VALUE"),
        ("GET", "/experiments?limit=0", None, 400, "INVALID_VALUE"),
        ("GET", "/experiments?limit=x", None, 400, "INVALID_VALUE"),
        ("GET", "/experiments/0%2f..", None, 404, "NO_SUCH_ENDPOINT"),
        ("POST", "/runs/search", {"filter": "metrics.m <"}, 400, "INVALID_VALUE"),
        ("GET", "/logged-models/m-1", None, 404, "NOT_FOUND"),
        ("GET", "/registered-models/nobody's", None, 404, "NOT_FOUND"),
        ("GET", "/registered-models/wine/latest?stages=x", None, 400, "INVALID_VALUE"),
        ("GET", "/registered-models/wine/versions/x", None, 400, "INVALID_VALUE"),
        ("POST", "/registered-models", {"name": "a/b"}, 400, "INVALID_VALUE"),
        ("POST", "/runs/list", {"lifecycle": "gone"}, 400, "INVALID_VALUE"),
        ("POST", "/series", {"run_ids": ["a"] * 1001, "keys": ["m"]}, 400, "INVALID_VALUE"),
        ("POST", "/series", {"run_ids": ["a"] * 500, "keys": ["m", "n", "o"]}, 400, "INVALID_VALUE"),
        ("POST", "/runs/x/batch", {"columns": {"keys": ["a"]}}, 400, "INVALID_VALUE"),
        ("POST", "/leases/renew", {"owner": {}, "run_ids": [], "lease_ms": 1}, 400, "INVALID_VALUE"),
        ("PUT", "/journal/j/entries?first=0", b"", 400, "INVALID_VALUE"),
        ("PUT", "/journal/j/entries?first=-1", {"entries": []}, 400, "INVALID_VALUE"),
        ("PUT", "/journal/j/entries", {"entries": []}, 400, "INVALID_VALUE"),
        ("PUT", "/journal/j/entries?first=0", {"entries": [{"nothing": 1}]}, 400, "INVALID_VALUE"),
        ("PUT", "/journal/j/entries?first=0", {"entries": 3}, 400, "INVALID_VALUE"),
    ],
)
def test_what_is_wrong_is_never_the_servers_fault(
    server: Server, method: str, path: str, body: object, status: int, code: str
) -> None:
    told = v1(server, method, path, body, status)
    assert told["code"] == code
    assert isinstance(told["message"], str)
    assert "Traceback" not in told["message"]


# -- entries of journals -----------------------------------------------------------------------------


def put(server: Server, entries: bytes, *, first: int = 0, name: str = "j", status: int = 200) -> Any:  # noqa: ANN401 - JSON
    answer = server.call(
        "PUT", f"/api/v1/journal/{name}/entries", entries, {"Content-Type": JOURNAL_TYPE}, first=str(first)
    )
    assert answer.status == status, answer.body
    return answer.json


def test_entries_as_json(server: Server) -> None:
    """All kinds, in an order that a run has; once, however often they are sent."""
    run_id = new_run_id()
    begun = {"run_id": run_id, "run_name": "r", "start_time": 5, "owner": {"host": "h", "pid": 1, "started": 2}}
    columns = {"keys": ["m", "m"], "steps": [1, 2], "timestamps": [3, 4], "values": [0.5, "NaN"]}
    body = {
        "entries": [
            {"begun": begun},
            {"logged": run_id, "columns": columns, "params": {"a": "1"}, "tags": {"t": "x"}},
            {"logged": run_id, "params": {"a": "2"}},
            {"logged": run_id, "columns": {"keys": ["m"]}},
            None,
            {"listed": run_id, "artifacts": [{"path": "f", "size": 1, "sha256": "0" * 64}]},
            {"used": run_id, "inputs": [{"dataset": {"name": "d", "digest": "1", "source_type": "l", "source": "s"}}]},
            {"ended": run_id, "status": "FINISHED", "end_time": 9},
        ]
    }
    told = v1(server, "PUT", "/journal/j/entries", body, first="0")
    assert told["position"] == 8
    assert [(each["index"], each["code"]) for each in told["rejections"]] == [(2, "CONFLICT"), (3, "INVALID_VALUE")]
    v1(server, "PUT", "/journal/j/entries", body, first="0")
    run = v1(server, "GET", f"/runs/{run_id}")
    assert (run["status"], run["end_time"], run["params"], run["metrics"]["m"]["step"]) == (
        "FINISHED",
        9,
        {"a": "1"},
        2,
    )
    assert v1(server, "GET", f"/runs/{run_id}/history", key="m")["values"] == [0.5, "NaN"]
    assert len(run["inputs"]) == 1


def test_bytes_that_are_no_entries_are_refused_one_by_one(server: Server) -> None:
    """Or as a whole where they do not even fit together; what is good beside them is written."""
    new = new_run()
    good = entries_out([Begun(new=new), Logged(run_id=new.run_id, tags={"a": "b"})])
    bad = [b"", b"z", b"j{", b'j{"begun":3}', b"m\0\0", b'j{"logged":"x","points":[],"params":[],"tags":3}', b"j[[[["]
    bad += [
        b'j{"ended":"x","status":"RUNNING","end_time":"now","reason":4}',
        b"M\xff\xff\xff\xff\xff\xff",
        b"j" + b"[" * 9,
    ]
    framed = [len(each).to_bytes(4, "little") + each for each in bad]
    told = put(server, b"".join([good[0], *framed, good[1]]))
    assert told["position"] == len(bad) + 2
    assert {each["index"] for each in told["rejections"]} == set(range(2, len(bad) + 1))
    assert server.stores.runs.get_run(new.run_id).data.tags["a"] == "b"
    for cut in (good[0][:-1], good[0] + b"\1\0", b"\xff\xff\xff\xff"):
        assert put(server, cut, status=400)["code"] == "INVALID_VALUE"


def test_points_are_not_believed(server: Server) -> None:
    """What a client says it has checked is checked again."""
    new = new_run()
    server.stores.runs.create_run(new)
    bad = [("a$b", 0, 0, 1.0, 0), ("m", 0, -1, 1.0, 0), ("m", 0, 0, 1.0, 7), ("", 0, 0, 1.0, 0)]
    entries: list[Entry | None] = [Logged(run_id=new.run_id, points=[point]) for point in bad]
    entries.append(Logged(run_id=new.run_id, points=[("m", 1, 1, math.nan, 0), ("n", 1, 1, -0.0, 0)]))
    told = put(server, b"".join(entries_out(entries)))
    assert [each["index"] for each in told["rejections"]] == [0, 1, 3]
    data = server.stores.runs.get_run(new.run_id).data
    assert repr(sorted(data.metrics.items())) == "[('m', nan), ('n', -0.0)]"


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: Server) -> None:
    told = server.raw(
        f"PUT /api/v1/journal/j/entries?first=0 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Content-Type: {JOURNAL_TYPE}\r\nContent-Length: {65 << 20}\r\nConnection: close\r\n\r\n".encode()
    )
    assert told.startswith(b"HTTP/1.1 413")


def test_many_entries_take_one_request(server: Server) -> None:
    """Five thousand points of a hundred steps each, as a training's journal sends them."""
    new = new_run()
    points = check_points([Metric(key="m", value=n / 3, timestamp=n, step=n) for n in range(5_000)])
    entries: list[Entry | None] = [Begun(new=new), Logged(run_id=new.run_id, points=points)]
    entries.append(Ended(run_id=new.run_id, status=RunStatus.FINISHED, end_time=9))
    store = HttpRunStore(HttpClient(server.url))
    assert store.apply(entries, journal="j", first=0) == []
    found = store.metric_history(new.run_id, "m")
    store.close()
    assert [point.value for point in found.items] == [n / 3 for n in range(5_000)]


# -- trees, series, pictures, places ----------------------------------------------------------------


def test_a_tree_of_runs(server: Server) -> None:
    runs = server.stores.runs
    root = add_run(runs).info.run_id
    middle = add_run(runs, parent_run_id=root).info.run_id
    leaf = add_run(runs, parent_run_id=middle).info.run_id
    ring = add_run(runs, run_id="ring", parent_run_id="ring").info.run_id
    lost = add_run(runs, parent_run_id="f" * 32).info.run_id

    def above(run_id: str) -> list[str]:
        return [run["run_id"] for run in v1(server, "GET", f"/runs/{run_id}/ancestors")["runs"]]

    assert above(leaf) == [middle, root]
    assert above(root) == above(ring) == above(lost) == []
    children = v1(server, "GET", f"/runs/{root}/children")
    assert [run["run_id"] for run in children["runs"]] == [middle]
    v1(server, "GET", f"/runs/{'f' * 32}/children", status=404)


def test_series_for_a_chart(server: Server) -> None:
    runs = server.stores.runs
    ids = [add_run(runs).info.run_id for _ in range(3)]
    for run_id in ids[:2]:
        runs.log_batch(run_id, metrics=[Metric(key="m", value=float(n), timestamp=n, step=n) for n in range(101)])
    body = {"run_ids": [*ids, "nope"], "keys": ["m", "n"], "points": 8, "end_step": 50, "smooth": 0.5}
    told = v1(server, "POST", "/series", body)["series"]
    assert [(each["run_id"], each["key"], each["steps"]) for each in told] == [
        (run_id, "m", [0, 31, 32, 50]) for run_id in ids[:2]
    ]
    assert told[0]["total"] == 51
    assert told[0]["smoothed"][3] == pytest.approx(49, abs=1e-9)
    place = f"/api/v1/series?run_ids={ids[0]}&run_ids={ids[1]}&keys=m&points=8&end_step=50&smooth=0.5"
    assert server.call("GET", place, None, {}).json["series"] == told


def test_long_series_are_sent_compressed_to_who_takes_that(server: Server) -> None:
    run_id = add_run(server.stores.runs).info.run_id
    points = [Metric(key="m", value=n / 7, timestamp=n, step=n) for n in range(2_000)]
    server.stores.runs.log_batch(run_id, metrics=points)
    place = f"/api/v1/series?run_ids={run_id}&keys=m&points=2000"
    plain = server.call("GET", place, None, {})
    short = server.call("GET", place, None, {"Accept-Encoding": "gzip, br"})
    assert "content-encoding" not in plain.headers
    assert short.headers["content-encoding"] == "gzip"
    assert gzip.decompress(short.body) == plain.body
    assert len(short.body) < len(plain.body) / 2


def test_a_picture_that_is_over_is_said(server: Server) -> None:
    name = v1(server, "POST", "/pictures", {})["picture"]
    add_run(server.stores.runs)
    before = server.call("POST", "/api/v1/runs/count", {}, {"Toolkit-Picture": name}).json
    assert (before, v1(server, "POST", "/runs/count", {})) == ({"count": 0}, {"count": 1})
    v1(server, "DELETE", f"/pictures/{name}", {})
    gone = server.call("POST", "/api/v1/runs/count", {}, {"Toolkit-Picture": name})
    assert (gone.status, gone.json["code"]) == (404, "NOT_FOUND")
    names = [v1(server, "POST", "/pictures", {})["picture"] for _ in range(16)]
    assert v1(server, "POST", "/pictures", {}, 503)["code"] == "STORE_BUSY"
    for each in names:
        v1(server, "DELETE", f"/pictures/{each}", {})


def test_places_are_the_servers_own_matter(server: Server, tmp_path: Path) -> None:
    """Clients are told names behind the server, and those that they give back are the server's places again."""
    run_id = new_run_id()
    body = {"run_id": run_id, "run_name": "r", "start_time": 1, "artifact_uri": "mlflow-artifacts:/x/y/artifacts"}
    assert v1(server, "POST", "/runs", body)["artifact_uri"] == "mlflow-artifacts:/x/y/artifacts"
    assert server.stores.runs.get_run(run_id).info.artifact_uri == f"{server.stores.artifact_root}/x/y/artifacts"
    odd = v1(server, "POST", "/experiments", {"name": "odd", "artifact_location": "mlflow-artifacts:/../../etc"})
    assert odd["artifact_location"] == "mlflow-artifacts:/../../etc"  # text, and nothing that is ever opened
    assert str(tmp_path) not in json.dumps([v1(server, "GET", "/about"), v1(server, "GET", "/experiments/0")])


def test_a_prefix_stands_before_all_of_it(tmp_path: Path) -> None:
    with serving(tmp_path / "home", prefix="/ml") as server:
        store = HttpRunStore(HttpClient(server.url))
        run = add_run(store)
        assert store.get_run(run.info.run_id) == run
        store.close()
        paths = server.call("GET", "/api/v1/openapi.json").json["paths"]
        assert all(path.startswith("/ml/api/v1/") for path in paths)


def test_a_page_of_somebody_else_cannot_write(server: Server) -> None:
    headers = {"Content-Type": JOURNAL_TYPE, "Origin": "https://evil.example"}
    answer = server.call("PUT", "/api/v1/journal/j/entries?first=0", b"", headers)
    assert answer.status == 403


# -- events ------------------------------------------------------------------------------------------


class Listener:
    """Reads server-sent events."""

    def __init__(self, server: Server | ServerProcess, run_id: str, query: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        self._connection.request("GET", f"/api/v1/runs/{run_id}/events{query}")
        self.response = self._connection.getresponse()

    def events(self) -> Iterator[tuple[str, Any]]:
        kind = ""
        while line := self.response.readline():
            if line.startswith(b"event: "):
                kind = line[7:].decode().strip()
            elif line.startswith(b"data: "):
                yield kind, json.loads(line[6:])

    def close(self) -> None:
        self.response.close()
        self._connection.close()


def test_what_becomes_of_the_steps_of_a_run_is_sent(server: Server) -> None:
    runs = server.stores.runs
    whole = add_run(runs).info.run_id
    listener = Listener(server, whole, "?steps=true")
    events = listener.events()
    assert [next(events)[0], next(events)] == ["run", ("steps", {})]
    step = add_run(runs, parent_run_id=whole, run_name="train x=1", tags={"toolkit.step": "train"}).info.run_id
    add_run(runs, parent_run_id=whole)  # no step's
    told = {"step": "train", "run_name": "train x=1", "status": "RUNNING", "cached": False, "pruned": False}
    assert next(events) == ("steps", {step: told})
    runs.update_run(step, status=RunStatus.FINISHED)
    assert next(events) == ("steps", {step: {**told, "status": "FINISHED"}})
    runs.update_run(whole, status=RunStatus.FINISHED)
    assert [kind for kind, _ in events] == ["run", "end"]
    listener.close()


def test_what_becomes_of_a_run_is_sent(server: Server) -> None:
    runs = server.stores.runs
    run_id = add_run(runs).info.run_id
    listener = Listener(server, run_id)
    assert listener.response.headers["content-type"].startswith("text/event-stream")
    events = listener.events()
    assert next(events)[1]["status"] == "RUNNING"
    runs.log_batch(run_id, metrics=[Metric(key="m", value=math.nan, timestamp=1)])
    assert next(events)[1]["metrics"]["m"]["value"] == "NaN"
    runs.update_run(run_id, status=RunStatus.FINISHED)
    assert [(kind, told.get("status")) for kind, told in events] == [("run", "FINISHED"), ("end", None)]
    listener.close()
    v1(server, "GET", f"/runs/{'f' * 32}/events", status=404)


def test_listeners_share_what_is_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten listeners cost the store no more than one."""
    runs = server.stores.runs
    run_id = add_run(runs).info.run_id
    reads: list[float] = []
    get_run = runs.get_run

    def counted(asked: str) -> object:
        reads.append(time.monotonic())
        return get_run(asked)

    listeners = [Listener(server, run_id) for _ in range(10)]
    for listener in listeners:
        next(listener.events())
    monkeypatch.setattr(runs, "get_run", counted)
    began = time.monotonic()
    while len(reads) < 4:
        time.sleep(0.01)
    assert (time.monotonic() - began) / len(reads) > 0.2  # not ten times as often
    for listener in listeners:
        listener.close()


def test_a_server_that_stops_ends_its_streams(tmp_path: Path) -> None:
    """At once, and in order: it does not wait for the listener to go, and does not say that the run has ended."""
    with server_process(tmp_path / "home", TOOLKIT_GRACE="60") as server:
        told = json.loads(server.call("POST", "/api/v1/runs", {"run_id": "r", "run_name": "r", "start_time": 1})[1])
        listener = Listener(server, told["run_id"])
        events = listener.events()
        next(events)
        kinds: list[str] = []
        thread = threading.Thread(target=lambda: kinds.extend(kind for kind, _ in events))
        thread.start()
        assert server.stop() == 0
        thread.join(10)
        listener.close()
    assert kinds == []


# -- lineage -----------------------------------------------------------------------------------------


def test_lineage_is_told_as_a_graph(server: Server) -> None:
    run = add_run(server.stores.runs)
    dataset = Dataset(name="wine", digest="d1", source_type="local", source="wine.csv")
    server.stores.runs.log_inputs(run.info.run_id, [DatasetInput(dataset=dataset)])
    found = server.call("GET", "/api/v1/lineage", kind="run", id=run.info.run_id).json
    start, data = {"kind": "run", "id": run.info.run_id}, {"kind": "dataset", "id": "d1"}
    assert found == {
        "start": start,
        "nodes": [{**start, "name": run.info.run_name, "state": "RUNNING"}, {**data, "name": "wine", "state": ""}],
        "edges": [{"source": data, "target": start, "relation": "used", "detail": ""}],
        "whole": True,
    }
    assert server.call("GET", "/api/v1/lineage", kind="run", id="0" * 32).status == 404
    for query in ({"kind": "cat", "id": "x"}, {"kind": "run"}, {"kind": "run", "id": "x", "depth": "-1"}):
        assert server.call("GET", "/api/v1/lineage", **query).status == 400
