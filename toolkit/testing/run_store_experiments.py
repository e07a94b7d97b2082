"""What every run store promises about experiments."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from toolkit.errors import AlreadyExists, Conflict, InvalidValue, NotFound
from toolkit.testing.runs import add_run
from toolkit.tracking.records import Lifecycle
from toolkit.tracking.store import RunStore


class ExperimentContract:
    """Experiments: made, found, listed, renamed, deleted, restored."""

    def test_default_is_always_there(self, store: RunStore) -> None:
        """Id 0 is there in a new store, with MLflow's name."""
        default = store.get_experiment("0")
        assert (default.experiment_id, default.name) == ("0", "Default")
        assert default.lifecycle_stage is Lifecycle.ACTIVE
        assert default.artifact_location.endswith("/0")
        assert store.find_experiment("Default") == default

    def test_create_and_read(self, store: RunStore) -> None:
        """What was given comes back, with an id of its own."""
        made = store.create_experiment("wine", tags={"team": "blue"})
        assert made == store.get_experiment(made.experiment_id) == store.find_experiment("wine")
        assert made.tags == {"team": "blue"}
        assert made.artifact_location.endswith(f"/{made.experiment_id}")
        assert made.creation_time == made.last_update_time > 0
        other = store.create_experiment("beer", artifact_location="s3://bucket/beer")
        assert other.artifact_location == "s3://bucket/beer"
        assert other.experiment_id not in ("0", made.experiment_id)

    @pytest.mark.parametrize("name", ["", "x" * 501, "a\0b", "\ud800"])
    def test_bad_names_are_refused(self, store: RunStore, name: str) -> None:
        """Empty, too long, and no text."""
        with pytest.raises(InvalidValue):
            store.create_experiment(name)
        with pytest.raises(InvalidValue):
            store.ensure_experiment(name)

    @pytest.mark.parametrize("name", ["x" * 500, "Ünï/çødé 🍷", " ", "'; DROP TABLE runs --", "%_*"])
    def test_any_other_name_is_kept(self, store: RunStore, name: str) -> None:
        """Names are text, not patterns and not SQL."""
        assert store.create_experiment(name).name == name
        found = store.find_experiment(name)
        assert found is not None
        assert found.name == name

    def test_names_are_unique_among_the_active(self, store: RunStore) -> None:
        """A deleted experiment's name is free again; one that is restored must find it free."""
        first = store.create_experiment("wine")
        with pytest.raises(AlreadyExists, match=r"^Experiment\(name=wine\) already exists\.$"):
            store.create_experiment("wine")
        store.update_experiment(first.experiment_id, lifecycle=Lifecycle.DELETED)
        gone = store.find_experiment("wine")
        assert gone is not None
        assert gone.lifecycle_stage is Lifecycle.DELETED
        second = store.create_experiment("wine")
        assert second.experiment_id != first.experiment_id
        assert store.find_experiment("wine") == second
        with pytest.raises(AlreadyExists):
            store.update_experiment(first.experiment_id, lifecycle=Lifecycle.ACTIVE)
        back = store.update_experiment(first.experiment_id, lifecycle=Lifecycle.ACTIVE, name="old wine")
        assert (back.name, back.lifecycle_stage) == ("old wine", Lifecycle.ACTIVE)

    def test_ensure_makes_one(self, store: RunStore) -> None:
        """The second call returns what the first made; a deleted one is not revived."""
        first = store.ensure_experiment("wine")
        assert store.ensure_experiment("wine") == first
        store.update_experiment(first.experiment_id, lifecycle=Lifecycle.DELETED)
        assert store.ensure_experiment("wine").experiment_id != first.experiment_id

    def test_ensure_from_many_threads_makes_one(self, store: RunStore) -> None:
        """Concurrent callers get the same experiment."""
        with ThreadPoolExecutor(8) as pool:
            ids = {e.experiment_id for e in pool.map(store.ensure_experiment, ["wine"] * 32)}
        assert len(ids) == 1

    @pytest.mark.parametrize("experiment_id", ["9", "", "abc", "-1", "0x0", "9" * 40, "\ud800", "00", "٣"])
    def test_unknown_ids(self, store: RunStore, experiment_id: str) -> None:
        """An id that no experiment has, whatever its form."""
        with pytest.raises(NotFound) as error:
            store.get_experiment(experiment_id)
        assert str(error.value) == f"No Experiment with id={experiment_id} exists"
        with pytest.raises(NotFound):
            store.update_experiment(experiment_id, name="x")
        assert store.find_experiment("nobody's") is None

    def test_rename_and_tag(self, store: RunStore) -> None:
        """Names and tags change, and ``None`` removes a tag."""
        made = store.create_experiment("wine", tags={"a": "1", "b": "2"})
        store.create_experiment("beer")
        with pytest.raises(AlreadyExists):
            store.update_experiment(made.experiment_id, name="beer", tags={"a": "9"})
        assert store.get_experiment(made.experiment_id) == made
        changed = store.update_experiment(made.experiment_id, name="red", tags={"a": None, "b": "3", "c": "x" * 20_000})
        assert (changed.name, changed.tags) == ("red", {"b": "3", "c": "x" * 20_000})
        assert changed.last_update_time >= made.last_update_time
        assert store.update_experiment(made.experiment_id, name="red").name == "red"
        with pytest.raises(InvalidValue):
            store.update_experiment(made.experiment_id, tags={"c": "x" * 20_001})

    def test_deleting_takes_the_active_runs_along(self, store: RunStore) -> None:
        """And restoring brings those back, not the ones that were deleted before."""
        made = store.create_experiment("wine")
        kept, gone = (add_run(store, experiment_id=made.experiment_id).info.run_id for _ in range(2))
        store.update_run(gone, lifecycle=Lifecycle.DELETED)
        store.update_experiment(made.experiment_id, lifecycle=Lifecycle.DELETED)
        assert store.get_run(kept).info.lifecycle_stage is Lifecycle.DELETED
        with pytest.raises(Conflict, match="must be in the 'active' state"):
            add_run(store, experiment_id=made.experiment_id)
        with pytest.raises(Conflict, match="Cannot rename"):
            store.update_experiment(made.experiment_id, name="x")
        store.update_experiment(made.experiment_id, lifecycle=Lifecycle.DELETED)
        store.update_experiment(made.experiment_id, lifecycle=Lifecycle.ACTIVE)
        assert store.get_run(kept).info.lifecycle_stage is Lifecycle.ACTIVE
        assert store.get_run(gone).info.lifecycle_stage is Lifecycle.DELETED

    def test_pages(self, store: RunStore) -> None:
        """Newest first, each once, also while others are made."""
        made = [store.create_experiment(f"e{number}").experiment_id for number in range(7)]
        store.update_experiment(made[3], lifecycle=Lifecycle.DELETED)
        active = [*reversed([one for one in made if one != made[3]]), "0"]
        assert [e.experiment_id for e in store.list_experiments().items] == active
        assert [e.experiment_id for e in store.list_experiments(lifecycle=Lifecycle.DELETED).items] == [made[3]]
        seen: list[str] = []
        token = None
        while True:
            page = store.list_experiments(lifecycle=None, limit=3, page_token=token)
            seen += [e.experiment_id for e in page.items]
            store.create_experiment(f"late {len(seen)}")
            token = page.next_page_token
            if token is None:
                break
        assert seen == [*reversed(made), "0"]

    @pytest.mark.parametrize("limit", [0, -1, 50_001, True, "3"])
    def test_bad_page_sizes(self, store: RunStore, limit: int) -> None:
        """Out of bounds is refused, not cut."""
        with pytest.raises(InvalidValue, match="max_results"):
            store.list_experiments(limit=limit)
