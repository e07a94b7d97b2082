"""What every run store promises about samples of a long history."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from toolkit.errors import InvalidValue, NotFound
from toolkit.testing.runs import add_run
from toolkit.tracking.records import Metric
from toolkit.tracking.store import RunStore

_LONG = 12_000


def _log(store: RunStore, points: Sequence[Metric]) -> str:
    run_id = add_run(store).info.run_id
    store.log_batch(run_id, metrics=points)
    return run_id


def _points(steps: Sequence[int], *, same_step: bool = False) -> list[Metric]:
    return [
        Metric(key="m", value=1 / (at + 1), timestamp=step, step=0 if same_step else step)
        for at, step in enumerate(steps)
    ]


class SamplingContract:
    """Samples of histories. A subclass gives the fixture ``store``."""

    def test_a_short_history_is_given_whole(self, store: RunStore) -> None:
        """As many points as there are, at most those wanted; NaN and infinities are points."""
        points = [Metric(key="m", value=value, timestamp=0, step=0) for value in (-math.inf, 1.0, math.inf, math.nan)]
        run_id = _log(store, points)
        found = store.sample_history(run_id, "m", points=4)
        assert repr(list(found)) == repr(points)
        assert repr(list(store.sample_history(run_id, "m", points=100))) == repr(points)
        assert store.sample_history(run_id, "m", points=2)[0].value == -math.inf
        assert store.sample_history(run_id, "nope", points=4) == []
        assert store.sample_history(run_id, "no key\n", points=4) == []

    def test_points_are_spread_evenly(self, store: RunStore) -> None:
        """The first and the last are among them, and one alone is the last."""
        run_id = _log(store, _points(range(101)))
        steps = {n: [point.step for point in store.sample_history(run_id, "m", points=n)] for n in (1, 2, 3, 5, 11)}
        assert steps == {1: [100], 2: [0, 100], 3: [0, 50, 100], 5: [0, 25, 50, 75, 100], 11: list(range(0, 101, 10))}

    def test_a_stretch_of_steps(self, store: RunStore) -> None:
        """Both bounds are included, and each may be left out."""
        run_id = _log(store, _points(range(0, 100, 10)))

        def steps(start: int | None, end: int | None) -> list[int]:
            return [point.step for point in store.sample_history(run_id, "m", points=3, start_step=start, end_step=end)]

        assert steps(20, 60) == [20, 40, 60]
        assert steps(None, 15) == [0, 10]
        assert steps(85, None) == [90]
        assert steps(91, 99) == []

    @pytest.mark.parametrize(
        ("steps", "least"),
        [
            (range(_LONG), 90),
            (range(-5, 7 * _LONG, 7), 90),
            ([n // 1_000 for n in range(_LONG)], 12),
            ([*range(_LONG - 1), 10**15], 50),
            ([-(2**60), *range(_LONG - 2), 2**60], 50),
            ([n**2 for n in range(_LONG)], 50),
            ([*range(_LONG // 2), *range(10**12, 10**12 + _LONG // 2)], 50),
        ],
    )
    @pytest.mark.parametrize("same_step", [False, True])
    def test_a_long_history(self, store: RunStore, steps: Sequence[int], least: int, same_step: bool) -> None:
        """However its steps (or the times of one step) lie: real points in order, enough and never too many."""
        points = [
            Metric(key="m", value=n / 7, timestamp=point.timestamp, step=point.step)
            for n, point in enumerate(_points(steps, same_step=same_step))
        ]
        points = [Metric(key="m", value=p.value, timestamp=max(p.timestamp, 0), step=p.step) for p in points]
        run_id = _log(store, points)
        found = list(store.sample_history(run_id, "m", points=100))
        there = {(point.step, point.timestamp, point.value) for point in points}
        told = [(point.step, point.timestamp, point.value) for point in found]
        assert least <= len(found) <= 100
        assert told == sorted(set(told))
        assert set(told) <= there
        assert (told[0], told[-1]) == (min(there), max(there))

    def test_bad_samples_are_refused(self, store: RunStore) -> None:
        """Each with what was wanted."""
        run_id = _log(store, _points(range(3)))
        for points in (0, -1, 10_001, True, 1.5):
            with pytest.raises(InvalidValue, match="points"):
                store.sample_history(run_id, "m", points=points)  # type: ignore[arg-type]
        with pytest.raises(InvalidValue, match="at most end_step"):
            store.sample_history(run_id, "m", points=5, start_step=3, end_step=2)
        with pytest.raises(InvalidValue, match="64 bits"):
            store.sample_history(run_id, "m", points=5, end_step=2**63)
        with pytest.raises(NotFound):
            store.sample_history("0" * 32, "m", points=5)
