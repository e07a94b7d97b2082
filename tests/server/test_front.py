"""What a server says of itself, and that links which MLflow's clients print lead to records."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from server import Server, serving

from toolkit.server.front import MLFLOW_VERSION, SERVER_INFO


@pytest.mark.parametrize("prefix", ["", "/ml"])
def test_clients_learn_what_it_can(tmp_path: Path, prefix: str) -> None:
    with serving(tmp_path / "home", prefix=prefix) as server:
        assert server.call("GET", "/health").body == b"OK"
        assert server.call("GET", "/version").body.decode() == MLFLOW_VERSION
        for base in ("api", "ajax-api"):
            assert server.call("GET", f"/{base}/3.0/mlflow/server-info").json == SERVER_INFO


@pytest.mark.parametrize("path", ["/api/3.0/mlflow/traces", "/api/2.0/mlflow/traces", "/graphql", "/api/9.9/x"])
def test_what_is_not_there_says_so_in_json(server: Server, path: str) -> None:
    for method in ("GET", "POST"):
        answer = server.call(method, path, {} if method == "POST" else None)
        assert (answer.status, answer.json["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


def test_the_front_page_loads_its_script_from_here(tmp_path: Path) -> None:
    with serving(tmp_path / "home", prefix="/ml") as server:
        page = server.call("GET", "/")
        assert page.headers["content-type"].startswith("text/html")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        (script,) = re.findall(r'<script src="/ml(/[^"]+)">', page.body.decode())
        assert server.call("GET", script).headers["content-type"].startswith("text/javascript")
        for link in re.findall(r'href="/ml(/[^"]+)"', page.body.decode()):
            if link != "/metrics":  # of the process, not of the application
                assert server.call("GET", link).status == 200, link


@pytest.mark.parametrize(
    ("shown", "record"),
    [
        ("#/experiments/1/runs/abc", "runs/get?run_id=abc"),
        ("#/experiments/1/runs/abc/artifacts", "runs/get?run_id=abc"),
        ("#/experiments/1", "experiments/get?experiment_id=1"),
        ("#/experiments/1/models/m-7", "logged-models/m-7"),
        ("#/models/wine/versions/3", "model-versions/get?name=wine&version=3"),
        ("#/models/wine", "registered-models/get?name=wine"),
        ("#/elsewhere", None),
        ("", None),
    ],
)
def test_links_lead_to_records(server: Server, shown: str, record: str | None) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here, which runs the script of the front page")
    script = server.call("GET", "/links.js").body.decode()
    page = (
        'const document = {currentScript: {src: "http://h/ml/links.js"}};'
        f'const location = {{hash: "{shown}", replace: (url) => console.log(url)}};'
    )
    said = subprocess.run([node, "-e", page + script], capture_output=True, text=True, check=True).stdout.strip()
    assert said == ("" if record is None else f"http://h/ml/api/2.0/mlflow/{record}")
