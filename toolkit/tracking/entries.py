"""What a client's journal holds: the writes of a training process, one entry a call, to be applied in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from toolkit.errors import ToolkitError
from toolkit.tracking.limits import Point
from toolkit.tracking.records import ArtifactEntry, DatasetInput, NewRun, RunStatus


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
    """Values were logged; as `RunStore.log_batch`. The points are as `toolkit.tracking.limits.check_points` gives them."""

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
