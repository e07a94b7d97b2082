"""Which parameters of the compared runs go with a metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.server.pages.asked import Asked
from toolkit.server.pages.compare_space import number_in
from toolkit.server.pages.compared import Compared
from toolkit.server.pages.importance import FEWEST, importance

_SHOWN = 100
_WIDTH = 160


def importances(asked: Asked, found: Compared) -> Mapping[str, Any]:
    """Return what the page shows: a row for each parameter in which the runs differ, the strongest first."""
    metrics = sorted(found.metrics, key=lambda key: (key != found.primary, key))
    wanted = asked.query.get("metric", "")
    metric = wanted if wanted in metrics else next(iter(metrics), "")
    measured = [_finite(run.data.metrics.get(metric)) for run in found.runs]
    keys = sorted({key for run in found.runs for key in run.data.params})
    varied = [key for key in keys if len({run.data.params.get(key) for run in found.runs}) > 1]
    told = [
        (key, importance(key, _values([run.data.params.get(key) for run in found.runs]), measured)) for key in varied
    ]
    rows = sorted((each for _, each in told if each), key=lambda each: (-each.strength, each.key))
    return {
        "measured": metrics,
        "metric": metric,
        "rows": rows[:_SHOWN],
        "rows_count": len(rows),
        "untold": [key for key, each in told if each is None],
        "with_metric": sum(value is not None for value in measured),
        "fewest": FEWEST,
        "width": _WIDTH,
    }


def _values(texts: Sequence[str | None]) -> Sequence[float | str | None]:
    """Return values as numbers where all of them are."""
    numbers = [None if text is None else number_in(text) for text in texts]
    return numbers if all(n is not None for n, text in zip(numbers, texts, strict=True) if text is not None) else texts


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
