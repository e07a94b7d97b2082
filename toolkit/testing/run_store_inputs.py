"""What every run store promises about the datasets that runs use."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from toolkit.errors import Conflict, InvalidValue, NotFound
from toolkit.testing.runs import add_run
from toolkit.tracking.records import Dataset, DatasetInput, Lifecycle, RunQuery, SearchQuery
from toolkit.tracking.store import RunStore

CONTEXT = "mlflow.data.context"


def used(name: str, digest: str = "1", tags: Mapping[str, str] | None = None, **more: str) -> DatasetInput:
    """Return an input."""
    fields = {"source_type": "local", "source": '{"uri": "x.csv"}', **more}
    return DatasetInput(dataset=Dataset(name=name, digest=digest, **fields), tags=tags or {})


class InputContract:
    """Inputs of runs. A subclass gives the fixture ``store``."""

    def test_inputs_come_with_a_single_run(self, store: RunStore) -> None:
        """Whole, with their tags, in order; lists of runs leave them out."""
        run_id = add_run(store).info.run_id
        train = used("train", tags={CONTEXT: "training", "n": ""}, schema="{}", profile='{"num_rows": 3}')
        store.log_inputs(run_id, [train, used("valid", "2")])
        store.log_inputs(run_id, [])
        assert store.get_run(run_id).inputs == (train, used("valid", "2"))
        assert store.list_runs(RunQuery()).items[0].inputs == ()
        assert store.search_runs(SearchQuery()).items[0].inputs == ()

    def test_a_dataset_is_kept_once_in_an_experiment(self, store: RunStore) -> None:
        """The first record of a name and a digest counts there; a repeated input adds its tags."""
        one, two = (add_run(store).info.run_id for _ in range(2))
        other = add_run(store, experiment_id=store.create_experiment("other").experiment_id).info.run_id
        store.log_inputs(one, [used("d", source="first", tags={"a": "1", "b": "1"}), used("d", source="again")])
        store.log_inputs(one, [used("d", source="second", tags={"b": "2", "c": "2"})])
        store.log_inputs(two, [used("d", source="third"), used("d", "other digest")])
        store.log_inputs(other, [used("d", source="fourth")])
        assert store.get_run(one).inputs == (used("d", source="first", tags={"a": "1", "b": "2", "c": "2"}),)
        assert store.get_run(two).inputs == (used("d", source="first"), used("d", "other digest"))
        assert store.get_run(other).inputs == (used("d", source="fourth"),)

    def test_runs_are_found_by_their_datasets(self, store: RunStore) -> None:
        """A comparison is true of a run if it is of one of its datasets."""
        for run_id in ("both", "train", "none"):
            add_run(store, run_id=run_id)
        store.log_inputs("both", [used("train", "aa", {CONTEXT: "training"}), used("test", "bb", {CONTEXT: "eval"})])
        store.log_inputs("train", [used("train", "aa")])
        cases = {
            "dataset.name = 'train'": {"both", "train"},
            "datasets.name != 'train'": {"both"},
            "dataset.name LIKE 't%t'": {"both"},
            "dataset.name ILIKE 'TRAIN'": {"both", "train"},
            "dataset.digest IN ('bb', 'cc')": {"both"},
            "dataset.digest NOT IN ('bb')": {"both", "train"},
            "dataset.context = 'eval'": {"both"},
            "dataset.context IS NULL": {"train", "none"},
            "dataset.name IS NOT NULL AND NOT dataset.context = 'training'": {"train"},
            "NOT (dataset.name = 'test')": {"train", "none"},
        }
        for text, wanted in cases.items():
            query = SearchQuery(filter=text)
            assert {run.info.run_id for run in store.search_runs(query).items} == wanted, text
            assert store.count_runs(query) == len(wanted)

    @pytest.mark.parametrize(
        "bad",
        [
            used(""),
            used("x" * 501),
            used("d", ""),
            used("d", "x" * 37),
            used("d", source=""),
            used("d", source="x" * 65_536),
            used("d", schema="x" * 1_048_576),
            used("d", source_type=""),
            used("d\0"),
            used("d", tags={"": "x"}),
            used("d", tags={"k" * 256: "x"}),
            used("d", tags={"k": "x" * 501}),
        ],
    )
    def test_bad_inputs_are_refused_whole(self, store: RunStore, bad: DatasetInput) -> None:
        """What was given beside them is not written either."""
        run_id = add_run(store).info.run_id
        with pytest.raises(InvalidValue):
            store.log_inputs(run_id, [used("good"), bad])
        assert store.get_run(run_id).inputs == ()

    def test_runs_that_use_the_same_data_at_once(self, store: RunStore) -> None:
        """None is lost, none is kept twice, in whatever order each names them."""
        run_ids = [add_run(store).info.run_id for _ in range(12)]
        both = [used("a", tags={CONTEXT: "training"}), used("b")]
        with ThreadPoolExecutor(6) as pool:
            for _ in pool.map(lambda at: store.log_inputs(run_ids[at], both[:: 1 if at % 2 else -1]), range(12)):
                pass
        kept = [store.get_run(run_id).inputs for run_id in run_ids]
        assert {frozenset(each.dataset.name for each in inputs) for inputs in kept} == {frozenset("ab")}
        assert store.count_runs(SearchQuery(filter="dataset.context = 'training' AND dataset.name = 'b'")) == 12

    def test_inputs_want_an_active_run(self, store: RunStore) -> None:
        """And no more than a thousand a call."""
        run_id = add_run(store).info.run_id
        with pytest.raises(InvalidValue, match="1000"):
            store.log_inputs(run_id, [used("d", str(number)) for number in range(1_001)])
        store.update_run(run_id, lifecycle=Lifecycle.DELETED)
        with pytest.raises(Conflict):
            store.log_inputs(run_id, [used("d")])
        with pytest.raises(NotFound):
            store.log_inputs("nope", [used("d")])
