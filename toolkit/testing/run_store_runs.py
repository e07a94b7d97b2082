"""What every run store promises about runs: made, changed, ended, resumed, deleted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from toolkit.errors import Conflict, InvalidValue, NotFound
from toolkit.ids import new_run_id, now_ms
from toolkit.testing.runs import OWNER, START, add_run, new_run
from toolkit.tracking.records import Lifecycle, Metric, RunStatus
from toolkit.tracking.store import RunStore


class RunContract:
    """One run and its states."""

    def test_create_and_read(self, store: RunStore) -> None:
        """What was given comes back, with the tags that say the same."""
        location = store.get_experiment("0").artifact_location
        run = add_run(store, parent_run_id="b" * 32, tags={"a": "1"}, params={"lr": "0.1"}, owner=OWNER)
        assert run == store.get_run(run.info.run_id)
        assert run.info.status is RunStatus.RUNNING
        assert (run.info.start_time, run.info.end_time, run.info.reason) == (START, None, None)
        assert run.info.artifact_uri == f"{location}/{run.info.run_id}/artifacts"
        assert run.info.parent_run_id == "b" * 32
        assert run.data.params == {"lr": "0.1"}
        assert run.data.tags == {
            "a": "1",
            "mlflow.runName": "brave-owl-1",
            "mlflow.user": "ada",
            "mlflow.parentRunId": "b" * 32,
        }
        assert not run.data.metrics

    def test_the_tag_of_a_parent_makes_a_child(self, store: RunStore) -> None:
        """MLflow's clients name the parent in a tag only, when a run is made or later."""
        parent = "c" * 32
        run = add_run(store, tags={"mlflow.parentRunId": parent})
        assert run.info.parent_run_id == parent
        store.log_batch(run.info.run_id, tags={"mlflow.parentRunId": None})
        assert store.get_run(run.info.run_id).info.parent_run_id is None
        store.log_batch(run.info.run_id, tags={"mlflow.parentRunId": parent})
        assert store.get_run(run.info.run_id).info.parent_run_id == parent

    def test_the_same_id_again_returns_the_first(self, store: RunStore) -> None:
        """A repeated request makes nothing and changes nothing."""
        new = new_run(params={"a": "1"})
        first = store.create_run(new)
        store.log_batch(new.run_id, metrics=[Metric(key="m", value=1.0, timestamp=1)])
        again = store.create_run(new_run(run_id=new.run_id, run_name="other", params={"a": "2"}))
        assert again == store.get_run(new.run_id)
        assert again.info == first.info
        assert again.data.params == {"a": "1"}
        assert again.data.metrics == {"m": 1.0}

    def test_the_same_id_from_many_threads_makes_one(self, store: RunStore) -> None:
        """Concurrent callers get the same run."""
        new = new_run()
        with ThreadPoolExecutor(8) as pool:
            runs = list(pool.map(store.create_run, [new] * 16))
        assert all(run == runs[0] for run in runs)

    @pytest.mark.parametrize(
        "changes",
        [
            {"run_id": ""},
            {"run_id": "../x"},
            {"run_id": "a" * 257},
            {"start_time": -1},
            {"start_time": 2**63},
            {"run_name": "a\0"},
            {"user_id": "\ud800"},
            {"tags": {"a": "x" * 8_001}},
            {"tags": {"a$b": "x"}},
            {"params": {"a": "x" * 6_001}},
            {"params": {"": "x"}},
            {"parent_run_id": "a/b"},
        ],
    )
    def test_bad_values_are_refused(self, store: RunStore, changes: dict[str, object]) -> None:
        """And nothing is made."""
        new = new_run(**changes)
        with pytest.raises(InvalidValue):
            store.create_run(new)
        with pytest.raises(NotFound):
            store.get_run(new.run_id)

    @pytest.mark.parametrize("run_id", ["f" * 32, "", "../..", "\ud800", "x" * 1_000])
    def test_unknown_runs(self, store: RunStore, run_id: str) -> None:
        """Each method says the same, and in MLflow's words."""
        calls: list[Callable[[], object]] = [
            lambda: store.get_run(run_id),
            lambda: store.update_run(run_id, status=RunStatus.FAILED),
            lambda: store.log_batch(run_id, tags={"a": "b"}),
            lambda: store.metric_history(run_id, "m"),
            lambda: store.mark_lost(run_id, "gone", owner=None, expired=False),
            lambda: store.record_artifacts(run_id, []),
            lambda: store.list_artifacts(run_id),
        ]
        for call in calls:
            with pytest.raises(NotFound) as error:
                call()
            assert str(error.value) == f"Run with id={run_id} not found"
        with pytest.raises(NotFound):
            add_run(store, experiment_id="77")

    def test_ending(self, store: RunStore) -> None:
        """A run ends now, or when it is told; the same end again is quiet."""
        before = now_ms()
        run_id = add_run(store).info.run_id
        ended = store.update_run(run_id, status=RunStatus.FAILED, reason="exit code 3")
        assert (ended.status, ended.reason) == (RunStatus.FAILED, "exit code 3")
        assert ended.end_time is not None
        assert before <= ended.end_time <= now_ms()
        again = store.update_run(run_id, status=RunStatus.FAILED, end_time=5, reason="other")
        assert again == ended == store.get_run(run_id).info
        other = store.update_run(run_id, status=RunStatus.FINISHED, end_time=START + 7)
        assert (other.status, other.end_time, other.reason) == (RunStatus.FINISHED, START + 7, None)

    def test_resuming(self, store: RunStore) -> None:
        """RUNNING on an ended run clears its end and the reason."""
        run_id = add_run(store).info.run_id
        store.update_run(run_id, status=RunStatus.KILLED, reason="Ctrl-C")
        back = store.update_run(run_id, status=RunStatus.RUNNING)
        assert (back.status, back.end_time, back.reason) == (RunStatus.RUNNING, None, None)
        waiting = store.update_run(run_id, status=RunStatus.SCHEDULED)
        assert waiting.status is RunStatus.SCHEDULED

    def test_renaming(self, store: RunStore) -> None:
        """The field and the tag are one, whichever is changed."""
        run_id = add_run(store).info.run_id
        assert store.update_run(run_id, run_name="a").run_name == "a"
        run = store.get_run(run_id)
        assert (run.info.run_name, run.data.tags["mlflow.runName"]) == ("a", "a")
        store.log_batch(run_id, tags={"mlflow.runName": "b"})
        run = store.get_run(run_id)
        assert (run.info.run_name, run.data.tags["mlflow.runName"]) == ("b", "b")
        assert run.info.status is RunStatus.RUNNING

    def test_deleted_runs_take_no_changes(self, store: RunStore) -> None:
        """But they are read, and restored."""
        run_id = add_run(store).info.run_id
        gone = store.update_run(run_id, lifecycle=Lifecycle.DELETED)
        assert gone.lifecycle_stage is Lifecycle.DELETED
        assert store.update_run(run_id, lifecycle=Lifecycle.DELETED) == gone == store.get_run(run_id).info
        message = f"The run {run_id} must be in the 'active' state. Current state is deleted."
        for call in (
            lambda: store.update_run(run_id, run_name="x"),
            lambda: store.update_run(run_id, status=RunStatus.FAILED, lifecycle=Lifecycle.DELETED),
            lambda: store.log_batch(run_id, params={"a": "1"}),
        ):
            with pytest.raises(Conflict) as error:
                call()
            assert str(error.value) == message
        back = store.update_run(run_id, lifecycle=Lifecycle.ACTIVE, run_name="x")
        assert (back.lifecycle_stage, back.run_name) == (Lifecycle.ACTIVE, "x")
        assert not store.get_run(run_id).data.params

    @pytest.mark.parametrize(
        "changes", [{"end_time": -1}, {"end_time": 2**63}, {"reason": "\0"}, {"run_name": "\ud800"}]
    )
    def test_bad_changes_are_refused(self, store: RunStore, changes: dict[str, object]) -> None:
        """And change nothing."""
        run = add_run(store)
        with pytest.raises(InvalidValue):
            store.update_run(run.info.run_id, status=RunStatus.FAILED, **changes)  # type: ignore[arg-type]
        assert store.get_run(run.info.run_id) == run

    def test_ids_of_other_forms(self, store: RunStore) -> None:
        """MLflow's rule allows more than hexadecimal digits."""
        for run_id in ("a", "A-b_9", "x" * 256, new_run_id()):
            assert add_run(store, run_id=run_id).info.run_id == run_id
