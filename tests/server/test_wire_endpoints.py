"""The page of endpoints has what the server has; all that MLflow has is on it; what is not served says so."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from peer import NO_MLFLOW, mlflow_python
from server import Server, serving
from starlette.routing import Route

from toolkit.server.app import make_app
from toolkit.server.wire.absent import ABSENT, what

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "mlflow-endpoints.md"
BASE = "/api/2.0/mlflow/"

Endpoints = dict[str, set[str]]


def plain(path: str) -> str:
    """Return a path with its variable parts named without their types."""
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def rows(section: str) -> list[list[str]]:
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return found[2:]


def documented() -> Endpoints:
    found: Endpoints = {}
    for methods, paths, _ in rows("Served"):
        for path in re.findall("`([^`]+)`", paths):
            full = path if path.startswith("/") else BASE + path
            assert full not in found, f"{full} is on the page twice"
            found[full] = set(methods.split(", "))
    return found


def routed(server: Server) -> tuple[Endpoints, Endpoints]:
    """Return what is served, but for our own API, and the same of ``/ajax-api``."""
    found: tuple[Endpoints, Endpoints] = ({}, {})
    for route in make_app(server.stores).routes:
        if isinstance(route, Route) and not route.path.startswith("/api/v1"):
            methods = set(route.methods or ()) - {"HEAD"}
            found[route.path.startswith("/ajax-api/")].setdefault(plain(route.path), set()).update(methods)
    return found


def test_the_page_has_each_endpoint_and_no_other(server: Server) -> None:
    ours, of_pages = routed(server)

    page = documented()

    assert {path: methods for path, methods in page.items() if not path.startswith("/ajax-api/")} == ours
    for path, methods in of_pages.items():
        assert page.get(path) == methods or ours.get(path.replace("/ajax-api/", "/api/", 1)) == methods, path
    for path in ours:
        if path.startswith("/api/2.0/"):
            assert path.replace("/api/", "/ajax-api/", 1) in of_pages


def test_the_page_has_what_is_not_served() -> None:
    assert {name: tuple(re.findall("`([^`]+)`", paths)) for name, paths in rows("Not served")} == dict(ABSENT)


LIST = """
import json, sys
from mlflow.server import app
from mlflow.server.fastapi_app import app as served
found = [[rule.rule, sorted(rule.methods - {"HEAD", "OPTIONS"})] for rule in app.url_map.iter_rules()]
for route in served.routes:
    if getattr(route, "methods", None):
        found.append([route.path, sorted(route.methods - {"HEAD", "OPTIONS"})])
print(json.dumps(found))
"""

# What MLflow's own pages are; ours are at "/" too.
PAGES = ("/static-files/", "/build/", "/docs", "/redoc", "/openapi.json")


@pytest.mark.skipif(mlflow_python() is None, reason=NO_MLFLOW)
def test_all_that_mlflow_has_is_served_or_named() -> None:
    done = subprocess.run([str(mlflow_python()), "-c", LIST], capture_output=True, text=True, check=True, timeout=300)
    page = documented()
    missing = []
    for path, methods in json.loads(done.stdout.splitlines()[-1]):
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", plain(path)).replace("{artifact_path}", "{path}")
        path = path.replace("/2.0mlflow/", "/2.0/mlflow/")  # a slip of MLflow's
        served = page.get(path) or page.get(path.replace("/ajax-api/", "/api/", 1), set())
        if not (set(methods) <= served or what(path) or path == "/" or path.startswith(PAGES)):
            missing.append(f"{','.join(methods)} {path}")
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("name", ABSENT)
def test_what_is_not_served_says_what_it_is(server: Server, name: str) -> None:
    for path in ABSENT[name]:
        for place in (path, f"{path}/x/y", path.replace("/api/", "/ajax-api/", 1)):
            for method in ("GET", "POST", "DELETE"):
                answer = server.call(method, place)
                assert answer.status == 404
                assert answer.json == {
                    "error_code": "ENDPOINT_NOT_FOUND",
                    "message": f"this server does not have {name}: there is no {method} {place}",
                    "error_class": "RESOURCE_NOT_FOUND",
                    "sqlstate": "KAM00",
                }


def test_what_nobody_has_is_not_found_and_a_wrong_method_is_told_the_right_ones(tmp_path: Path) -> None:
    with serving(tmp_path / "home", prefix="/ml") as server:
        nothing = server.call("GET", "/api/2.0/mlflow/runs/nope")
        long = server.call("GET", "/" + "x" * 5000)
        traces = server.call("GET", "/api/3.0/mlflow/traces/a")
        wrong = server.call("GET", "/api/2.0/mlflow/runs/create")
        several = server.call("PUT", "/api/2.0/mlflow/logged-models/m-1")

    assert (nothing.status, nothing.json["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    assert nothing.json["message"] == "there is no such endpoint here: GET /ml/api/2.0/mlflow/runs/nope"
    assert (long.status, len(long.json["message"]) < 300) == (404, True)
    assert traces.json["message"].startswith("this server does not have traces")
    assert (wrong.status, wrong.json["error_code"], wrong.headers["allow"]) == (405, "ENDPOINT_NOT_FOUND", "POST")
    assert (several.status, several.headers["allow"]) == (405, "DELETE, GET, HEAD, PATCH")


def test_a_page_stores_a_small_file_in_a_run(server: Server) -> None:
    run = server.new_run()
    path = "/ajax-api/2.0/mlflow/upload-artifact"

    stored = server.call("POST", path, b"{}", {"Content-Type": "application/json"}, run_uuid=run, path="views/a.json")

    assert (stored.status, stored.json) == (200, {})
    assert server.call("GET", "/get-artifact", run_id=run, path="views/a.json").body == b"{}"
    for query, status in (
        ({"path": "a"}, 400),
        ({"run_uuid": run}, 400),
        ({"run_uuid": run, "path": "../a"}, 400),
        ({"run_uuid": "f" * 32, "path": "a"}, 404),
    ):
        assert server.call("POST", path, b"1", **query).status == status
    assert server.call("POST", path, b"x" * ((4 << 20) + 1), run_uuid=run, path="big").status == 413


CLIENT = """
import mlflow, warnings
warnings.simplefilter("ignore")
mlflow.set_experiment("without traces")
with mlflow.start_run() as run:
    with mlflow.start_span("a"):
        mlflow.log_metric("m", 1.0)
    mlflow.flush_trace_async_logging()
client = mlflow.MlflowClient()
assert client.get_run(run.info.run_id).data.metrics == {"m": 1.0}
assert mlflow.get_trace("tr-" + "0" * 32) is None
for ask in (mlflow.search_traces, client.list_webhooks, lambda: mlflow.genai.search_datasets()):
    try:
        ask()
    except mlflow.exceptions.MlflowException as error:
        print(error.error_code, error.message)
print(mlflow.genai.register_prompt(name="p", template="hello {{x}}").version, end=" ")
print(mlflow.genai.load_prompt("prompts:/p/1").template, [found.name for found in mlflow.genai.search_prompts()])
"""


@pytest.mark.skipif(mlflow_python() is None, reason=NO_MLFLOW)
def test_mlflows_client_does_without_what_is_not_served(server: Server, tmp_path: Path) -> None:
    variables = {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_DISABLE_TELEMETRY": "true", "HOME": str(tmp_path)}
    done = subprocess.run(
        [str(mlflow_python()), "-c", CLIENT], env=variables, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    said = [line for line in done.stdout.splitlines() if "http" not in line]
    assert [line.partition(": there is no")[0] for line in said] == [
        "ENDPOINT_NOT_FOUND ENDPOINT_NOT_FOUND: this server does not have traces and their assessments",
        "ENDPOINT_NOT_FOUND ENDPOINT_NOT_FOUND: this server does not have webhooks",
        "ENDPOINT_NOT_FOUND ENDPOINT_NOT_FOUND: this server does not have evaluation datasets",
        "1 hello {{x}} ['p']",
    ]


def test_what_is_no_character_is_repeated_as_an_escape(server: Server) -> None:
    """Clients other than Python's read no answer that is no UTF-8."""
    answer = server.call("POST", "/api/2.0/mlflow/runs/update", {"run_id": "\ud800"})
    assert answer.status == 404
    assert "\\ud800" in answer.body.decode("utf-8")
    assert answer.json["message"] == "Run with id=\ud800 not found"
