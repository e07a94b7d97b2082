"""Histories for charts cost few statements, however many there are; and what each chosen point is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import event

from toolkit.db.engine import Database, open_database
from toolkit.testing.runs import add_run
from toolkit.tracking.records import Metric
from toolkit.tracking.series import Extent, SeriesQuery, smoothed
from toolkit.tracking.sql import SqlRunStore


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    kind = str(request.param)
    url = f"sqlite:///{tmp_path}/toolkit.db" if kind == "sqlite" else request.getfixturevalue("postgres_emptied_url")
    database = open_database(url)
    yield database
    database.close()


@pytest.mark.parametrize(("points", "most"), [(1_000, 4), (8, 4)], ids=["whole", "chosen"])
def test_many_runs_and_metrics_are_asked_for_together(database: Database, points: int, most: int) -> None:
    """The runs, the metrics, how far each goes, and then the points: four statements."""
    store = SqlRunStore(database, "file:///artifacts")
    ids = [add_run(store).info.run_id for _ in range(40)]
    keys = [f"m{n}" for n in range(5)]
    for run_id in ids:
        logged = [Metric(key=key, value=step / 7, timestamp=step, step=step) for key in keys for step in range(20)]
        store.log_batch(run_id, metrics=logged)
    statements: list[str] = []
    event.listen(
        database.engine, "before_cursor_execute", lambda _c, _cursor, statement, *_rest: statements.append(statement)
    )
    found = store.sample_series(SeriesQuery(run_ids=ids, keys=keys, points=points))
    asked = [each for each in statements if each.lstrip("( ").startswith(("SELECT", "WITH"))]
    assert len(asked) <= most, asked
    assert [(each.run_id, each.key) for each in found] == [(run_id, key) for run_id in ids for key in keys]
    assert {each.total for each in found} == {20}
    assert all((each.steps[0], each.steps[-1]) == (0, 19) for each in found)


@pytest.mark.parametrize(
    ("low", "high", "most", "length"),
    [(0, 99, 100, 1), (0, 100, 100, 2), (-1, 1, 2, 2), (-(2**63), 2**63 - 1, 250, 2**57), (-(2**63), 0, 2, 2**63)],
)
def test_stretches_cover_all_steps_and_are_few(low: int, high: int, most: int, length: int) -> None:
    """They begin at multiples of their length, but for the first one."""
    extent = Extent(count=high - low + 1, steps=(low, high))
    found = extent.stretches(most)
    assert len(found) <= most
    assert 1 << extent.shift(most) == length
    assert (found[0][0], found[-1][1]) == (low, high)
    assert all(after[0] == before[1] + 1 and after[0] % length == 0 for before, after in pairwise(found))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], []),
        ([2.0, 2.0], [2.0, 2.0]),
        ([1.0, 0.0], [1.0, 1 / 3]),
        ([0.0, float("inf"), 1.0], [0.0, float("inf"), 2 / 3]),
    ],
)
def test_smoothing_has_no_bias_at_the_start(values: Sequence[float], line: Sequence[float]) -> None:
    assert smoothed(values, 0.5) == pytest.approx(list(line))
