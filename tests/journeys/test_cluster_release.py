"""A version goes to a Kubernetes cluster by the commands that users type: checked there before it has traffic."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_cluster import FakeCluster, running
from machine import Done, Machine

pytestmark = [pytest.mark.timeout(1200), pytest.mark.slow]  # Bentos are built, on a busy machine

SCRIPT = Path(__file__).parent / "scripts" / "register_wines.py"
STRENGTHS = {"1": 1.0, "3": 0.01, "4": 1.0}  # of the versions in the images of these releases; 2 has a wrong image


def served(release: str, path: str, body: bytes) -> tuple[int, bytes]:
    """Answer as a pod of a release would."""
    import pandas as pd
    from sklearn.datasets import load_wine
    from sklearn.linear_model import LogisticRegression

    assert path == "/invocations"
    told = json.loads(body)
    rows = pd.DataFrame(told["dataframe_split"]["data"], columns=told["dataframe_split"]["columns"])
    if release not in STRENGTHS:
        return 200, json.dumps({"predictions": [7] * len(rows)}).encode()
    wines = load_wine(as_frame=True)
    known = wines.data[["alcohol", "malic_acid", "ash"]]
    model = LogisticRegression(max_iter=500, C=STRENGTHS[release]).fit(known, wines.target)
    return 200, json.dumps({"predictions": model.predict(rows[known.columns]).tolist()}).encode()


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with running(FakeCluster(answer=served)) as found:
        yield found


def test_from_a_version_to_a_cluster_and_back(fresh: Machine, cluster: FakeCluster, tmp_path: Path) -> None:
    bentos = {"BENTOML_HOME": str(tmp_path / "bentoml")}

    def deployments(*words: str, code: int = 0) -> Done:
        done = fresh.toolkit("deployments", *words, cwd=tmp_path, **bentos)
        assert done.code == code, (words, done.out, done.err)
        return done

    registered = subprocess.run(
        [sys.executable, str(SCRIPT)], cwd=tmp_path, env=fresh.variables(), capture_output=True, text=True, check=False
    )
    assert registered.returncode == 0, registered.stderr
    config = cluster.kubeconfig(tmp_path / "kubeconfig")
    (tmp_path / "row.json").write_text(
        '{"dataframe_split": {"columns": ["alcohol", "malic_acid", "ash"], "data": [[13.0, 1.9, 2.3]]}}'
    )
    options = {"apply": "true", "kubeconfig": str(config), "image": "registry.example/{name}:{version}"}
    given = [word for key, value in options.items() for word in ("--option", f"{key}={value}")]

    made = deployments("create", "-n", "wine", "-m", "wines/1", "-t", "kubernetes", *given, "--json").json
    assert (made["state"], made["address"]) == ("serving", "http://wine.default.svc")
    assert cluster.one("deployments", "wine-r1")["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":1")
    predicted = deployments("predict", "-n", "wine", "-i", "row.json").out
    assert json.loads(predicted)["predictions"][0] in (0, 1, 2)

    wrong = deployments("update", "-n", "wine", "-m", "wines/2", code=1).err
    assert "otherwise than the model" in wrong
    assert "release 1 (wines/1) still serves" in wrong
    assert cluster.names("deployments") == ["wine-r1"]
    assert cluster.one("services", "wine")["spec"]["selector"]["toolkit/release"] == "1"

    deployments("update", "-n", "wine", "-m", "wines/2")
    assert cluster.names("deployments") == ["wine-r3"]
    assert cluster.one("services", "wine")["spec"]["selector"]["toolkit/release"] == "3"
    assert "line 1 of wine-r3-abc" in deployments("logs", "-n", "wine").out

    deployments("rollback", "-n", "wine")
    assert cluster.one("deployments", "wine-r4")["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":1")
    deployments("delete", "-n", "wine")
    assert cluster.kept == {}
