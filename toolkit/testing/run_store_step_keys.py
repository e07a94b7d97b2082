"""What every run store promises about the keys of steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from toolkit.errors import InvalidValue, NotFound, StoreError
from toolkit.testing.runs import START, add_run
from toolkit.tracking.records import Lifecycle, RunStatus
from toolkit.tracking.step_keys import StepKey, StepKeyQuery
from toolkit.tracking.store import RunStore

_KEY, _OTHER = "a" * 64, "b" * 64


def _keep(store: RunStore, *, status: RunStatus = RunStatus.FINISHED, **changes: Any) -> StepKey:  # noqa: ANN401
    run_id = add_run(store).info.run_id
    store.update_run(run_id, status=status)
    key = StepKey(run_id=run_id, key=_KEY, family="wine/main/train", reusable=True, created=START, components="{}")
    key = replace(key, **changes)
    store.keep_step_key(key)
    return key


def _found(store: RunStore, **query: Any) -> list[str]:  # noqa: ANN401
    return [key.run_id for key in store.find_step_keys(StepKeyQuery(**query))]


class StepKeyContract:
    """Kept, found, forgotten, and gone with their runs."""

    def test_a_key_comes_back_whole(self, store: RunStore) -> None:
        """All texts as they were given, and a second one replaces it."""
        kept = _keep(store, components='{"parameters": {"é": "\\u2028 \\" \'"}}')
        assert list(store.find_step_keys(StepKeyQuery(key=_KEY))) == [kept]
        changed = replace(kept, key=_OTHER, reusable=False, created=START + 1, components="[]")
        store.keep_step_key(changed)
        assert list(store.find_step_keys(StepKeyQuery(run_ids=[kept.run_id]))) == [changed]
        assert _found(store, key=_KEY) == []

    def test_keys_are_found_newest_first(self, store: RunStore) -> None:
        """By key, by family, by run, by time; two runs may stand for one key."""
        first = _keep(store).run_id
        second = _keep(store, created=START + 10).run_id
        other = _keep(store, key=_OTHER, family="wine/main/prepare", created=START + 5).run_id
        assert _found(store, key=_KEY) == [second, first]
        assert _found(store) == [second, other, first]
        assert _found(store, limit=1) == [second]
        assert _found(store, family="wine/main/prepare") == [other]
        assert _found(store, family="wine/main") == []
        assert _found(store, before=START + 10) == [other, first]
        assert _found(store, run_ids=[first, "f" * 32, "no id\0"]) == [first]
        assert _found(store, run_ids=["\ud800"]) == []

    def test_only_what_finished_and_is_there_can_be_taken_over(self, store: RunStore) -> None:
        """A run that failed, was deleted or is not to be reused is no source."""
        good, gone = _keep(store).run_id, _keep(store).run_id
        failed = _keep(store, status=RunStatus.FAILED).run_id
        hit = _keep(store, reusable=False).run_id
        store.update_run(gone, lifecycle=Lifecycle.DELETED)
        assert _found(store, key=_KEY, reusable=True) == [good]
        assert sorted(_found(store, key=_KEY)) == sorted([good, gone, failed, hit])
        store.update_run(gone, lifecycle=Lifecycle.ACTIVE)
        assert sorted(_found(store, key=_KEY, reusable=True)) == sorted([good, gone])

    def test_keys_can_be_forgotten(self, store: RunStore) -> None:
        """Nobody takes it over any more; what it was is still known."""
        kept, other = _keep(store), _keep(store)
        assert list(store.forget_step_keys([kept.run_id, "f" * 32, "no id\0"])) == [kept.run_id]
        assert list(store.forget_step_keys([kept.run_id])) == []
        assert _found(store, key=_KEY, reusable=True) == [other.run_id]
        assert list(store.find_step_keys(StepKeyQuery(run_ids=[kept.run_id]))) == [replace(kept, reusable=False)]
        assert list(store.forget_step_keys([])) == []

    def test_a_key_goes_with_its_run(self, store: RunStore) -> None:
        """When the run is removed for good."""
        kept = _keep(store)
        store.update_run(kept.run_id, lifecycle=Lifecycle.DELETED)
        store.purge(run_ids=[kept.run_id])
        assert _found(store, key=_KEY) == []

    def test_a_picture_of_keys_does_not_change(self, store: RunStore) -> None:
        """It can be read, and not written."""
        kept = _keep(store)
        with store.picture() as before:
            assert before.find_step_keys(StepKeyQuery(key=_KEY))
            store.forget_step_keys([kept.run_id])
            assert list(before.find_step_keys(StepKeyQuery(key=_KEY))) == [kept]
            with pytest.raises(StoreError, match="picture"):
                before.keep_step_key(kept)

    @pytest.mark.parametrize(
        "changes",
        [{"key": "a" * 63}, {"key": "A" * 64}, {"family": "x" * 501}, {"components": "\0"}, {"created": -1}],
        ids=["short", "capitals", "long family", "nul", "time"],
    )
    def test_what_is_out_of_bounds_is_refused(self, store: RunStore, changes: dict[str, Any]) -> None:
        """Before anything is written."""
        kept = _keep(store)
        with pytest.raises(InvalidValue):
            store.keep_step_key(replace(kept, **changes))
        assert list(store.find_step_keys(StepKeyQuery())) == [kept]

    def test_keys_of_nothing(self, store: RunStore) -> None:
        """An unknown run has none, and a query must be one."""
        with pytest.raises(NotFound):
            store.keep_step_key(
                StepKey(run_id="f" * 32, key=_KEY, family="x", reusable=True, created=START, components="{}")
            )
        for limit in (0, 1_001):
            with pytest.raises(InvalidValue):
                store.find_step_keys(StepKeyQuery(limit=limit))
