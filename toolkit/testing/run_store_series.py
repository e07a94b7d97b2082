"""What every run store promises about histories as charts draw them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from toolkit.errors import InvalidValue
from toolkit.testing.runs import add_run
from toolkit.tracking import series
from toolkit.tracking.records import Metric
from toolkit.tracking.series import Series, SeriesQuery, smoothed
from toolkit.tracking.store import RunStore

_STRANGE = (math.nan, math.inf, -math.inf)


def _log(store: RunStore, values: Sequence[float], *, key: str = "m", first: int = 0) -> str:
    run_id = add_run(store).info.run_id
    points = [Metric(key=key, value=value, timestamp=1_000 + n, step=first + n) for n, value in enumerate(values)]
    store.log_batch(run_id, metrics=points)
    return run_id


def _one(store: RunStore, run_id: str, points: int, **rest: object) -> Series:
    query = SeriesQuery(run_ids=[run_id], keys=["m"], points=points, **rest)  # type: ignore[arg-type]
    (found,) = store.sample_series(query)
    return found


def _plainly(points: Sequence[Metric], most: int) -> list[tuple[int, int, str]]:
    """Choose points in the plainest way: try lengths of stretches until there are few enough, and look at each."""
    whole = sorted(points, key=lambda point: (point.step, point.timestamp, _order(point.value)))
    if len(whole) <= most:
        return [_told(point) for point in whole]
    by_time = whole[0].step == whole[-1].step
    length = 1
    while True:
        stretches: dict[int, list[int]] = {}
        for place, point in enumerate(whole):
            stretches.setdefault((point.timestamp if by_time else point.step) // length, []).append(place)
        low, high = min(stretches), max(stretches)
        if high - low + 1 <= most // 4:
            break
        length *= 2
    kept: set[int] = set()
    for places in stretches.values():
        kept |= {places[0], places[-1]}
        finite = [place for place in places if math.isfinite(whole[place].value)]
        if finite:
            order = [_order(whole[place].value) for place in finite]
            kept |= {finite[order.index(min(order))], finite[order.index(max(order))]}
        for strange in ("nan", "inf", "-inf"):
            kept |= set([place for place in places if str(whole[place].value) == strange][:1])
    return [_told(whole[place]) for place in sorted(kept)]


def _order(value: float) -> tuple[bool, float, float]:
    return (math.isnan(value), 0.0 if math.isnan(value) else value, math.copysign(1.0, value))


def _told(point: Metric) -> tuple[int, int, str]:
    return (point.step, point.timestamp, repr(point.value))


def _columns(found: Series) -> list[tuple[int, int, str]]:
    return list(zip(found.steps, found.timestamps, map(repr, found.values), strict=True))


def _random(seed: int) -> list[Metric]:
    """Return a course with all that makes courses hard: gaps, steps that come twice, zeros of both signs, NaN."""
    chance = random.Random(seed)  # noqa: S311 - a course, no secret
    step = chance.choice([0, -(10**6), 2**60])
    found = {}
    for _ in range(chance.choice([50, 400, 900])):
        step += 0 if seed % 4 == 3 else chance.choice([0, 0, 1, 1, 1, 2, 3, 500 if seed % 4 == 2 else 1])
        value = chance.choice(
            [chance.gauss(0, 1), chance.gauss(0, 1), 0.0, -0.0, 1e308, -5e-324, *_STRANGE[: seed % 4]]
        )
        point = Metric(key="m", value=value, timestamp=chance.randrange(5_000), step=step)
        found[_told(point)] = point
    return list(found.values())


class SeriesContract:
    """Histories as charts draw them. A subclass gives the fixture ``store``."""

    @pytest.mark.parametrize("seed", range(8))
    def test_points_are_those_of_the_plain_rule(self, store: RunStore, seed: int) -> None:
        """Of random courses, in any number of points."""
        points = _random(seed)
        run_id = add_run(store).info.run_id
        store.log_batch(run_id, metrics=points)
        for most in (8, 41, 160, 2_000):
            found = _one(store, run_id, most)
            assert found.total == len(points)
            assert _columns(found) == _plainly(points, most)

    def test_a_spike_of_one_step_survives(self, store: RunStore) -> None:
        """So do the first and the last point, at their steps; and there are never more than asked for."""
        values = [math.sin(n / 100) for n in range(5_000)]
        values[3_333] = 100.0
        run_id = _log(store, values)
        for most in (8, 40, 400):
            found = _one(store, run_id, most)
            assert max(found.values) == 100.0
            assert found.steps[list(found.values).index(100.0)] == 3_333
            assert (found.steps[0], found.steps[-1], found.total) == (0, 4_999, 5_000)
            assert most // 8 <= len(found.steps) <= most

    def test_what_is_no_finite_number_is_kept_where_it_was(self, store: RunStore) -> None:
        """The first of a kind in each stretch, beside the points that are drawn."""
        values = [float(n) for n in range(1_000)]
        values[500:600] = [math.nan] * 100
        values[10], values[990] = math.inf, -math.inf
        found = _one(store, _log(store, values), 100)
        marks = {step: value for step, value in zip(found.steps, found.values, strict=True) if not math.isfinite(value)}
        assert marks[10] == math.inf
        assert marks[990] == -math.inf
        assert math.isnan(marks[500])
        assert all(500 <= step < 600 for step in set(marks) - {10, 990})
        nothing = _one(store, _log(store, [math.nan] * 1_000), 100)
        assert nothing.total == 1_000
        assert all(map(math.isnan, nothing.values))

    def test_points_that_arrive_move_no_others(self, store: RunStore) -> None:
        """The shape of what was there stays: only the last stretch may change, as long as they keep their length."""
        values = [random.Random(n).random() for n in range(2_100)]  # noqa: S311 - the same
        run_id = _log(store, values[:1_100])
        before = _one(store, run_id, 200)
        more = [Metric(key="m", value=values[n], timestamp=1_000 + n, step=n) for n in range(1_100, 1_500)]
        store.log_batch(run_id, metrics=more)
        after = _one(store, run_id, 200)
        settled = [point for point in _columns(before) if point[0] < 1_088]  # a multiple of every length here
        assert _columns(after)[: len(settled)] == settled

    def test_many_runs_and_metrics_in_the_order_of_the_query(self, store: RunStore) -> None:
        """What is not there is left out, and what is asked twice is told once."""
        one, other = _log(store, [1.0, 2.0]), _log(store, [3.0], key="n")
        store.log_batch(one, metrics=[Metric(key="n", value=4.0, timestamp=0, step=7)])
        asked = SeriesQuery(run_ids=[other, "0" * 32, "no run", one, other], keys=["n", "m", "none", "no key\n", "n"])
        found = [(each.run_id, each.key, list(each.values)) for each in store.sample_series(asked)]
        assert found == [(other, "n", [3.0]), (one, "n", [4.0]), (one, "m", [1.0, 2.0])]
        assert list(store.sample_series(SeriesQuery(run_ids=[], keys=["m"]))) == []
        assert list(store.sample_series(SeriesQuery(run_ids=[one], keys=[]))) == []

    def test_a_part_of_the_steps(self, store: RunStore) -> None:
        """Both bounds are included; a part that is short is told whole, and counted alone."""
        run_id = _log(store, [float(n) for n in range(1_000)])
        near = _one(store, run_id, 100, start_step=400, end_step=449)
        assert (list(near.steps), near.total) == (list(range(400, 450)), 50)
        far = _one(store, run_id, 100, start_step=-5, end_step=899)
        assert (far.steps[0], far.steps[-1], far.total) == (0, 899, 900)
        assert list(store.sample_series(SeriesQuery(run_ids=[run_id], keys=["m"], start_step=1_000))) == []

    def test_a_smoothed_line_knows_every_point(self, store: RunStore) -> None:
        """It is smoothed before points are chosen, without a bias at the start; what is not finite does not count."""
        values = [random.Random(n).random() for n in range(1_000)]  # noqa: S311 - the same
        values[3] = math.nan
        run_id = _log(store, values)
        found = _one(store, run_id, 100, smooth=0.9)
        assert found.smoothed is not None
        line = dict(zip(found.steps, found.smoothed, strict=True))
        weights = [0.9 ** (999 - n) for n in range(1_000) if n != 3]
        finite = [value for n, value in enumerate(values) if n != 3]
        mean = sum(w * value for w, value in zip(weights, finite, strict=True)) / sum(weights)
        assert line[0] == pytest.approx(values[0])
        assert math.isnan(line[3])
        assert line[999] == pytest.approx(mean)
        assert list(found.steps) == list(_one(store, run_id, 100).steps)
        late = _one(store, run_id, 100, smooth=0.9, start_step=960)
        assert late.smoothed is not None
        assert (late.steps[0], late.total, late.smoothed[-1]) == (960, 40, line[999])
        assert not store.sample_series(SeriesQuery(run_ids=[run_id], keys=["m"], smooth=0.9, start_step=1_000))
        assert _one(store, run_id, 100).smoothed is None
        flat = _one(store, _log(store, [0.1] * 50), 100, smooth=0.5)
        assert flat.smoothed is not None
        assert list(flat.smoothed) == [0.1] * 50

    def test_a_line_of_too_many_points_is_made_of_those_that_are_told(
        self, store: RunStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Alone or with those before it, which are smoothed as ever; each says so."""
        monkeypatch.setattr(series, "MOST_SMOOTHED", 300)
        monkeypatch.setattr(series, "MOST_SMOOTHED_TOGETHER", 450)
        ids = [_log(store, [float(n % 7) for n in range(count)]) for count in (200, 301, 300, 250, 20)]
        query = SeriesQuery(run_ids=ids, keys=["m"], points=40, smooth=0.9)
        found = store.sample_series(query)
        assert [each.rough for each in found] == [False, True, True, False, True]
        assert [each.total for each in found] == [200, 301, 300, 250, 20]
        plain = store.sample_series(replace(query, smooth=0.0))
        for told, without in zip(found, plain, strict=True):
            assert list(told.steps) == list(without.steps)
            assert told.smoothed is not None
            assert (list(told.smoothed) == smoothed(without.values, 0.9)) == told.rough
        assert not any(each.rough for each in plain)
        (late,) = store.sample_series(replace(query, run_ids=ids[1:2], start_step=290))
        assert (list(late.steps), late.total, late.rough) == (list(range(290, 301)), 11, True)
        assert not store.sample_series(replace(query, run_ids=ids[1:2], start_step=301))

    def test_bad_queries_are_refused(self, store: RunStore) -> None:
        """Each with what was wanted."""
        run_id = _log(store, [1.0])
        for points in (0, 7, 10_001, True, 5.5):
            with pytest.raises(InvalidValue, match="points"):
                _one(store, run_id, points)  # type: ignore[arg-type]
        for smooth in (-0.1, 1.0, math.nan):
            with pytest.raises(InvalidValue, match="smooth"):
                _one(store, run_id, 10, smooth=smooth)
        with pytest.raises(InvalidValue, match="at most end_step"):
            _one(store, run_id, 10, start_step=3, end_step=2)
