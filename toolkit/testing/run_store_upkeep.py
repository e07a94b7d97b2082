"""What every run store promises about removing for good, counting, copying, and things that come from elsewhere."""

from __future__ import annotations

import pytest

from toolkit.errors import AlreadyExists, InvalidValue, NotFound, StoreError
from toolkit.ids import now_ms
from toolkit.testing.runs import START, add_run
from toolkit.tracking.records import ArtifactEntry, Lifecycle, Metric, RunQuery, RunSize
from toolkit.tracking.store import RunStore


class UpkeepContract:
    """Purge, sizes, pictures, and given ids."""

    def test_only_deleted_runs_are_purged(self, store: RunStore) -> None:
        """With all that they logged; others, and unknown ids, are passed over."""
        kept, gone = (add_run(store, params={"a": "1"}, tags={"t": "x"}).info.run_id for _ in range(2))
        for run_id in (kept, gone):
            store.log_batch(run_id, metrics=[Metric(key="m", value=1.0, timestamp=START)])
            store.record_artifacts(run_id, [ArtifactEntry(path="f", size=1, sha256="0" * 64)])
        store.update_run(gone, lifecycle=Lifecycle.DELETED)
        assert list(store.purge(run_ids=[kept, gone, "f" * 32, "\ud800"])) == [gone]
        assert list(store.purge(run_ids=[kept, gone])) == []
        with pytest.raises(NotFound):
            store.get_run(gone)
        assert store.get_run(kept).data.params == {"a": "1"}
        again = add_run(store, run_id=gone)
        assert not again.data.params
        assert not store.metric_history(gone, "m").items
        assert not store.list_artifacts(gone).items

    def test_only_deleted_empty_experiments_are_purged(self, store: RunStore) -> None:
        """One that has runs stays until they are purged, in the same call or before."""
        made = store.create_experiment("wine").experiment_id
        active = store.create_experiment("beer").experiment_id
        run_id = add_run(store, experiment_id=made).info.run_id
        store.update_experiment(made, lifecycle=Lifecycle.DELETED)
        store.update_experiment("0", lifecycle=Lifecycle.DELETED)
        assert list(store.purge(experiment_ids=[made, active, "0", "77", "x"])) == []
        assert set(store.purge(run_ids=[run_id], experiment_ids=[made, active])) == {run_id, made}
        with pytest.raises(NotFound):
            store.get_experiment(made)
        assert store.find_experiment("wine") is None
        assert store.create_experiment("wine").experiment_id not in (made, active)

    def test_runs_by_the_time_of_their_deletion(self, store: RunStore) -> None:
        """A restored run is not among them."""
        first, back = (add_run(store).info.run_id for _ in range(2))
        for run_id in (first, back):
            store.update_run(run_id, lifecycle=Lifecycle.DELETED)
        store.update_run(back, lifecycle=Lifecycle.ACTIVE)
        later = now_ms() + 3_600_000

        def found(before: int) -> list[str]:
            query = RunQuery(lifecycle=None, deleted_before=before)
            return [run.info.run_id for run in store.list_runs(query).items]

        assert found(later) == [first]
        assert found(later - 7_200_000) == []
        with pytest.raises(InvalidValue, match="deleted_before"):
            found(-1)

    def test_sizes(self, store: RunStore) -> None:
        """All that runs logged is counted, the points of every step."""
        run_id = add_run(store, params={"a": "1", "b": "2"}).info.run_id
        empty = add_run(store).info.run_id
        points = [Metric(key=key, value=1.0, timestamp=START, step=step) for key in "xy" for step in range(5)]
        store.log_batch(run_id, metrics=points, tags={"t": "1"})
        store.record_artifacts(run_id, [ArtifactEntry(path="f", size=1, sha256="0" * 64)])
        sizes = store.run_sizes([run_id, empty, "f" * 32])
        assert sizes == {run_id: RunSize(params=2, tags=3, points=10, artifacts=1), empty: RunSize(tags=2)}
        assert store.run_sizes([]) == {}

    def test_a_picture_does_not_change(self, store: RunStore) -> None:
        """What is written later is not seen in it, and nothing can be written by it."""
        run_id = add_run(store).info.run_id
        with store.picture() as before:
            assert not before.get_run(run_id).data.params
            store.log_batch(run_id, params={"a": "1"}, metrics=[Metric(key="m", value=1.0, timestamp=START)])
            store.create_experiment("wine")
            add_run(store)
            assert not before.get_run(run_id).data.params
            assert not before.metric_history(run_id, "m").items
            assert before.find_experiment("wine") is None
            assert len(before.list_runs(RunQuery()).items) == 1
            with pytest.raises(StoreError, match="picture"):
                before.log_batch(run_id, params={"b": "2"})
        assert store.get_run(run_id).data.params == {"a": "1"}

    def test_an_experiment_with_an_id_of_its_own(self, store: RunStore) -> None:
        """It keeps id and time; ids that are given out later are others."""
        made = store.create_experiment("wine", experiment_id="41", creation_time=START)
        assert (made.experiment_id, made.creation_time) == ("41", START)
        assert store.get_experiment("41") == made
        assert made.artifact_location.endswith("/41")
        assert int(store.create_experiment("beer").experiment_id) > 41
        assert store.create_experiment("ale", experiment_id="7").experiment_id == "7"
        assert int(store.create_experiment("stout").experiment_id) > 41
        with pytest.raises(AlreadyExists, match="id=41"):
            store.create_experiment("cider", experiment_id="41")
        with pytest.raises(AlreadyExists, match="name=wine"):
            store.create_experiment("wine", experiment_id="99")
        for bad in ("", "x", "-1", "007", "9" * 19):
            with pytest.raises(InvalidValue, match="experiment_id"):
                store.create_experiment("cider", experiment_id=bad)

    def test_a_run_whose_artifacts_are_elsewhere(self, store: RunStore) -> None:
        """It keeps its place, and may say why it has its state."""
        made = add_run(store, artifact_uri="s3://bucket/1/abc/artifacts", reason="import in progress")
        read = store.get_run(made.info.run_id)
        assert read == made
        assert (read.info.artifact_uri, read.info.reason) == ("s3://bucket/1/abc/artifacts", "import in progress")
        with pytest.raises(InvalidValue, match="artifact_uri"):
            add_run(store, artifact_uri="x" * 3_000)
