"""What a client's journal holds: the writes of a training process, one entry a call, to be applied in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toolkit.errors import ToolkitError
from toolkit.tracking.limits import Point, point_metric
from toolkit.tracking.records import ArtifactEntry, DatasetInput, NewRun, RunStatus

if TYPE_CHECKING:
    from toolkit.tracking.store import RunStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """A run was started; as `RunStore.create_run`."""

    new: NewRun

    @property
    def run_id(self) -> str:
        """The run."""
        return self.new.run_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Logged:
    """Values were logged; as `RunStore.log_batch`, but with points that `limits.check_points` has checked already."""

    run_id: str
    points: Sequence[Point] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """Files were stored, and are to be listed; as `RunStore.record_artifacts`."""

    run_id: str
    artifacts: Sequence[ArtifactEntry]


@dataclass(frozen=True, kw_only=True, slots=True)
class Used:
    """Datasets were used; as `RunStore.log_inputs`."""

    run_id: str
    inputs: Sequence[DatasetInput]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A run ended; as `RunStore.update_run` with a final status. ``end_time`` in milliseconds since 1970 UTC."""

    run_id: str
    status: RunStatus
    end_time: int
    reason: str | None = None


Entry = Begun | Logged | Listed | Used | Ended


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """An entry that the store will never take, and why."""

    entry: Entry
    error: ToolkitError


def write_one(store: RunStore, entry: Entry) -> None:
    """Write an entry by the method that it stands for, without a journal.

    Raises:
        ToolkitError: As that method.
    """
    if isinstance(entry, Begun):
        store.create_run(entry.new)
    elif isinstance(entry, Logged):
        metrics = [point_metric(point) for point in entry.points]
        store.log_batch(entry.run_id, metrics=metrics, params=entry.params, tags=entry.tags)
    elif isinstance(entry, Listed):
        store.record_artifacts(entry.run_id, entry.artifacts)
    elif isinstance(entry, Used):
        store.log_inputs(entry.run_id, entry.inputs)
    else:
        store.update_run(entry.run_id, status=entry.status, end_time=entry.end_time, reason=entry.reason)
