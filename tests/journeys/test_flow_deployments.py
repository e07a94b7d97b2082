"""Projects that are deployed: workers with homes of their own run them, and record them through a server, on S3."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect_server import TOOLKIT, call, called, prefect_server, process, state, wait_for
from process import ServerProcess, server_process
from repositories import git_daemon, make_repository
from s3 import access, free_port, make_bucket, moto_server

pytestmark = pytest.mark.timeout(300)  # up to nine processes that all import Prefect, on a machine that may be busy

PROJECT = """
name: demo
entry_points:
  prepare:
    parameters: {rows: int}
    command: "seq {rows} > rows.txt"
    outputs: {data: rows.txt}
  train:
    parameters: {data: path, alpha: float}
    command: >-
      printf '{{"lines": %d, "alpha": %s}}' $(wc -l < {data}) {alpha} > m.json; echo home=$TOOLKIT_HOME
    metrics: m.json
workflows:
  main:
    parameters:
      rows: {type: int, default: 3, description: How many rows there are}
      learning-rate: {type: float, default: 0.5}
      note: {type: string, default: none}
    steps:
      prepare: {parameters: {rows: "${{ parameters.rows }}"}}
      train:
        parameters: {data: "${{ steps.prepare.outputs.data }}", alpha: "${{ parameters['learning-rate'] }}"}
"""
WAITING = """
name: waiting
entry_points:
  main:
    parameters: {mark: string}
    command: "echo $$ > {mark}; sleep 300"
"""
SPREAD = """
name: spread
entry_points:
  part:
    parameters: {number: int, mark: string}
    command: >-
      echo $TOOLKIT_HOME $$ >> {mark}.{number};
      until [ -e {mark}.1 ] && [ -e {mark}.2 ]; do sleep 0.1; done;
      if [ {number} = 2 ] && [ $(wc -l < {mark}.2) = 1 ]; then sleep 300; fi; cp {mark}.{number} out.txt
    outputs: {out: out.txt}
  join:
    parameters: {first: path}
    command: "cat {first}"
workflows:
  main:
    parameters: {mark: string}
    steps:
      part: {foreach: {number: [1, 2]}, parameters: {mark: "${{ parameters.mark }}"}}
      join: {parameters: {first: "${{ steps.part[0].outputs.out }}"}}
"""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What all tests of this module share.

    Attributes:
        folder: A folder.
        api_url: Prefect's API.
        server: The tracking server; files go to S3 past it.
        bucket: The bucket.
        machine: Variables that any machine has: credentials, and where Prefect's server is.
    """

    folder: Path
    api_url: str
    server: ServerProcess
    bucket: str
    machine: Mapping[str, str]
    deployer: Mapping[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def worker(self, name: str, *options: str) -> Iterator[psutil.Process]:
        """Run a worker, as on another machine: with a home and a working directory of its own, and no settings."""
        home = self.folder / f"{name}-home"
        command = [*TOOLKIT, "flows", "serve", "--name", name, *options]
        log = self.folder / f"{name}.log"
        with process(command, self.folder / name, log, TOOLKIT_HOME=str(home), **self.machine) as running:
            wait_for(lambda: "serves work pool" in log.read_text())
            yield psutil.Process(running.pid)

    def runs(self, **wanted: str) -> list[dict[str, Any]]:
        """Return the runs with these tags, as MLflow's API shows them."""
        found = self.server.api("runs/search", {"experiment_ids": ["0"], "max_results": 1000}).get("runs", [])
        return [
            one for one in found if wanted.items() <= {tag["key"]: tag["value"] for tag in one["data"]["tags"]}.items()
        ]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("deployments")
    with contextlib.ExitStack() as stack:
        s3 = stack.enter_context(moto_server(folder))
        bucket = make_bucket(s3)
        credentials = access(s3)
        server = stack.enter_context(
            server_process(
                folder / "server-home",
                "--default-artifact-root",
                f"s3://{bucket}/runs",
                TOOLKIT_LEASE="4",
                **credentials,
            )
        )
        api_url = stack.enter_context(prefect_server(folder / "prefect-home"))
        machine = {**credentials, "PREFECT_API_URL": api_url}
        deployer = {"TOOLKIT_HOME": str(folder / "home"), "TOOLKIT_TRACKING_URI": server.url, **machine}
        yield Scene(folder=folder, api_url=api_url, server=server, bucket=bucket, machine=machine, deployer=deployer)


@pytest.fixture(autouse=True)
def _deployer(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the machine that deploys, and asks for runs."""
    for name, value in scene.deployer.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def worker(scene: Scene) -> Iterator[psutil.Process]:
    with scene.worker("worker") as running:
        yield running


def project(folder: Path, text: str = PROJECT) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MLproject").write_text(text)
    return str(folder)


def test_a_directory_goes_to_a_worker_as_a_snapshot(scene: Scene, worker: psutil.Process, tmp_path: Path) -> None:
    deployed = called("flows", "deploy", project(tmp_path / "demo"), "--name", "first", "-P", "rows=5")
    assert (deployed["name"], deployed["pool"], deployed["parameters"]) == ("demo/first", "toolkit", {"rows": 5})
    assert deployed["project"]["code"]["digest"]
    (tmp_path / "demo" / "MLproject").unlink()  # the worker has no way to it
    with urllib.request.urlopen(f"{scene.api_url}/deployments/{deployed['id']}") as answer:
        form = json.load(answer)["parameter_openapi_schema"]["properties"]
    kinds = {name: (said["title"], said.get("type"), said.get("default")) for name, said in form.items()}
    assert kinds == {
        "rows": ("rows", "integer", 3),
        "learning_rate": ("learning-rate", "number", 0.5),
        "note": ("note", "string", "none"),
    }
    assert form["rows"]["description"] == "How many rows there are"
    run = called(
        "flows",
        "trigger",
        "first",
        "-P",
        "learning-rate=0.25",
        "-P",
        "note=7",
        "--wait",
        "--timeout",
        "120",
    )
    assert (run["state"], run["deployment"]) == ("COMPLETED", "demo/first")
    (parent,) = scene.runs(**{"prefect.flow_run_id": run["flow_run_id"]})
    data = parent["data"]
    assert (parent["info"]["run_name"], parent["info"]["status"]) == (run["name"], "FINISHED")
    assert {one["key"]: one["value"] for one in data["metrics"]} == {"train.lines": 5.0, "train.alpha": 0.25}
    assert {one["key"]: one["value"] for one in data["params"]} == {"rows": "5", "learning-rate": "0.25", "note": "7"}
    assert parent["info"]["artifact_uri"].startswith(f"s3://{scene.bucket}/")
    (step,) = scene.runs(**{"toolkit.step": "train", "mlflow.parentRunId": parent["info"]["run_id"]})
    code, _, said = call("artifacts", "get", step["info"]["run_id"], "logs/output.log", "-d", str(tmp_path))
    assert code == 0, said
    (text,) = [file.read_text() for file in tmp_path.rglob("output.log")]
    assert f"home={scene.folder / 'worker-home'}" in text
    assert str(scene.folder / "home") not in text


def test_a_git_commit_goes_to_a_worker(scene: Scene, worker: psutil.Process, tmp_path: Path) -> None:
    made = make_repository(tmp_path / "work")
    with git_daemon(tmp_path / "served") as served:
        address = served.publish(made.work, "code.git")
        deployed = called("flows", "deploy", address, "-v", "v1", "--name", "git")
        code = deployed["project"]["code"]
        assert (code["url"], code["commit"], code["digest"]) == (address, made.second, None)
        run = called("flows", "trigger", "git", "-P", "word=hello", "--wait", "--timeout", "120")
        assert run["state"] == "COMPLETED"
    (parent,) = scene.runs(**{"prefect.flow_run_id": run["flow_run_id"]})
    tags = {tag["key"]: tag["value"] for tag in parent["data"]["tags"]}
    assert (tags["mlflow.source.git.commit"], tags["mlflow.source.git.repoURL"]) == (made.second, address)


def test_schedules_wait_go_on_and_are_deleted(scene: Scene, tmp_path: Path) -> None:
    where = project(tmp_path / "demo")
    schedule = ("--cron", "0 2 * * 1-5", "--timezone", "Europe/Berlin", "--paused")
    called("flows", "deploy", where, "--name", "planned", *schedule)

    def planned() -> dict[str, object]:
        (found,) = [one for one in called("flows", "list")["deployments"] if one["name"] == "demo/planned"]
        return {key: found[key] for key in ("schedule", "timezone", "paused")}

    assert planned() == {"schedule": "cron 0 2 * * 1-5", "timezone": "Europe/Berlin", "paused": True}
    assert call("flows", "resume", "planned")[1] == "demo/planned: cron 0 2 * * 1-5\n"
    assert planned()["paused"] is False
    assert call("flows", "pause", "planned")[1] == "demo/planned: paused\n"
    called("flows", "deploy", where, "--name", "planned")
    assert planned()["schedule"] is None, "what is deployed again is as it was said last"
    assert call("flows", "delete", "planned")[0] == 0
    code, _, said = call("flows", "trigger", "planned")
    assert code == 2
    assert said.startswith("error: there is no deployment 'planned'")


def test_a_pool_that_nobody_serves_is_told(scene: Scene, tmp_path: Path) -> None:
    where = project(tmp_path / "demo")
    code, _, said = call("flows", "deploy", where, "--name", "lonely", "--work-pool", "gpu")
    assert code == 2
    assert "there is no work pool 'gpu'" in said
    options = ("--work-pool", "cluster", "--pool-type", "kubernetes", "--image", "registry.example/toolkit:1")
    code, _, said = call("flows", "deploy", where, "--name", "lonely", *options)
    assert code == 0, said
    assert "no worker serves work pool cluster: start one with `toolkit flows serve --work-pool cluster`" in said
    code, _, said = call("flows", "deploy", where, "--name", "bad", *options, "--job-variable", "finished_job_ttl=[1]")
    assert code == 2
    assert said.startswith("error: Prefect refuses the deployment 'bad'")
    code, _, said = call("flows", "trigger", "lonely", "-P", "rows=many")
    assert code == 2
    assert "rows" in said
    assert "many" in said
    code, _, said = call("flows", "serve", "--work-pool", "cluster")
    assert code == 2
    assert "install prefect-kubernetes" in said


def test_a_worker_that_dies_in_the_middle_of_a_step_leaves_no_run_running(scene: Scene, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    options = ("--work-pool", "fragile", "--pool-type", "process")
    called("flows", "deploy", project(tmp_path / "waiting", WAITING), "--name", "w", *options)
    with scene.worker("fragile", "--work-pool", "fragile") as running:
        run = called("flows", "trigger", "waiting/w", "-P", f"mark={mark}")
        wait_for(mark.exists)
        for one in [running, *running.children(recursive=True)]:  # the machine is gone
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGKILL)

    def ended() -> bool:
        (parent,) = scene.runs(**{"prefect.flow_run_id": run["flow_run_id"]})
        steps = scene.runs(**{"mlflow.parentRunId": str(parent["info"]["run_id"])})
        return all(one["info"]["status"] == "FAILED" for one in (parent, *steps))

    wait_for(ended)
    assert f"run {run['name']} was lost with its worker" in call("flows", "list")[2]
    assert state(scene.api_url, run["flow_run_id"]) == "CRASHED"


@pytest.fixture
def cluster(scene: Scene) -> Iterator[tuple[str, dict[str, psutil.Process]]]:
    """A Dask cluster of two workers, processes with homes of their own; by these."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "distributed.cli."]
    with contextlib.ExitStack() as stack:
        scheduler = [
            *dask[:2],
            f"{dask[2]}dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--no-dashboard",
        ]
        stack.enter_context(process(scheduler, scene.folder / "scheduler", scene.folder / "scheduler.log"))
        workers = {}
        for name in ("dask-1", "dask-2"):
            home = str(scene.folder / f"{name}-home")
            command = [*dask[:2], f"{dask[2]}dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
            log = scene.folder / f"{name}.log"
            running = process(command, scene.folder / name, log, TOOLKIT_HOME=home, **scene.machine)
            workers[home] = psutil.Process(stack.enter_context(running).pid)
        for name in ("dask-1", "dask-2"):
            wait_for(lambda log=scene.folder / f"{name}.log": "Registered to" in log.read_text())
        yield address, workers


def test_steps_run_on_a_dask_cluster_and_a_worker_of_it_dies(
    scene: Scene, cluster: tuple[str, dict[str, psutil.Process]], tmp_path: Path
) -> None:
    address, workers = cluster
    mark = tmp_path / "mark"
    where = project(tmp_path / "spread", SPREAD)
    with ThreadPoolExecutor(1) as beside:

        def kill() -> str:
            home, _, pid = wait_for(lambda: mark.with_suffix(".2").read_text()).strip().partition(" ")
            wait_for(mark.with_suffix(".1").exists)
            workers[home].kill()
            return str(pid)

        killing = beside.submit(kill)
        ran = called("run", where, "-P", f"mark={mark}", "--task-runner", f"dask={address}")
        pid = int(killing.result())
        assert wait_for(lambda: not psutil.pid_exists(pid)), "what the lost step has started is ended"
    first, second = (mark.with_suffix(end).read_text().split()[::2] for end in (".1", ".2"))
    assert {first[0], second[0]} == set(workers), "each worker had a step"
    assert second == [second[0], first[0]], "the other worker took the step over"
    assert ran["status"] == "FINISHED"
    assert [
        (one["label"], one["status"], one["tries"]) for one in sorted(ran["steps"], key=lambda one: one["label"])
    ] == [
        ("join", "FINISHED", 1),
        ("part number=1", "FINISHED", 1),
        ("part number=2", "FINISHED", 2),
    ]
    parts = scene.runs(**{"toolkit.step": "part", "mlflow.parentRunId": ran["run_id"]})
    assert sorted(one["info"]["status"] for one in parts) == ["FAILED", "FINISHED", "FINISHED"]


def test_a_worker_that_is_told_to_end_ends_its_runs(scene: Scene, worker: psutil.Process, tmp_path: Path) -> None:
    """The last test of this module: it ends the worker."""
    mark = tmp_path / "mark"
    called("flows", "deploy", project(tmp_path / "waiting", WAITING), "--name", "stopped")
    run = called("flows", "trigger", "stopped", "-P", f"mark={mark}")
    wait_for(lambda: mark.exists() and mark.read_text().strip())
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)
    (parent,) = scene.runs(**{"prefect.flow_run_id": run["flow_run_id"]})
    assert parent["info"]["status"] == "KILLED"
    assert not psutil.pid_exists(int(mark.read_text()))
    assert state(scene.api_url, run["flow_run_id"]) in ("CANCELLED", "CRASHED")
