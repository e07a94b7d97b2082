"""Where a process logs: switching stores, with runs open; and what else a script may configure."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

import toolkit
from toolkit.errors import InvalidSetting, NotFound


def test_a_switch_leaves_open_runs_where_they_are(tmp_path: Path) -> None:
    here, there = toolkit.get_tracking_uri(), f"sqlite:///{tmp_path}/other.db"
    assert not toolkit.is_tracking_uri_set()
    toolkit.set_experiment("wine")
    with toolkit.start_run() as run:
        toolkit.set_tracking_uri(there)
        assert (toolkit.get_tracking_uri(), toolkit.is_tracking_uri_set()) == (there, True)
        toolkit.log_metric("m", 1)
        with toolkit.start_run(nested=True) as inner:
            toolkit.log_metric("m", 2)
    assert toolkit.get_run(inner.info.run_id).data.metrics == {"m": 2.0}
    assert toolkit.get_experiment_by_name("wine") is None
    with pytest.raises(NotFound):
        toolkit.get_run(run.info.run_id)
    with toolkit.start_run() as second:
        assert second.info.experiment_id == "0", "the experiment that was chosen is another store's"
    toolkit.set_tracking_uri(here)
    found = toolkit.get_run(run.info.run_id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"m": 1.0})
    toolkit.set_tracking_uri("")
    assert toolkit.get_tracking_uri() == here


def test_child_processes_follow(tmp_path: Path) -> None:
    toolkit.set_tracking_uri(f"sqlite:///{tmp_path}/other.db")
    code = "import toolkit\nwith toolkit.start_run() as run: print(run.info.run_id)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert toolkit.get_run(done.stdout.strip()).info.status == "FINISHED"


@pytest.mark.parametrize("uri", ["mlruns", "ftp://host/x"])
def test_a_uri_that_cannot_be_used_is_said_with_the_first_use(uri: str) -> None:
    toolkit.set_tracking_uri(uri)
    with pytest.raises(InvalidSetting):
        toolkit.start_run()


def test_the_registry_is_where_runs_are_unless_said_otherwise(tmp_path: Path) -> None:
    assert toolkit.get_registry_uri() == toolkit.get_tracking_uri()
    toolkit.set_registry_uri(f"sqlite:///{tmp_path}/registry.db")
    assert toolkit.get_registry_uri() == f"sqlite:///{tmp_path}/registry.db"
    toolkit.set_registry_uri("")
    assert toolkit.get_registry_uri() == toolkit.get_tracking_uri()


def test_a_client_of_another_store_beside_this_one(tmp_path: Path) -> None:
    other = toolkit.Client(f"sqlite:///{tmp_path}/other.db")
    run_id = other.create_run("0").info.run_id
    other.log_metric(run_id, "m", 3)
    other.log_text(run_id, "x", "x.txt")
    assert other.get_run(run_id).data.metrics == {"m": 3.0}
    with pytest.raises(NotFound):
        toolkit.Client().get_run(run_id)
    again = toolkit.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/other.db")
    assert [each.path for each in again.list_artifacts(run_id)] == ["x.txt"]
    assert toolkit.artifacts.load_text(f"{other.get_run(run_id).info.artifact_uri}/x.txt") == "x"


def test_mlflows_places_of_names() -> None:
    from toolkit.client import MlflowClient
    from toolkit.exceptions import MlflowException
    from toolkit.tracking import MlflowClient as TrackingClient

    assert MlflowClient is TrackingClient is toolkit.tracking.MlflowClient is toolkit.Client
    assert toolkit.tracking.get_tracking_uri() == toolkit.config.get_tracking_uri()
    with pytest.raises(MlflowException):
        toolkit.get_run("nope")


def test_asyncio_tasks_do_not_mix_their_runs() -> None:
    async def train(name: str) -> str:
        with toolkit.start_run(run_name=name) as run:
            for step in range(5):
                toolkit.log_metric("loss", len(name), step=step)
                await asyncio.sleep(0)
            toolkit.log_param("name", name)
        return run.info.run_id

    async def both() -> list[str]:
        return list(await asyncio.gather(*(train("x" * number) for number in (1, 2, 3))))

    ids = asyncio.run(both())
    assert [toolkit.get_run(run_id).data.params["name"] for run_id in ids] == ["x", "xx", "xxx"]
    assert [toolkit.get_run(run_id).data.metrics["loss"] for run_id in ids] == [1.0, 2.0, 3.0]


def test_a_parent_in_another_process() -> None:
    with toolkit.start_run() as parent:
        code = "import toolkit\nwith toolkit.start_run(run_name='child'): toolkit.log_metric('m', 1)"
        variables = {**os.environ, "TOOLKIT_PARENT_RUN_ID": parent.info.run_id}
        subprocess.run([sys.executable, "-c", code], env=variables, check=True, timeout=300)
    filter_string = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    (child,) = toolkit.search_runs(filter_string=filter_string, output_format="list")
    assert (child.info.run_name, child.info.parent_run_id) == ("child", parent.info.run_id)
    found = toolkit.get_parent_run(child.info.run_id)
    assert found is not None
    assert found.info.run_uuid == parent.info.run_id
