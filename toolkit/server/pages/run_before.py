"""The run before a run: the last one of the same source, which tells what was changed and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.server.pages import numbers
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.directions import lower_is_better
from toolkit.server.pages.view import quoted
from toolkit.tracking.records import Run, SearchQuery

_SOURCE = ("mlflow.source.name", "mlflow.project.entryPoint", "toolkit.workflow", "toolkit.step")
_LOOKED_AT = 50
"""Runs that are looked at: what was run long before is of no interest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Param:
    """A parameter beside that of the run before.

    Attributes:
        key: Its name.
        value: Its value; ``None``: only the run before has it.
        before: The value of the run before; ``None``: it has none.
        changed: Whether they differ.
    """

    key: str
    value: str | None
    before: str | None = None
    changed: bool = False


def before(asked: Asked, run: Run) -> Run | None:
    """Return the last run of the same source that began before a run, in its experiment; none of the same whole.

    Args:
        asked: The request.
        run: The run.
    """
    tags, info = run.data.tags, run.info
    if not tags.get("mlflow.source.name"):
        return None
    names = (*_SOURCE, "mlflow.parentRunId")
    filter_ = f"start_time <= {info.start_time}"
    if step := tags.get("toolkit.step"):
        filter_ += f" AND tags.`toolkit.step` = {quoted(step)}"
    found = asked.stores.runs.search_runs(
        SearchQuery(
            experiment_ids=[info.experiment_id],
            filter=filter_,
            limit=_LOOKED_AT,
            fields=[f"tags.`{name}`" for name in names],
        )
    )
    for other in found.items:
        same = all(other.data.tags.get(name) == tags.get(name) for name in _SOURCE)
        part = info.parent_run_id is not None and other.info.parent_run_id == info.parent_run_id
        level = (other.info.parent_run_id is None) == (info.parent_run_id is None)
        if same and level and not part and other.info.run_id != info.run_id:
            return asked.stores.runs.get_run(other.info.run_id)
    return None


def params(run: Run, other: Run | None) -> Sequence[Param]:
    """Return a run's parameters beside those of another, what differs first."""
    own = run.data.params
    if other is None:
        return [Param(key=key, value=value) for key, value in sorted(own.items())]
    was: Mapping[str, str] = other.data.params
    every = [
        Param(key=key, value=own.get(key), before=was.get(key), changed=own.get(key) != was.get(key))
        for key in sorted(own.keys() | was.keys())
    ]
    return sorted(every, key=lambda param: not param.changed)


def gap(key: str, value: float, other: Run | None) -> tuple[str, str]:
    """Return by how much a metric differs from the run before, and whether that is ``good`` or ``bad``.

    Args:
        key: The metric.
        value: Its value.
        other: The run before.
    """
    was = None if other is None else other.data.metrics.get(key)
    if was is None or was == value:
        return "", ""
    lower = lower_is_better(key)
    text = numbers.difference(value, was, lower_is_better=lower)
    return text, "" if lower is None or not text else "good" if (value < was) == lower else "bad"
