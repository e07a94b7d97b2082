"""Azure Machine Learning: files that its own client takes, and the script that applies them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from placements import EXAMPLE, placement

from toolkit.deployments.config import ServiceConfig
from toolkit.deployments.targets.azureml import TARGET
from toolkit.errors import InvalidValue

OPTIONS = {"image": "team.azurecr.io/wine:{version}", "resource_group": "rg", "workspace": "ws"}
CLIENT = "azure-ai-ml==1.35.2"

# az ml reads its files by this client, whose schemas are the law; it is far too large to be beside us.
READ = """
import json, sys
from pathlib import Path
from azure.ai.ml import load_online_deployment, load_online_endpoint
folder = Path(sys.argv[1])
endpoint = load_online_endpoint(folder / "endpoint.yml")
deployment = load_online_deployment(folder / "deployment.yml")
routes = deployment.environment.inference_config
print(json.dumps({
    "endpoint": [type(endpoint).__name__, endpoint.name, endpoint.auth_mode],
    "deployment": [type(deployment).__name__, deployment.name, deployment.endpoint_name, deployment.instance_count],
    "image": deployment.environment.image,
    "scoring": [routes.scoring_route.path, routes.scoring_route.port],
    "timeout": deployment.request_settings.request_timeout_ms,
}))
"""

# Says what it is asked, in a file; there is no endpoint yet.
AZ = """#!/bin/sh
printf '%s\\n' "$*" >> "$AZ_LOG"
case "$*" in *"online-endpoint show"*) exit 1 ;; esac
case "$*" in *"$AZ_FAILS"*) echo "az: no" >&2; exit 1 ;; esac
"""


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has Azure's client."""
    folder = tmp_path_factory.mktemp("azure") / "venv"
    uv = str(Path(sys.executable).with_name("uv"))
    python = folder / "bin" / "python"
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(python), CLIENT],
    ):
        variables = {**os.environ, "UV_COMPILE_BYTECODE": "0"}  # it is imported once
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=variables)
        if done.returncode:
            pytest.skip(f"Azure's client cannot be installed here: {done.stderr.strip()[-300:]}")
    return python


def test_azures_own_client_reads_the_files(azure: Path, tmp_path: Path) -> None:
    TARGET.require(OPTIONS)
    config = ServiceConfig(timeout=600)  # longer than Azure lets a request take
    instance = TARGET.start(placement(tmp_path, {**OPTIONS, "instances": "2"}, config=config))

    command = [str(azure), "-c", READ, instance.id]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "endpoint": ["ManagedOnlineEndpoint", "wine", "key"],
        "deployment": ["ManagedOnlineDeployment", "r1", "wine", 2],
        "image": "team.azurecr.io/wine:3",
        "scoring": ["/invocations", 3000],
        "timeout": 180_000,
    }


def applied(folder: Path, tmp_path: Path, *, fails: str = "nothing") -> tuple[int, list[str]]:
    """Run the script with an ``az`` of ours; return how it ended, and what it asked."""
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "az").write_text(AZ, encoding="utf-8")
    (programs / "az").chmod(0o755)
    log = tmp_path / "az.log"
    variables = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "AZ_LOG": str(log), "AZ_FAILS": fails}
    done = subprocess.run([str(folder / "deploy.sh")], env=variables, capture_output=True, timeout=300, check=False)
    return done.returncode, log.read_text(encoding="utf-8").splitlines()


def test_the_script_gives_the_traffic_last(tmp_path: Path) -> None:
    instance = TARGET.start(placement(tmp_path, OPTIONS, release=2))
    where = "--resource-group rg --workspace-name ws"

    ended, asked = applied(Path(instance.id), tmp_path)

    assert ended == 0
    assert asked[1:] == [
        f"ml online-endpoint show --name wine {where}",
        f"ml online-endpoint create --file endpoint.yml {where}",
        f"ml online-deployment create --file deployment.yml {where}",
        f"ml online-endpoint invoke --name wine --deployment-name r2 --request-file example.json {where}",
        f"ml online-endpoint update --name wine --traffic r2=100 {where}",
    ]
    assert json.loads((Path(instance.id) / "example.json").read_text(encoding="utf-8")) == EXAMPLE
    assert instance.detail["apply"] == f"{instance.id}/deploy.sh"


def test_the_script_stops_where_the_release_does_not_answer(tmp_path: Path) -> None:
    instance = TARGET.start(placement(tmp_path, OPTIONS))

    ended, asked = applied(Path(instance.id), tmp_path, fails="online-endpoint invoke")

    assert ended != 0
    assert not any("--traffic" in line for line in asked)


def test_names_cannot_bring_commands_along(tmp_path: Path) -> None:
    for value in ("rg; id", "$(id)", "rg'x", "rg\nid"):
        with pytest.raises(InvalidValue, match="option resource_group of azureml is"):
            TARGET.require({**OPTIONS, "resource_group": value})


def test_a_name_that_azure_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"cannot be called 'w': wanted 3 to 32 .*--option endpoint="):
        TARGET.start(placement(tmp_path, OPTIONS, name="w"))
    instance = TARGET.start(placement(tmp_path, {**OPTIONS, "endpoint": "wine-eu"}, name="w"))

    told: dict[str, Any] = yaml.safe_load((Path(instance.id) / "deployment.yml").read_text(encoding="utf-8"))
    assert told["endpoint_name"] == "wine-eu"
