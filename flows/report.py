"""What a run tells about itself while it goes on, and when it has ended."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from toolkit.tracking.records import RunStatus

StepStatus = Literal["FINISHED", "FAILED", "KILLED", "SKIPPED"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StepOutcome:
    """How one run of a step ended.

    Attributes:
        step: Name of the step.
        label: Name with what tells it from its siblings (``train alpha=0.1``).
        run_id: Its run; ``None`` for a step that was skipped.
        status: How it ended.
        seconds: How long it took, all tries together.
        metrics: Its latest metrics.
        reason: Why it has this status, where there is more to say.
        tries: How often it was tried.
        cached_from: The run whose results it took over; ``None`` for a step that ran.
        trial: The number of a trial of a search, whose failure is the search's to judge; ``None`` for all else.
    """

    step: str
    label: str
    run_id: str | None
    status: StepStatus
    seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None
    tries: int = 1
    cached_from: str | None = None
    trial: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutcome:
    """How a whole run ended.

    Attributes:
        run_id: The parent run.
        run_name: Its name.
        experiment_id: Its experiment.
        experiment: The experiment's name.
        status: How it ended.
        reason: Why, where there is more to say.
        exit_code: What the command line says: 0, 1 or 128 + the signal's number.
        seconds: How long it took.
        steps: How its steps ended, in the order in which they ended.
        flow_run_id: Prefect's id of the flow run.
        flow_run_url: Its page in Prefect's UI.
        prefect_told: Whether Prefect's server was there to the end.
    """

    run_id: str
    run_name: str
    experiment_id: str
    experiment: str
    status: RunStatus
    reason: str | None
    exit_code: int
    seconds: float
    steps: Sequence[StepOutcome]
    flow_run_id: str
    flow_run_url: str | None
    prefect_told: bool = True


class Reporter(Protocol):
    """Takes what a run tells. Methods are called from several threads, one call at a time."""

    def note(self, text: str) -> None:
        """Say what is going on, in one line."""
        ...

    def step_started(self, label: str) -> None:
        """Say that a step begins."""
        ...

    def output(self, label: str, line: str) -> None:
        """Pass on a line that a step's command printed."""
        ...

    def step_ended(self, outcome: StepOutcome) -> None:
        """Say how a step ended."""
        ...


class SilentReporter:
    """Tells nobody."""

    def note(self, text: str) -> None:
        """Ignore it."""

    def step_started(self, label: str) -> None:
        """Ignore it."""

    def output(self, label: str, line: str) -> None:
        """Ignore it."""

    def step_ended(self, outcome: StepOutcome) -> None:
        """Ignore it."""


class OneAtATime:
    """A reporter that passes on one call at a time."""

    def __init__(self, target: Reporter) -> None:
        self._target = target
        self._lock = threading.RLock()

    def note(self, text: str) -> None:
        """Pass it on."""
        with self._lock:
            self._target.note(text)

    def step_started(self, label: str) -> None:
        """Pass it on."""
        with self._lock:
            self._target.step_started(label)

    def output(self, label: str, line: str) -> None:
        """Pass it on."""
        with self._lock:
            self._target.output(label, line)

    def step_ended(self, outcome: StepOutcome) -> None:
        """Pass it on."""
        with self._lock:
            self._target.step_ended(outcome)
