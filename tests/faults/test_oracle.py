"""The oracle sees what is missing, what is twice, and what is another: else its silence would mean nothing."""

from __future__ import annotations

from collections.abc import Callable

import oracle
import pytest
import scene

from toolkit.recording.stores import Stores
from toolkit.testing.runs import new_run
from toolkit.tracking.records import ArtifactEntry, Metric, RunQuery, RunStatus


def any_run(stores: Stores) -> str:
    runs = [run for run in stores.runs.list_runs(RunQuery()).items if run.data.latest and run.data.params]
    return max(runs, key=lambda run: len(run.data.params)).info.run_id


def add_point(stores: Stores) -> None:
    stores.runs.log_batch(any_run(stores), metrics=[Metric(key="loss", value=9.0, step=9, timestamp=9)])


def add_param(stores: Stores) -> None:
    stores.runs.log_batch(any_run(stores), params={"extra": "1"})


def change_tag(stores: Stores) -> None:
    stores.runs.log_batch(any_run(stores), tags={"first": "another"})


def end_otherwise(stores: Stores) -> None:
    run = stores.runs.list_runs(RunQuery(status=[RunStatus.FINISHED])).items[0]
    stores.runs.update_run(run.info.run_id, status=RunStatus.KILLED)


def add_run(stores: Stores) -> None:
    stores.runs.create_run(new_run())


def change_file(stores: Stores) -> None:
    for run in stores.runs.list_runs(RunQuery()).items:
        for entry in stores.runs.list_artifacts(run.info.run_id).items:
            wrong = ArtifactEntry(path=entry.path, size=entry.size, sha256="0" * 64)
            stores.runs.record_artifacts(run.info.run_id, [wrong])
            return


@pytest.mark.parametrize("change", [add_point, add_param, change_tag, end_otherwise, add_run, change_file])
def test_a_change_is_a_difference(sqlite_stage: scene.Scene, change: Callable[[Stores], None]) -> None:
    training = sqlite_stage.train(7, "--count", "150")
    assert training.wait() == 0, training.stderr
    assert sqlite_stage.compare(left_open="FINISHED") == 150
    with sqlite_stage.stores() as stores:
        change(stores)
    with pytest.raises(AssertionError, match=r"^[12] differences"):
        sqlite_stage.compare(left_open="FINISHED")


def test_what_was_never_written_is_a_difference(sqlite_stage: scene.Scene) -> None:
    training = sqlite_stage.train(8, "--count", "150")
    assert training.wait() == 0, training.stderr
    noted = oracle.read_notes(training.notes)
    run = next(done["run"] for done, _ in noted.done if done["op"] == "metrics")
    more = {"op": "metrics", "run": run, "values": {"loss": 0.5}, "step": 77, "timestamp": 77}
    noted.done.append((more, None))
    with sqlite_stage.stores() as stores:
        there, unreadable = oracle.exported(stores, sqlite_stage.folder / "export")
    (told,) = oracle.differences(there, [noted], left_open="FINISHED", unreadable=unreadable)
    assert "missing [('loss', 77, 77" in told
