"""Runs as a table of pandas, in the columns of MLflow's ``search_runs``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue
from toolkit.tracking.records import Run

if TYPE_CHECKING:
    import pandas as pd

_INFO = ("run_id", "experiment_id", "status", "artifact_uri")
_TIMES = ("start_time", "end_time")


def pandas() -> Any:  # noqa: ANN401 - the module
    """Return pandas.

    Raises:
        InvalidValue: It is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415 - optional and heavy
    except ImportError:
        raise InvalidValue(
            'tables need pandas, which is not installed: pip install pandas, or ask for output_format="list"'
        ) from None
    return pd


def runs_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """Return runs as a table: one row each, one column for each metric, parameter and tag that one of them has.

    A run that lacks a metric has NaN there; a parameter or a tag, ``None``. Times are in UTC.
    """
    pd = pandas()
    data: dict[str, Any] = {name: [str(getattr(run.info, name)) for run in runs] for name in _INFO}
    for name in _TIMES:
        data[name] = _times(pd, [getattr(run.info, name) for run in runs])
    for kind, lacking in (("metrics", float("nan")), ("params", None), ("tags", None)):
        values = [getattr(run.data, kind) for run in runs]
        for key in dict.fromkeys(key for each in values for key in each):
            data[f"{kind}.{key}"] = [each.get(key, lacking) for each in values]
    return pd.DataFrame(data)


def _times(pd: Any, milliseconds: Sequence[int | None]) -> Any:  # noqa: ANN401 - pandas' types
    """Return times in the type that single times would make a column of, but all at once: one by one takes minutes."""
    if not milliseconds:
        return []
    kind = pd.Series([pd.to_datetime(0, unit="ms", utc=True)]).dtype
    return pd.to_datetime(pd.Series(milliseconds, dtype="Int64"), unit="ms", utc=True).astype(kind)
