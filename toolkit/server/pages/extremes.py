"""The least and the greatest value that metrics of runs had, for columns that show them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from toolkit.server.pages.columns import EXTREMES, GREATEST, LEAST, Column
from toolkit.tracking.records import Run
from toolkit.tracking.series import FEWEST, SeriesQuery
from toolkit.tracking.store import RunStore

Extremes = Mapping[tuple[str, Column], float]
"""By the run's id and the column."""

_AT_ONCE = 1_000


def extremes_of(store: RunStore, runs: Sequence[Run], columns: Sequence[Column]) -> Extremes:
    """Return the extremes that some columns show; of what has no finite value, nothing.

    Args:
        store: Where the runs are.
        runs: The runs.
        columns: Those that are shown.
    """
    keys = list(dict.fromkeys(column.key for column in columns if column.kind in EXTREMES))
    found: dict[tuple[str, Column], float] = {}
    if not keys:
        return found
    size = max(1, _AT_ONCE // len(keys))
    for first in range(0, len(runs), size):
        ids = [run.info.run_id for run in runs[first : first + size]]
        # However few points are asked for, the least and the greatest of all are among them.
        for series in store.sample_series(SeriesQuery(run_ids=ids, keys=keys, points=FEWEST)):
            finite = [value for value in series.values if math.isfinite(value)]
            if finite:
                found[series.run_id, Column(LEAST, series.key)] = min(finite)
                found[series.run_id, Column(GREATEST, series.key)] = max(finite)
    return found
