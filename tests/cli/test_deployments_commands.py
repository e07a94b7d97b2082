"""``toolkit deployments list`` and ``show``, and the lineage of what serves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from calls import Cli

from toolkit.artifacts.digest import file_digest
from toolkit.deployments import supervised
from toolkit.deployments.records import Deployment, DeploymentState, ReleaseState
from toolkit.deployments.store import DeploymentStore
from toolkit.deployments.supervised import DoorRecord, Remembered, Wanted
from toolkit.flows.input_record import Input, as_datasets
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.registry.history import Author
from toolkit.settings import load
from toolkit.testing.deployment_store import new_deployment, new_release, serve
from toolkit.testing.registry_store import new_version
from toolkit.wiring.registry import open_catalog
from toolkit.wiring.serving import open_deployment_store


@pytest.fixture
def deployments(stores: Stores) -> DeploymentStore:
    return open_deployment_store(stores).acting(Author(user="ada"))


@pytest.fixture
def prod(deployments: DeploymentStore, tree: list[RecordedRun], stores: Stores, tmp_path: Path) -> Deployment:
    """A deployment of wine/2, which replaced wine/1; raw.csv was seen by both."""
    (tmp_path / "raw.csv").write_text("a\n1\n")
    inputs = [Input(parameter="raw", path=str(tmp_path / "raw.csv"), sha256=file_digest(tmp_path / "raw.csv"))]
    tree[2].log_inputs(as_datasets(inputs))
    registry = open_catalog(stores).registered
    registry.create_model("wine")
    for _ in range(2):
        registry.create_version(new_version(run_id=tree[2].run_id))
    made = deployments.create(
        new_deployment(options={"port": "5000"}, config={"workers": 2, "cpu": ""}, follow_alias="wine@champion")
    )
    serve(deployments, made, 1, run_id=tree[2].run_id)
    serve(deployments, made, 2, run_id=tree[2].run_id, why="alias champion moved")
    return deployments.change(made.id, address="http://127.0.0.1:5000")


def test_what_serves_is_listed(cli: Cli, prod: Deployment, deployments: DeploymentStore) -> None:
    bad = deployments.create(new_deployment("bad", target="docker"))
    deployments.begin_release(new_release(bad, 1))
    deployments.change_release(bad.id, 1, state=ReleaseState.REFUSED, message="it does not answer")
    deployments.change(bad.id, state=DeploymentState.FAILED, message="it does not answer")
    lines = [line.split("\t") for line in cli("deployments", "list").out.splitlines()]
    assert lines[0] == ["name", "state", "version", "target", "address", "release", "updated", "message"]
    assert [line[:6] + line[7:] for line in lines[1:]] == [
        ["bad", "failed", "wine/1", "docker", "", "", "it does not answer"],
        ["prod", "serving", "wine/2", "local", "http://127.0.0.1:5000", "2", ""],
    ]
    told = cli("deployments", "list", "--model", "wine", "--json").json["deployments"]
    assert [(each["name"], each["current"]["version"], each["config"]["workers"]) for each in told] == [("prod", 2, 2)]
    deployments.change(prod.id, state=DeploymentState.DELETED)
    assert cli("deployments", "list", "-m", "wine", "--json").json["deployments"] == []
    told = cli("deployments", "list", "-m", "wine", "--deleted", "--json").json["deployments"]
    assert [(each["id"], each["state"], each["current"]) for each in told] == [(prod.id, "deleted", None)]
    shown = cli("deployments", "show", prod.id, "--json").json
    assert [each["state"] for each in shown["releases"]] == ["stopped", "replaced"]


def test_a_deployment_is_shown_with_its_releases(cli: Cli, prod: Deployment) -> None:
    said, _, table = cli("deployments", "show", "prod").out.partition("\n\n")
    lines = dict(line.split(": ", 1) for line in said.splitlines())
    assert lines | {"created": "", "updated": ""} == {
        "name": "prod",
        "state": "serving",
        "serves": "wine/2",
        "address": "http://127.0.0.1:5000",
        "follows": "wine@champion",
        "target": "local",
        "options": "port=5000",
        "service": "workers=2",
        "created": "",
        "updated": "",
        "id": prod.id,
    }
    assert lines["created"].endswith("Z ada")
    rows = [line.split("\t") for line in table.splitlines()]
    assert [row[:4] + row[8:10] for row in rows] == [
        ["release", "state", "version", "bento", "who", "why"],
        ["2", "serving", "wine/2", "wine:2", "ada", "alias champion moved"],
        ["1", "replaced", "wine/1", "wine:1", "ada", ""],
    ]
    told = cli("deployments", "show", "-n", "prod", "--json").json
    assert (told["schema"], told["release"], told["options"]) == (1, 2, {"port": "5000"})
    newest = told["releases"][0]
    assert (newest["number"], newest["bento_digest"], newest["ended_at"]) == (2, "2" * 64, None)


def test_what_is_to_serve_here_and_does_not_is_said(cli: Cli, prod: Deployment, deployments: DeploymentStore) -> None:
    """After a reboot its row still says that it serves."""
    assert "toolkit up" not in cli("deployments", "list").err  # another home's
    kept = DoorRecord(deployment="prod", host="127.0.0.1", port=5000, instance="prod-2")
    runs = Wanted(id="prod-2", deployment="prod", release=2, bento="wine:2", python="python", folder=".", log="log")
    supervised.write(load().home, Remembered(instances=(runs,), doors=(kept,)))
    for command in (("list",), ("show", "prod")):
        assert "toolkit up" in cli("deployments", *command).err
    deployments.change(prod.id, state=DeploymentState.STOPPED)
    assert "toolkit up" not in cli("deployments", "list").err


@pytest.mark.parametrize("command", ["update", "rollback", "delete", "logs", "show", "stats", "samples"])
def test_a_deployment_is_named_either_way(cli: Cli, command: str) -> None:
    named: tuple[tuple[str, ...], ...] = (("gone",), ("-n", "gone"), ("gone", "--name", "gone"))
    for names in named:
        done = cli("deployments", command, *names)
        assert (done.code, "there is no deployment gone" in done.err) == (2, True)
    wrong: tuple[tuple[str, ...], ...] = ((), ("gone", "-n", "other"))
    for names in wrong:
        done = cli("deployments", command, *names)
        assert (done.code, f"toolkit deployments {command} NAME" in done.err) == (2, True)


def test_what_is_not_there_is_one_line(cli: Cli, prod: Deployment) -> None:
    for arguments in (("show",), ("show", "nope"), ("show", "a/b"), ("show", "0" * 32), ("show", "prod", "-n", "x")):
        assert cli("deployments", *arguments).is_one_clear_error(), arguments
    for arguments in (("--deployment", "nope"), ("--bento", "nope:1"), ("--bento", "wine:1", "--deployment", "prod")):
        assert cli("registry", "lineage", *arguments).is_one_clear_error(), arguments


def test_which_serving_versions_saw_a_file(cli: Cli, prod: Deployment, tmp_path: Path) -> None:
    """And all that a deployment saw."""
    raw = str(tmp_path / "raw.csv")
    assert cli("registry", "lineage", "--data", raw, "--down", "--serving").out == (
        f"version\tbento\tdeployment\tid\nwine/2\twine:2\tprod\t{prod.id}\n"
    )
    up = cli("registry", "lineage", "--deployment", "prod", "--up").out.splitlines()
    assert up[0] == f"deployment prod {prod.id[:8]} serving"
    assert [line for line in up if "raw.csv" in line]
    assert "├─ served (release 1) bento wine:1" in up
    assert "└─ serves (release 2) bento wine:2" in up
    assert "   └─ built from version wine/2" in up
    down = cli("registry", "lineage", "wine/2", "--down").out.splitlines()
    assert down == [
        "version wine/2",
        "└─ built into bento wine:2",
        f"   └─ serves in (release 2) deployment prod {prod.id[:8]} serving",
    ]
    picture = cli("registry", "lineage", "--bento", "wine:2", "--mermaid").out
    assert '[["bento wine:2"]]' in picture
    assert '-->|"serves: release 2"|' in picture


def test_the_history_and_the_events_of_a_model_tell_of_it(cli: Cli, prod: Deployment) -> None:
    told = cli("registry", "history", "wine", "--json").json["changes"]
    assert [(each["action"], each["key"], each["from"], each["to"]) for each in told[:3]] == [
        ("deployment.released", "prod", "1", "2"),
        ("deployment.released", "prod", None, "1"),
        ("deployment.created", "prod", None, "1"),
    ]
    events = cli("registry", "events", "list", "wine", "-e", "deployment.released", "--json").json["events"]
    assert [(each["version"], each["data"]["deployment"]) for each in events] == [(1, "prod"), (2, "prod")]


def test_to_list_them_takes_no_heavy_library() -> None:
    script = (
        "import sys\nfrom toolkit.cli.main import main\nassert main(['deployments', 'list']) == 0\n"
        "heavy = {'bentoml', 'prefect', 'fastapi', 'pandas', 'docker', 'boto3', 'kubernetes'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
