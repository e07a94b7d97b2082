"""Projects that run in containers, with a real engine: files, variables, libraries, signals, and nothing left."""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engine as engines
import pytest
from machine import Machine, until, write_project
from peer import NO_MLFLOW, mlflow_python

from toolkit.flows.container_process import RUN_LABEL
from toolkit.flows.environments.engine import Engine, connect

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = f"lib/python3.{sys.version_info.minor}/site-packages"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    if reason := engines.why_not():
        pytest.skip(reason)
    engine = connect(os.environ)
    yield engine
    engine.close()


def containers_of(engine: Engine, run: Any) -> list[str]:  # noqa: ANN401 - a JSON document
    labels = [f"{RUN_LABEL}={child['run_id']}" for child in run["children"]]
    return [
        container.name
        for label in labels
        for container in engine.client.containers.list(True, filters={"label": label})
    ]


PIPELINE = f"""
name: Pipe line
docker_env:
  image: {engines.IMAGE}
  volumes: ["./shelf:/shelf:ro"]
  environment: [[GREETING, "hello; $(touch /mlflow/projects/code/broken) 'you'"], FROM_HERE]
entry_points:
  make:
    parameters: {{word: string, seed: {{type: path, default: seed.txt}}}}
    command: 'cat {{seed}} /shelf/book.txt > data.txt; echo {{word}} "$GREETING" $FROM_HERE >> data.txt; pwd; hostname'
    outputs: {{data: data.txt}}
  use:
    parameters: {{data: path, other: {{type: path, default: seed.txt}}}}
    command: "wc -l < {{data}}; cat {{other}}; (echo more >> {{data}}) || echo kept; test -z \\"$VIRTUAL_ENV\\""
  here:
    parameters: {{data: path}}
    command: 'cat {{data}} > kept.txt; basename "$VIRTUAL_ENV" | cut -c1-3; test ! -e /shelf'
    outputs: {{kept: kept.txt}}
workflows:
  main:
    parameters: {{word: {{default: a b}}, other: {{default: seed.txt}}}}
    steps:
      make: {{parameters: {{word: "${{{{ parameters.word }}}}"}}}}
      use: {{parameters: {{data: "${{{{ steps.make.outputs.data }}}}", other: "${{{{ parameters.other }}}}"}}}}
      here: {{env: python_env.yaml, parameters: {{data: "${{{{ steps.make.outputs.data }}}}"}}}}
"""


def test_steps_in_containers_hand_on_files_and_one_runs_in_an_environment_of_its_own(
    machine: Machine, engine: Engine, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project", PIPELINE)
    (project / "seed.txt").write_text("seed\n")
    (project / "python_env.yaml").write_text("dependencies: []\n")
    (project / "shelf").mkdir()
    (project / "shelf" / "book.txt").write_text("book\n")
    (tmp_path / "elsewhere.txt").write_text("from elsewhere\n")
    done = machine.toolkit(
        "run", str(project), "--json", "-P", "word=it's $(false)", "-P", "other=elsewhere.txt", cwd=tmp_path,
        FROM_HERE="copied", SECRET="not passed on",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.statuses() == {"make": "FINISHED", "use": "FINISHED", "here": "FINISHED"}
    run = machine.show(done.json["run_id"])
    children = {child["run_name"]: machine.show(child["run_id"]) for child in run["children"]}
    data = machine.toolkit("artifacts", "get", children["make"]["run_id"], "data.txt", "-o", "-", cwd=tmp_path)
    text = machine.home / "artifacts" / "0" / children["make"]["run_id"] / "artifacts" / "data.txt"
    assert (
        text.read_text() == "seed\nbook\nit's $(false) hello; $(touch /mlflow/projects/code/broken) 'you' copied\n"
    ), data
    assert "make | /mlflow/projects/code\n" in done.err
    assert "use | 3\n" in done.err
    assert "use | from elsewhere\n" in done.err
    assert "use | kept\n" in done.err  # what is recorded cannot be changed
    assert "not passed on" not in json.dumps(children) + done.err
    tags = children["make"]["tags"]
    assert (tags["mlflow.project.env"], tags["mlflow.docker.image.uri"]) == ("docker", engines.IMAGE)
    assert tags["mlflow.docker.image.id"].startswith("sha256:")
    assert (children["here"]["tags"]["mlflow.project.env"], "mlflow.docker.image.uri" in children["here"]["tags"]) == (
        "uv",
        False,
    )
    assert sorted(path.name for path in project.iterdir()) == ["MLproject", "python_env.yaml", "seed.txt", "shelf"]
    assert containers_of(engine, run) == []
    assert list((machine.home / "containers").iterdir()) == []


SCRIPTS = {
    "toolkit": """
        import os, toolkit
        toolkit.log_param("from", "inside")
        toolkit.log_metric("score", 0.5)
        toolkit.log_text("hello", "note.txt")
        assert toolkit.active_run().info.run_id == os.environ["TOOLKIT_RUN_ID"]
    """,
    "mlflow": """
        import mlflow
        with mlflow.start_run():
            mlflow.log_param("from", "inside")
            mlflow.log_metric("score", 0.5)
            mlflow.log_text("hello", "note.txt")
    """,
}


@pytest.mark.parametrize("library", ["toolkit", "mlflow"])
def test_code_in_a_container_logs_to_its_own_step(
    machine: Machine, engine: Engine, tmp_path: Path, library: str
) -> None:
    python = sys.executable if library == "toolkit" else mlflow_python()
    if python is None:
        pytest.skip(NO_MLFLOW)
    packages = Path(python).absolute().parents[1] / PACKAGES
    if not packages.is_dir():
        pytest.skip(f"the image has Python 3.11, and {python} has its packages elsewhere")
    project = write_project(
        tmp_path / "project",
        f"name: logs\ndocker_env:\n  image: {engines.IMAGE}\n"
        f"  volumes: ['{packages}:/packages:ro', '{REPOSITORY}:/repository:ro']\n"
        "  environment: [[PYTHONPATH, '/packages:/repository'], [PYTHONDONTWRITEBYTECODE, '1']]\n"
        "entry_points: {main: {command: python logs.py}}\n",
    )
    (project / "logs.py").write_text(textwrap.dedent(SCRIPTS[library]))
    done = machine.toolkit("run", str(project), "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    (step,) = done.json["steps"]
    run = machine.show(step["run_id"])
    assert (run["status"], run["params"], run["metrics"]["score"]) == ("FINISHED", {"from": "inside"}, 0.5)
    listed = machine.toolkit("artifacts", "list", step["run_id"], "--json", cwd=tmp_path)
    assert "note.txt" in listed.out


BUILT = f"""
name: Built Image
docker_env: {{image: {engines.IMAGE}}}
entry_points:
  main:
    parameters: {{text: string}}
    command: 'ls; test ! -e out.txt; echo {{text}} > out.txt; mkdir deep; echo 1 > deep/file; id -u; exit $EXIT'
    outputs: {{out: out.txt, deep: deep}}
"""


def test_a_built_image_has_the_project_in_it_and_gives_back_what_is_left(
    machine: Machine, engine: Engine, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project", BUILT)
    (project / "out.txt").write_text("of an earlier run")
    (project / "code.py").write_text("first")
    hostile = "a'; touch /tmp/broken; echo '"
    options = ["run", str(project), "--build-image", "--json", "-P", f"text={hostile}"]
    done = machine.toolkit(*options, "-A", "user=4321:0", "-A", "env=EXIT=0", "-A", "tmpfs=/scratch", cwd=tmp_path)
    tags = [tag for image in engine.client.images.list() for tag in image.tags if "built-image:" in tag]
    try:
        # A container's folder belongs to the user that built it, so another one cannot write there.
        assert (done.code, "Permission denied" in done.err) == (1, True), done.err
        done = machine.toolkit(*options, "-A", "e=EXIT=0", cwd=tmp_path)
        assert done.code == 0, done.err
        assert "building image" not in done.err  # the same files: the same image
        (step,) = done.json["steps"]
        artifacts = machine.home / "artifacts" / "0" / step["run_id"] / "artifacts"
        assert (artifacts / "out.txt").read_text() == hostile + "\n"
        assert (artifacts / "deep" / "file").read_text() == "1\n"
        assert "code.py" in done.err
        assert (project / "out.txt").read_text() == "of an earlier run"
        failed = machine.toolkit(*options, "-A", "env=EXIT=17", cwd=tmp_path)
        assert (failed.code, machine.show(failed.json["steps"][0]["run_id"])["tags"]["toolkit.exit_code"]) == (1, "17")
        assert len(tags) == 1
        assert machine.show(step["run_id"])["tags"]["mlflow.docker.image.uri"] in tags[0]
    finally:
        for tag in tags:
            engine.client.images.remove(tag, force=True)


WAITS = f"""
name: waits
docker_env: {{image: {engines.IMAGE}}}
entry_points:
  main:
    command: |
      python - <<'END'
      import signal, subprocess, sys, time
      signal.signal(signal.SIGTERM, lambda *_: (print("cleaning up", flush=True), sys.exit(5)))
      open("started", "w").write("1")
      time.sleep(600)
      END
  stubborn:
    command: "trap '' TERM; echo 1 > started; while true; do sleep 0.1; done"
workflows:
  stubborn: {{steps: {{stubborn: {{timeout: 2}}}}}}
"""


def waiting(machine: Machine, project: Path, *arguments: str) -> Any:  # noqa: ANN401 - a process
    process = machine.start("run", str(project), "--json", *arguments, cwd=project.parent)

    def look() -> bool:
        assert process.poll() is None, process.communicate()
        return (project / "started").exists()

    until(look, what="started")
    return process


def test_ctrl_c_ends_the_container_in_order(machine: Machine, engine: Engine, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", WAITS)
    process = waiting(machine, project)
    process.send_signal(signal.SIGINT)
    done = machine.end(process)
    assert done.code == 130, done.err
    assert "main | cleaning up\n" in done.err
    run = machine.show(done.json["run_id"])
    assert [run["status"], *(child["status"] for child in run["children"])] == ["KILLED", "KILLED"]
    assert containers_of(engine, run) == []


def test_a_container_that_takes_too_long_and_does_not_listen_is_ended(
    machine: Machine, engine: Engine, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project", WAITS)
    done = machine.toolkit("run", str(project), "-w", "stubborn", "--json", cwd=tmp_path, TOOLKIT_GRACE="0.5")
    assert done.code == 1, done.err
    run = machine.show(done.json["run_id"])
    assert "took longer than its timeout of 2 s" in run["reason"]
    assert containers_of(engine, run) == []


def test_what_a_killed_process_leaves_is_removed_at_the_next_start(
    machine: Machine, engine: Engine, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project", WAITS)
    process = waiting(machine, project)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (run,) = [run for run in machine.runs() if run["status"] == "RUNNING"] or [None]
    (note,) = (machine.home / "containers").iterdir()
    (left,) = engine.client.containers.list(True, filters={"label": f"{RUN_LABEL}={note.stem}"})
    assert left.status == "running", run
    (tmp_path / "next").mkdir()
    quick = write_project(tmp_path / "next" / "project", "entry_points: {main: {command: 'true'}}")
    done = machine.toolkit("run", str(quick), cwd=tmp_path)
    assert done.code == 0, done.err
    assert f"removed the container {left.name}" in done.err
    assert engine.client.containers.list(True, filters={"label": f"{RUN_LABEL}={note.stem}"}) == []
    assert not note.exists()
    assert machine.show(note.stem)["status"] == "FAILED"


def test_without_an_engine_nothing_is_recorded(machine: Machine, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", WAITS)
    before = len(machine.runs())
    done = machine.toolkit("run", str(project), cwd=tmp_path, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert (done.code, done.err.count("\nerror: ") + done.err.startswith("error: ")) == (2, 1), done.err
    assert "needs a container engine, and none answers at unix://" in done.err
    assert "DOCKER_HOST" in done.err
    assert "Traceback" not in done.err
    assert len(machine.runs()) == before
