"""What came of making a run again: recorded with the new run, which links to the old one step by step."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from toolkit.errors import ToolkitError
from toolkit.flows.comparison import Comparison, Results, Tolerance, compare
from toolkit.flows.recorded_run import results_of, steps_of
from toolkit.flows.report import RunOutcome
from toolkit.flows.reproduction import REPORT_PATH, REPRODUCED_FROM, VERDICT, Reproduction
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.tracking.records import RunStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduced:
    """What came of making a run again.

    Attributes:
        old: The run.
        new: The run that makes it again; ``None`` where nothing ran.
        outcome: How that ended.
        comparison: Both side by side; ``None`` where nothing ran.
        notes: What was different beforehand: by the user's leave, and in the environments.
        same: Whether it came to the same, within the tolerance.
    """

    old: str
    new: str | None = None
    outcome: RunOutcome | None = None
    comparison: Comparison | None = None
    notes: Sequence[str] = ()
    same: bool = False

    @classmethod
    def unrun(cls, again: Reproduction) -> Reproduced:
        """Return it for a run that was only looked at."""
        return cls(old=again.flow.run.info.run_id, notes=again.notes)

    @property
    def exit_code(self) -> int:
        """0 if it came to the same or was only looked at; 1 if not; 128 + the signal's number if it was stopped."""
        if self.outcome is None:
            return 0
        if self.outcome.status is RunStatus.KILLED:
            return self.outcome.exit_code
        return 0 if self.same else 1


def conclude(
    stores: Stores, again: Reproduction, outcome: RunOutcome, tolerance: Tolerance, *, outputs: bool
) -> Reproduced:
    """Put old and new side by side, and record that with the new run.

    Args:
        stores: Where both are.
        again: What was made again.
        outcome: How that ended.
        tolerance: How far metrics may be apart.
        outputs: Whether the digests of files count, too.
    """
    old = results_of(stores, [step.run for step in again.flow.steps])
    runs = steps_of(stores, outcome.run_id)
    if again.flow.part is not None:  # under the name that it had among its siblings
        runs = [replace(run, info=replace(run.info, run_name=again.flow.part.info.run_name)) for run in runs]
    new = results_of(stores, runs)
    comparison = compare(old, new, tolerance)
    changes = () if again.environments is None else again.environments.changes
    result = Reproduced(
        old=again.flow.run.info.run_id,
        new=outcome.run_id,
        outcome=outcome,
        comparison=comparison,
        notes=[*again.notes, *(f"the environment is another one: {change}" for change in dict.fromkeys(changes))],
        same=outcome.status is RunStatus.FINISHED and comparison.same(outputs=outputs),
    )
    _record(stores, result, old, new)
    return result


def as_json(result: Reproduced) -> dict[str, object]:
    """Return it as plain values."""
    told: dict[str, object] = {
        "run_id": result.old,
        "new_run_id": result.new,
        "same": None if result.outcome is None else result.same,
        "status": None if result.outcome is None else str(result.outcome.status),
        "reason": None if result.outcome is None else result.outcome.reason,
        "notes": list(result.notes),
    }
    if result.comparison is None:
        return told
    return {
        **told,
        "metrics": [asdict(row) for row in result.comparison.metrics],
        "outputs": [{**asdict(row), "same": row.same} for row in result.comparison.outputs],
        "only_old": list(result.comparison.only_old),
        "only_new": list(result.comparison.only_new),
    }


def _record(stores: Stores, result: Reproduced, old: Sequence[Results], new: Sequence[Results]) -> None:
    """Link the steps of both, and keep the table; a store that is gone by now takes nothing from the result."""
    assert result.new is not None
    origins = {one.label: one.run_id for one in old}
    try:
        for one in new:
            if one.label in origins:
                stores.runs.log_batch(one.run_id, tags={REPRODUCED_FROM: origins[one.label]})
        run = RecordedRun(stores, stores.runs.get_run(result.new))
        run.log_text(json.dumps(_plain(as_json(result)), indent=2) + "\n", REPORT_PATH)
        run.set_tags({VERDICT: "same" if result.same else "different"})
    except ToolkitError:
        return


def _plain(value: object) -> object:
    """Return a value with numbers that JSON does not have as texts."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
