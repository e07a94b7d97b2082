"""What a change makes of a run: pure, and the same for every kind of store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from toolkit.errors import Conflict
from toolkit.tracking.limits import REASON_LENGTH, TAG_VALUE_LENGTH, check_text, check_time
from toolkit.tracking.records import Lifecycle, NewRun, RunInfo, RunStatus
from toolkit.tracking.system_tags import first_parent


@dataclass(frozen=True, kw_only=True, slots=True)
class RunChange:
    """A change of a run; ``None`` leaves a field as it is. The fields are `RunInfo`'s."""

    status: RunStatus | None = None
    end_time: int | None = None
    reason: str | None = None
    run_name: str | None = None
    lifecycle: Lifecycle | None = None

    def check(self) -> None:
        """Check the values.

        Raises:
            InvalidValue: One is out of bounds.
        """
        if self.end_time is not None:
            check_time(self.end_time, "end_time")
        if self.reason is not None:
            check_text(self.reason, "reason", REASON_LENGTH)
        if self.run_name is not None:
            check_text(self.run_name, "run_name", TAG_VALUE_LENGTH)

    @property
    def only_lifecycle(self) -> bool:
        """Whether nothing else than the lifecycle is changed."""
        return self == RunChange(lifecycle=self.lifecycle)


def begun(new: NewRun, artifact_location: str) -> RunInfo:
    """Return the record of a new run in an experiment that keeps its artifacts at ``artifact_location``."""
    return RunInfo(
        run_id=new.run_id,
        experiment_id=new.experiment_id,
        run_name=new.run_name,
        user_id=new.user_id,
        status=RunStatus.RUNNING,
        start_time=new.start_time,
        artifact_uri=new.artifact_uri or f"{artifact_location.rstrip('/')}/{new.run_id}/artifacts",
        parent_run_id=first_parent(new),
        reason=new.reason,
    )


def changed(info: RunInfo, change: RunChange, now: int) -> RunInfo:
    """Return a run after a change.

    Args:
        info: The run before it.
        change: What shall be different.
        now: The time, for a run that ends and is not told when; milliseconds since 1970 UTC.

    Raises:
        Conflict: The run is deleted, stays so, and something else than its lifecycle is changed.
    """
    lifecycle = change.lifecycle or info.lifecycle_stage
    if info.lifecycle_stage is Lifecycle.DELETED and lifecycle is Lifecycle.DELETED and not change.only_lifecycle:
        raise not_active(info.run_id)
    info = replace(
        info, lifecycle_stage=lifecycle, run_name=info.run_name if change.run_name is None else change.run_name
    )
    if change.status is None:
        end_time = info.end_time if change.end_time is None else change.end_time
        return replace(info, end_time=end_time, reason=info.reason if change.reason is None else change.reason)
    if change.status.terminal:
        return _ended(info, change, now)
    kept = None if info.status.terminal else info.reason  # a run that is resumed sheds why it had ended
    reason = kept if change.reason is None else change.reason
    return replace(info, status=change.status, end_time=None, reason=reason)


def _ended(info: RunInfo, change: RunChange, now: int) -> RunInfo:
    if change.status is None or info.status is change.status:
        return info
    end_time = now if change.end_time is None else change.end_time
    return replace(info, status=change.status, end_time=end_time, reason=change.reason)


def not_active(run_id: str) -> Conflict:
    """Return the error for a write to a deleted run."""
    return Conflict(f"The run {run_id} must be in the 'active' state. Current state is deleted.")


def experiment_not_active(experiment_id: str) -> Conflict:
    """Return the error for a new run in a deleted experiment."""
    return Conflict(f"The experiment {experiment_id} must be in the 'active' state. Current state is deleted.")


def changed_params(run_id: str, before: Mapping[str, str], params: Mapping[str, str]) -> Conflict | None:
    """Return the error for parameters that have another value already; ``None`` if there are none.

    Args:
        run_id: The run.
        before: Values that the run has.
        params: Values that are being logged.
    """
    clashes = {key: value for key, value in params.items() if before.get(key, value) != value}
    if not clashes:
        return None
    if len(params) == 1:
        ((key, value),) = clashes.items()
        return Conflict(
            f"Changing param values is not allowed. Param with key='{key}' was already logged with "
            f"value='{before[key]}' for run ID='{run_id}'. Attempted logging new value '{value}'."
        )
    listed = [{"key": key, "old_value": before[key], "new_value": value} for key, value in clashes.items()]
    return Conflict(
        f"Changing param values is not allowed. Params were already logged='{listed}' for run ID='{run_id}'."
    )
