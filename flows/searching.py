"""A step that searches, inside of a run: its trials as invocations, watched while they run, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from toolkit.errors import StoreError
from toolkit.flows.context import RunContext
from toolkit.flows.report import StepOutcome
from toolkit.flows.step import StepStopped
from toolkit.flows.sweep import Sweep, TrialStop
from toolkit.flows.trial import Trial, pruned_tag
from toolkit.spec.expression import Scope, StepResult
from toolkit.spec.project import Step
from toolkit.spec.scope import Trials
from toolkit.tracking.records import Metric, RunQuery, RunStatus

BEST_RUN = "toolkit.best_run"
"""Beginning of the tag of a workflow's run that names the best trial of a step: ``toolkit.best_run.<step>``."""
_POINTS = 1000  # of one trial's metric that are read at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """What became of a trial.

    Attributes:
        result: What it left, if it counts.
        status: How it ended.
        reason: Why, where there is more to say.
    """

    result: StepResult | None
    status: str
    reason: str | None = None


class Searching:
    """The trials of a step. Used by the thread that runs the workflow.

    Args:
        context: What all steps share.
        step: The step.
        scope: What its expressions can see.

    Raises:
        ProjectError: Its search has an expression that cannot be evaluated, or gives what does not fit.
        InvalidValue: It needs Optuna, which is not there.
    """

    def __init__(self, context: RunContext, step: Step, scope: Scope) -> None:
        assert step.search is not None
        self.scope = scope
        self.closed = False
        self._context = context
        self._step = step
        search = step.search.at(scope)
        if step.concurrency is not None:
            search = replace(search, concurrency=step.concurrency)
        earlier = context.cache.earlier_trials(step) if context.cache is not None else []
        self.sweep = Sweep(search, step.name, earlier=earlier)
        if earlier:
            context.reporter.note(f"{step.name}: goes on after {len(earlier)} trials that were begun before")
        self._running: dict[str, Trial] = {}
        self._numbers: dict[str, int] = {}
        self._results: dict[int, tuple[str, StepResult]] = {}
        self._seen: dict[str, int] = {}

    @property
    def concurrency(self) -> int:
        """How many trials may run at the same time."""
        return self.sweep.search.concurrency

    @property
    def over(self) -> bool:
        """Whether no trial runs, and none will begin."""
        return self.sweep.over and not self._running

    @property
    def labels(self) -> list[str]:
        """The trials that count, in the order of their numbers."""
        return [self._results[number][0] for number in sorted(self._results)]

    @property
    def best_label(self) -> str | None:
        """The best trial; ``None`` while there is none."""
        best = self.sweep.best
        return None if best is None else self._results[best[0]][0]

    @property
    def trials(self) -> Trials:
        """What expressions see of a search that is over."""
        best = self.sweep.best
        assert best is not None
        numbers = sorted(self._results)
        return Trials((self._results[number][1] for number in numbers), numbers.index(best[0]))

    def tags(self, trial: Trial) -> dict[str, str]:
        """Return the tags of a trial's run."""
        return trial.tags(self.sweep.seed)

    def begin(self, label: str, trial: Trial) -> None:
        """Note that a trial runs under a label."""
        self._running[label] = trial
        self._numbers[label] = trial.number
        self._context.trial_stops[label] = TrialStop(self._context.stop)

    def number(self, label: str) -> int:
        """Return the number of a trial."""
        return self._numbers[label]

    # -- while trials run --------------------------------------------------------------------------

    def watch(self) -> None:
        """Read what the trials that run have logged, and stop those that do not look good."""
        if self.sweep.search.prune is None:
            return
        with suppress(StoreError):  # the next look will do
            run_ids = self._run_ids()
            for label, trial in self._running.items():
                stop = self._context.trial_stops[label]
                if label in run_ids and not stop.requested:
                    self._look(label, run_ids[label], trial, stop)

    def _run_ids(self) -> Mapping[str, str]:
        """Return the runs of the trials that run, by label; those that run elsewhere are asked for."""
        known = self._context.run_ids
        if all(label in known for label in self._running):
            return known
        query = RunQuery(parent_run_id=self._context.parent.run_id, status=[RunStatus.RUNNING])
        found = self._context.stores.runs.list_runs(query).items
        return {**{run.info.run_name: run.info.run_id for run in found}, **known}

    def _unseen(self, label: str, run_id: str) -> Iterator[Metric]:
        """Yield the points of a trial that were not looked at yet."""
        points = self._context.stores.runs.sample_history(
            run_id, self.sweep.search.metric, points=_POINTS, start_step=self._seen.get(label, -1) + 1
        )
        for point in points:
            if point.value == point.value:  # of NaN nothing can be said
                self._seen[label] = max(point.step, self._seen.get(label, -1))
                yield point

    def _look(self, label: str, run_id: str, trial: Trial, stop: TrialStop) -> None:
        for point in self._unseen(label, run_id):
            if self.sweep.report(trial, point.step, point.value):
                # The run says so before it ends: who runs it elsewhere looks there, and so does who resumes the search.
                self._context.stores.runs.log_batch(run_id, tags=pruned_tag(self.sweep.points(trial)))
                stop.request(f"pruned at step {point.step}: {point.key} = {point.value:.6g} does not look good")
                return

    # -- their ends --------------------------------------------------------------------------------

    def end(self, label: str, result: StepResult | BaseException) -> Ended:
        """Note the end of a trial; return what became of it."""
        trial = self._running.pop(label)
        stop = self._context.trial_stops.pop(label)
        if isinstance(result, StepResult):
            if self.sweep.search.prune is not None:
                with suppress(StoreError):  # what it logged last is what others are held against, too
                    for point in self._unseen(label, result.run_id):
                        self.sweep.report(trial, point.step, point.value)
            wrong = self.sweep.finished(trial, result)
            if wrong is not None:
                return Ended(result=None, status="FAILED", reason=wrong)
            self._results[trial.number] = label, result
            self._log_progress()
            return Ended(result=result, status="FINISHED", reason=self.sweep.progress)
        if isinstance(result, StepStopped) and stop.pruned:
            self.sweep.cut(trial)
            return Ended(result=None, status="KILLED", reason=stop.reason)
        if isinstance(result, StepStopped):  # with the whole run
            return Ended(result=None, status="KILLED", reason=str(result))
        return Ended(result=None, status="FAILED", reason=self.sweep.lost(trial, str(result)))

    def _log_progress(self) -> None:
        """Keep the best value after each trial with the workflow's run: a curve of how the search goes on."""
        best = self.sweep.best
        if best is not None:
            name = f"{self._step.name}.best_{self.sweep.search.metric}"
            self._context.parent.log_metrics({name: best[1]}, step=self.sweep.told)

    def close(self, seconds: float) -> StepOutcome:
        """End the search: put what it has found on the workflow's run; return how the step ended."""
        self.closed = True
        best = self.sweep.best
        failure = self.sweep.failure or (None if best is not None else "no trial finished")
        if failure is not None or best is None:
            return self._outcome("FAILED", f"{self.sweep.summary}: {failure}", seconds)
        result = self._results[best[0]][1]
        assert self._step.search is not None
        values = {name: result.parameters.get(name) for name in self._step.search.parameters}
        self._context.parent.log_params({f"{self._step.name}.best_{name}": value for name, value in values.items()})
        self._context.parent.set_tags({f"{BEST_RUN}.{self._step.name}": result.run_id})
        told = ", ".join(f"{name}={_short(value)}" for name, value in values.items())
        return self._outcome("FINISHED", f"{self.sweep.summary}: {told}", seconds, result)

    def stopped(self, seconds: float) -> StepOutcome:
        """Return how the step ended where the whole run is to stop."""
        self.closed = True
        return self._outcome("KILLED", f"{self._context.stop.reason}; {self.sweep.summary}", seconds)

    def _outcome(self, status: str, reason: str, seconds: float, best: StepResult | None = None) -> StepOutcome:
        metrics: Mapping[str, float] = best.metrics if best is not None else {}
        return StepOutcome(
            step=self._step.name,
            label=f"{self._step.name} (search)",
            run_id=best.run_id if best is not None else None,
            status=status,  # type: ignore[arg-type]  # one of them
            seconds=seconds,
            metrics=metrics,
            reason=reason,
            tries=1,
        )


def trial_label(trial: Trial) -> list[str]:
    """Return what tells a trial from its siblings, in so few words that a line has room for them."""
    parts = [f"trial={trial.number}", *(f"{name}={_short(value)}" for name, value in trial.values.items())]
    return parts if sum(map(len, parts)) <= 120 else parts[:1]


def _short(value: object) -> str:
    text = " ".join((f"{value:.6g}" if isinstance(value, float) else str(value)).split())
    return text if len(text) <= 40 else text[:39] + "…"
