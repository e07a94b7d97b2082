"""A team's server: scripts, commands and projects that know only its address; it is killed, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from machine import Machine
from process import ServerProcess, server_process

from toolkit.recording.stores import Stores
from toolkit.settings import environment, load
from toolkit.tracking.records import RunStatus
from toolkit.wiring.opened import open_stores

ROOT = Path(__file__).resolve().parents[2]
STEPS = 4_000

TRAINING = f"""
import sys, time
import toolkit

with toolkit.start_run(run_name="training") as run:
    print(run.info.run_id, flush=True)
    toolkit.log_params({{"rate": 0.1}})
    for step in range({STEPS}):
        toolkit.log_metric("loss", 1 / (step + 1), step=step)
        if step % 200 == 0:
            toolkit.set_tag("last", str(step))
            toolkit.log_text("x" * step, f"texts/{{step}}.txt")
            print("step", step, flush=True)
        time.sleep(0.001)
    toolkit.set_tag("last", "end")
print("sqlalchemy" in sys.modules)
"""


def stores_of(home: Path) -> Stores:
    return open_stores(load().model_copy(update={"home": home}))


def training(home: Path, url: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING],
        env=environment(TOOLKIT_HOME=str(home), TOOLKIT_TRACKING_URI=url, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check_whole(home: Path, run_id: str) -> None:
    """Check in the server's own database that all of the training is there, once."""
    stores = stores_of(home)
    run = stores.runs.get_run(run_id)
    points = stores.runs.metric_history(run_id, "loss").items
    files = {entry.path: entry.size for entry in stores.runs.list_artifacts(run_id).items}
    place = stores.artifacts_of(run.info)
    for path, size in files.items():
        with place.store.open(place.key(path)) as stream:
            assert len(stream.read()) == size
    stores.close()
    assert [(point.step, point.value) for point in points] == [(step, 1 / (step + 1)) for step in range(STEPS)]
    assert (run.info.status, run.data.params, run.data.tags["last"]) == (RunStatus.FINISHED, {"rate": "0.1"}, "end")
    assert files == {f"texts/{step}.txt": step for step in range(0, STEPS, 200)}


def kill(server: ServerProcess) -> None:
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


def test_a_training_goes_on_while_its_server_is_killed_and_comes_back(tmp_path: Path) -> None:
    home, mine = tmp_path / "server", tmp_path / "client"
    with server_process(home) as server:
        url = server.url
        script = training(mine, url)
        assert script.stdout is not None
        run_id = script.stdout.readline().strip()
        for line in script.stdout:
            if line.strip() == "step 600":
                break
        kill(server)
    for step in ("1400", "2200"):
        with server_process(home, "--port", url.rpartition(":")[2]) as server:
            for line in script.stdout:
                if line.strip() == f"step {step}":
                    break
            kill(server)
    with server_process(home, "--port", url.rpartition(":")[2]):
        out, err = script.communicate(timeout=300)
        assert script.returncode == 0, err
        assert out.endswith("False\n"), "a script that logs to a server needs no database library"
        assert "logging goes on" in err
    check_whole(home, run_id)
    assert not list((mine / "journal").glob("*/*")), "the journal is sent whole"


def test_what_a_server_did_not_see_is_sent_later(tmp_path: Path) -> None:
    home, mine = tmp_path / "server", tmp_path / "client"
    with server_process(home) as server:
        url = server.url
        script = training(mine, url, TOOLKIT_EXIT_WAIT="0.5")
        assert script.stdout is not None
        run_id = script.stdout.readline().strip()
        kill(server)
        _, err = script.communicate(timeout=300)
        assert script.returncode == 0, err
        assert "toolkit sync" in err
    variables = environment(TOOLKIT_HOME=str(mine), TOOLKIT_TRACKING_URI=url)
    with server_process(home, "--port", url.rpartition(":")[2]):
        done = subprocess.run(
            [sys.executable, "-m", "toolkit", "sync"], env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    check_whole(home, run_id)


def test_two_workers_are_one_server(tmp_path: Path) -> None:
    home = tmp_path / "server"
    with server_process(home, "--workers", "2") as server:
        script = training(tmp_path / "client", server.url)
        assert script.stdout is not None
        run_id = script.stdout.readline().strip()
        os.kill(server.workers[0], signal.SIGKILL)
        _, err = script.communicate(timeout=300)
        assert script.returncode == 0, err
    check_whole(home, run_id)


def test_commands_over_http(tmp_path: Path) -> None:
    """Each does what it does with a database of one's own."""
    machine = Machine(home=tmp_path / "client")
    machine.home.mkdir()
    with server_process(tmp_path / "server") as server:
        script = training(machine.home, server.url)
        out, err = script.communicate(timeout=300)
        assert script.returncode == 0, err
        run_id = out.split()[0]

        def said(*arguments: str) -> str:
            done = machine.toolkit(*arguments, cwd=tmp_path, TOOLKIT_TRACKING_URI=server.url)
            assert done.code == 0, (arguments, done.err)
            return done.out

        assert run_id in said("runs", "list")
        assert run_id in said("runs", "search", "metrics.loss < 1 and tags.last = 'end'")
        assert json.loads(said("runs", "show", run_id, "--json"))["params"] == {"rate": "0.1"}
        assert "texts/200.txt" in said("artifacts", "list", run_id)
        said("artifacts", "get", run_id, "-d", str(tmp_path / "got"))
        assert (tmp_path / "got" / "texts" / "200.txt").read_text() == "x" * 200
        (tmp_path / "note.txt").write_text("hello")
        said("artifacts", "log", run_id, str(tmp_path / "note.txt"))
        said("artifacts", "delete", run_id, "texts/200.txt")
        listed = said("artifacts", "list", run_id)
        assert "note.txt" in listed
        assert "texts/200.txt" not in listed
        said("export", str(tmp_path / "all"))
        said("runs", "delete", run_id)
        assert run_id not in said("runs", "list")
        said("runs", "restore", run_id)
        assert "wine" in said("experiments", "create", "--experiment-name", "wine") + said("experiments", "list")


@pytest.mark.slow
def test_a_project_runs_over_http(machine: Machine, tmp_path: Path) -> None:
    """Its steps log to the server, by its address alone."""
    with server_process(tmp_path / "server") as server:
        variables = {"TOOLKIT_TRACKING_URI": server.url}
        arguments = ("run", "examples/single-step", "-P", "steps=5", "--json")
        done = machine.toolkit(*arguments, cwd=ROOT, **variables)
        assert done.code == 0, done.err
        assert done.statuses() == {"main": "FINISHED"}
        shown = machine.toolkit("runs", "show", done.json["run_id"], "--json", cwd=tmp_path, **variables)
        run = shown.json
        assert run["status"] == "FINISHED"
        (step,) = run["children"]
        step = machine.toolkit("runs", "show", step["run_id"], "--json", cwd=tmp_path, **variables).json
        assert step["metrics"]["loss"] < 5
        assert {"logs/output.log", "result.txt"} <= {entry["path"] for entry in step["artifacts"]}
    assert done.json["run_id"] not in {each["run_id"] for each in machine.runs()}


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    machine = Machine(home=tmp_path / "client")
    machine.home.mkdir()
    done = machine.toolkit("runs", "list", cwd=tmp_path, TOOLKIT_TRACKING_URI="http://127.0.0.1:1")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: http://127.0.0.1:1 does not answer (connection refused)")
    assert done.err.count("\n") == 1
    script = training(tmp_path / "client", "http://127.0.0.1:1")
    _, err = script.communicate(timeout=300)
    assert script.returncode == 1
    assert "does not answer" in err
