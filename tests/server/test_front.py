"""What a server says of itself, and that links which MLflow's clients print lead to pages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from server import Server, serving

from toolkit.server.front import MLFLOW_VERSION, SERVER_INFO
from toolkit.server.pages.static import FOLDER


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


def test_the_front_page_loads_its_scripts_and_styles_from_here(tmp_path: Path) -> None:
    with serving(tmp_path / "home", prefix="/ml") as server:
        page = server.call("GET", "/")
        assert page.headers["content-type"].startswith("text/html")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        text = page.body.decode()
        loaded = re.findall(r'(?:src|href)="/ml(/static/[^"#]+)', text)
        assert {"boot.js", "toolkit.css", "htmx.min.js"} <= {link.rpartition("/")[2] for link in loaded}
        for link in loaded:
            answer = server.call("GET", link)
            assert answer.status == 200, link
            assert "immutable" in answer.headers["cache-control"]
        assert not re.findall(r'(?:src|href)="(?!/ml[/"]|#)', text)


@pytest.mark.parametrize(
    ("shown", "record"),
    [
        ("#/experiments/1/runs/abc", "/runs/abc"),
        ("#/experiments/1/runs/abc/artifacts", "/runs/abc/artifacts"),
        ("#/experiments/1", "/experiments/1"),
        ("#/experiments/1/runs/abc/model-metrics", "/runs/abc/charts"),
        ("#/experiments/1?searchFilter=metrics.x%20%3C%201", "/experiments/1?q=metrics.x+%3C+1"),
        ("#/experiments", "/experiments"),
        ("#/experiments/1/models/m-7", "/lineage?kind=model&id=m-7"),
        ("#/compare-runs?runs=%5B%22a%22%2C%22b%22%5D&experiments=%5B%221%22%5D", "/compare?runs=a%2Cb"),
        ("#/compare-runs?runs=nonsense", None),
        ("#/models", "/models"),
        ("#/models/wine/versions/3", "/models/wine/versions/3"),
        ("#/models/wine", "/models/wine"),
        ("#/elsewhere", None),
        ("", None),
    ],
)
def test_links_of_mlflows_clients_lead_to_pages(shown: str, record: str | None) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here, which runs the script of the pages")
    script = (FOLDER / "js" / "links.js").as_uri()
    program = f'import {{placeOf}} from "{script}"; console.log(JSON.stringify(placeOf("{shown}")));'
    said = subprocess.run(
        [node, "--input-type=module", "-e", program], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert json.loads(said) == record
