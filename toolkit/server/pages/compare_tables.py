"""Tables of compared runs: metrics with their best values, and by how much each differs from the baseline's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.server.pages import numbers, times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import duration_of
from toolkit.server.pages.compare_export import python
from toolkit.server.pages.compared import Compared, differences
from toolkit.server.pages.directions import lower_is_better
from toolkit.tracking.records import SYSTEM, Run

ACROSS = 8
"""So many runs at most stand beside each other; more stand below each other."""

_COLUMNS, _ROWS, _ALL = 40, 300, 2_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """A metric's value of a run.

    Attributes:
        text: As it is shown.
        exact: The value itself.
        gap: By how much it differs from the baseline's; empty where it does not, or nothing is held against it.
        tone: ``good`` or ``bad`` where it is known which way is better, for what differs from the baseline.
        best: Whether no other run's is better.
    """

    text: str
    exact: str
    gap: str = ""
    tone: str = ""
    best: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A metric of all runs.

    Attributes:
        key: Its name.
        lower: Whether less is better; ``None`` where that is not known.
        cells: The value of each run; of a metric that is the same in all the first one's.
    """

    key: str
    lower: bool | None
    cells: Sequence[Value | None]


def tables(asked: Asked, found: Compared) -> Mapping[str, Any]:
    """Return what the tables show: in what the runs differ, and what they measured."""
    order = asked.query.get("order", "")
    runs = ordered(found.runs, order) if order in found.metrics else found.runs
    differing, same = differences(asked, runs)
    varying, constant = _by_difference(runs, found)
    across = len(runs) <= ACROSS
    most = _ALL if asked.query.get("all") == "1" else _ROWS if across else _COLUMNS
    return {
        "ordered_runs": runs,
        "order": order if runs is not found.runs else "",
        "across": across,
        "differing": differing[:most],
        "differ_count": len(differing),
        "same": same[:_ALL],
        "same_count": len(same),
        "metrics": metrics_of(runs, varying[:most], found.base),
        "metrics_count": len(varying),
        "constant": metrics_of(runs[:1], constant[:_ALL], found.base),
        "system_count": len({key for run in runs for key in run.data.metrics if key.startswith(SYSTEM)}),
        "most": _ALL,
        "python": python(found.runs),
        "at": times.now(),
        "took": duration_of,
    }


def ordered(runs: Sequence[Run], key: str) -> Sequence[Run]:
    """Return runs by a metric: the best first, or the greatest where it is not known which are; then those without."""
    upwards = lower_is_better(key) is True

    def place(run: Run) -> tuple[bool, float]:
        value = run.data.metrics.get(key, math.nan)
        return (True, 0.0) if math.isnan(value) else (False, value if upwards else -value)

    return sorted(runs, key=place)


def _by_difference(runs: Sequence[Run], found: Compared) -> tuple[Sequence[str], Sequence[str]]:
    """Return the metrics in which runs differ, and those that are the same in all; the one that matters most first."""
    told: tuple[list[str], list[str]] = ([], [])
    for key in sorted(found.metrics, key=lambda key: (key != found.primary, key)):
        values = (repr(run.data.metrics.get(key)) for run in runs)
        first = next(values)
        told[all(value == first for value in values)].append(key)
    return told


def metrics_of(runs: Sequence[Run], keys: Sequence[str], base: Run | None) -> Sequence[Measured]:
    """Return the metrics of runs.

    Args:
        runs: The runs, in the order of the cells.
        keys: The metrics.
        base: The run that values are held against, if one was chosen.
    """
    return [_measured(key, [run.data.metrics.get(key) for run in runs], base) for key in keys]


def _measured(key: str, values: Sequence[float | None], base: Run | None) -> Measured:
    present = [value for value in values if value is not None]
    digits = numbers.digits_of(present)
    lower = lower_is_better(key)
    finite = {value for value in present if math.isfinite(value)}
    best = None if lower is None or len(finite) < 2 else min(finite) if lower else max(finite)
    held = base.data.metrics.get(key) if base else None
    cells = [
        None
        if value is None
        else Value(
            text=numbers.metric(value, digits),
            exact=repr(value),
            gap="" if held is None or value == held else numbers.difference(value, held, lower_is_better=lower),
            tone=_tone(value, held, lower),
            best=value == best,
        )
        for value in values
    ]
    return Measured(key=key, lower=lower, cells=cells)


def _tone(value: float, held: float | None, lower: bool | None) -> str:
    if held is None or lower is None or not math.isfinite(value - held) or value == held:
        return ""
    return "good" if (value < held) == lower else "bad"
