"""The contract of `RunStore.apply`: entries of a client's journal."""

from __future__ import annotations

import math

from toolkit.errors import Conflict, InvalidValue, NotFound
from toolkit.ids import new_run_id
from toolkit.testing.runs import new_run
from toolkit.tracking.entries import Begun, Ended, Entry, Listed, Logged, Used
from toolkit.tracking.limits import check_points
from toolkit.tracking.records import (
    ArtifactEntry,
    Dataset,
    DatasetInput,
    Lifecycle,
    Metric,
    RunStatus,
)
from toolkit.tracking.store import RunStore


def loss(run_id: str, *values: float) -> Logged:
    """Return an entry with one point a value."""
    metrics = [Metric(key="loss", value=value, timestamp=7, step=step) for step, value in enumerate(values)]
    return Logged(run_id=run_id, points=check_points(metrics))


class ApplyContract:
    """Entries are written in their order, each once, whatever the others are."""

    def test_a_whole_run(self, store: RunStore) -> None:
        """A run that begins, logs everything there is, and ends."""
        new = new_run(tags={"team": "a"}, params={"alpha": "1"})
        file = ArtifactEntry(path="a/b.txt", size=3, sha256="0" * 64, created=5)
        given = DatasetInput(dataset=Dataset(name="d", digest="1", source_type="local", source="{}"))
        entries: list[Entry | None] = [
            Begun(new=new),
            loss(new.run_id, 0.5, math.nan, -0.0),
            Logged(run_id=new.run_id, params={"beta": "2"}, tags={"team": "b", "more": "c", "mlflow.runName": "newer"}),
            None,
            Logged(run_id=new.run_id, tags={"more": None}),
            Listed(run_id=new.run_id, artifacts=[file]),
            Used(run_id=new.run_id, inputs=[given]),
            Ended(run_id=new.run_id, status=RunStatus.FAILED, end_time=99, reason="because"),
        ]
        assert store.apply(entries, journal="j", first=0) == []
        run = store.get_run(new.run_id)
        assert run.info.run_name == "newer"
        assert (run.info.status, run.info.end_time, run.info.reason) == (RunStatus.FAILED, 99, "because")
        assert run.data.params == {"alpha": "1", "beta": "2"}
        assert (run.data.tags["team"], run.data.tags["mlflow.runName"]) == ("b", "newer")
        assert "more" not in run.data.tags
        assert [repr(point.value) for point in store.metric_history(new.run_id, "loss").items] == ["0.5", "nan", "-0.0"]
        assert list(store.list_artifacts(new.run_id).items) == [file]
        assert list(run.inputs) == [given]

    def test_nothing_is_applied_twice(self, store: RunStore) -> None:
        """What a journal has sent before is passed over, by its number."""
        new = new_run()
        entries: list[Entry | None] = [Begun(new=new), Logged(run_id=new.run_id, tags={"a": "1"})]
        store.apply(entries, journal="j", first=0)
        store.log_batch(new.run_id, tags={"a": "2"})
        store.apply(entries, journal="j", first=0)
        assert store.get_run(new.run_id).data.tags["a"] == "2"
        more: list[Entry | None] = [*entries, Logged(run_id=new.run_id, tags={"a": "3"})]
        store.apply(more, journal="j", first=0)
        assert store.get_run(new.run_id).data.tags["a"] == "3"
        store.apply([Logged(run_id=new.run_id, tags={"a": "4"})], journal="other", first=0)
        assert store.get_run(new.run_id).data.tags["a"] == "4"

    def test_what_can_never_be_written_is_returned_and_the_rest_is_written(self, store: RunStore) -> None:
        """One bad entry does not hold up the others."""
        first, second = new_run(), new_run()
        unknown = new_run_id()
        entries: list[Entry | None] = [
            Begun(new=first),
            Logged(run_id=first.run_id, params={"a": "1"}),
            Logged(run_id=first.run_id, params={"a": "2", "b": "2"}),
            Begun(new=second),
            loss(unknown, 1.0),
            Logged(run_id=second.run_id, tags={"": "no key"}),
            Begun(new=new_run(experiment_id="12345")),
            loss(first.run_id, 3.0),
            Ended(run_id=second.run_id, status=RunStatus.FINISHED, end_time=1),
        ]
        rejections = store.apply(entries, journal="j", first=0)
        assert [rejection.entry for rejection in rejections] == [entries[2], entries[4], entries[5], entries[6]]
        assert [type(rejection.error) for rejection in rejections] == [Conflict, NotFound, InvalidValue, NotFound]
        assert store.get_run(first.run_id).data.params == {"a": "1"}
        assert store.get_run(first.run_id).data.metrics == {"loss": 3.0}
        assert store.get_run(second.run_id).info.status is RunStatus.FINISHED
        assert store.apply(entries, journal="j", first=0) == []

    def test_late_values_of_an_ended_run_are_kept_and_do_not_revive_it(self, store: RunStore) -> None:
        """Data is data, whatever became of the run."""
        new = new_run()
        store.create_run(new)
        store.mark_lost(new.run_id, "heartbeat_lost", owner=new.owner, expired=False)
        store.apply([loss(new.run_id, 1.0, 2.0)], journal="j", first=0)
        run = store.get_run(new.run_id)
        assert run.data.metrics == {"loss": 2.0}
        assert run.info.status is RunStatus.FAILED

    def test_a_run_that_is_there_stays_as_it_is(self, store: RunStore) -> None:
        """The same run id again changes nothing, and later values are written."""
        new = new_run(params={"a": "1"})
        store.create_run(new)
        again = new_run(run_id=new.run_id, params={"b": "2"}, tags={"x": "y"})
        assert store.apply([Begun(new=again), loss(new.run_id, 1.0)], journal="j", first=0) == []
        run = store.get_run(new.run_id)
        assert run.data.params == {"a": "1"}
        assert "x" not in run.data.tags
        assert run.data.metrics == {"loss": 1.0}

    def test_a_deleted_run_takes_nothing(self, store: RunStore) -> None:
        """As for every other write."""
        new = new_run()
        store.create_run(new)
        store.update_run(new.run_id, lifecycle=Lifecycle.DELETED)
        (rejection,) = store.apply([loss(new.run_id, 1.0)], journal="j", first=0)
        assert isinstance(rejection.error, Conflict)

    def test_a_file_that_was_stored_since_stays_listed(self, store: RunStore) -> None:
        """A journal that comes late does not list the digest of bytes that were replaced; one in time does."""
        new = new_run()
        store.create_run(new)

        def file(path: str, created: int, digit: str) -> ArtifactEntry:
            return ArtifactEntry(path=path, size=created, sha256=digit * 64, created=created)

        now = [file("a", 5, "1"), file("b", 5, "1"), file("c", 5, "1")]
        late = [file("a", 4, "2"), file("b", 5, "2"), file("c", 6, "2"), file("d", 1, "2")]
        store.record_artifacts(new.run_id, now)
        store.apply([Listed(run_id=new.run_id, artifacts=late)], journal="late", first=0)
        assert list(store.list_artifacts(new.run_id).items) == [now[0], *late[1:]]
        store.record_artifacts(new.run_id, [file("c", 2, "3")])
        assert list(store.list_artifacts(new.run_id).items)[2] == file("c", 2, "3")
