"""The inside of a compiled flow: which step may begin, which must wait, and what became of each.

Each run of a step is a Prefect task. Steps that do not depend on each other run at the same time.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from toolkit.errors import InvalidValue, ProjectError, ToolkitError
from toolkit.flows.context import RunContext
from toolkit.flows.plan import combinations, trial_values
from toolkit.flows.registration import registered_values
from toolkit.flows.report import StepOutcome, StepStatus
from toolkit.flows.searching import Searching, trial_label
from toolkit.flows.step import Invocation, StepStopped
from toolkit.spec.expression import OutputRef, RunFacts, Scope, StepResult
from toolkit.spec.graph import takes_best_only
from toolkit.spec.project import Step
from toolkit.spec.workflow import dependencies

_TICK = 0.5  # seconds between looks at the wish to stop, where nothing else happens


@dataclass(kw_only=True)
class _StepState:
    """Where a step stands."""

    step: Step
    needs: frozenset[str]
    searching: Searching | None = None
    waiting: deque[Invocation] = field(default_factory=deque)
    running: int = 0
    begun: bool = False
    results: dict[str, StepResult] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    failed: bool = False
    skipped: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing of it is left to do."""
        searched = self.searching is None or self.searching.closed
        return self.skipped or (self.begun and not self.waiting and not self.running and searched)

    @property
    def succeeded(self) -> bool:
        """Whether all of it ended well."""
        return self.ended and not self.failed and not self.skipped


Submit = Callable[[Invocation, Sequence[Any]], Any]
"""Starts an invocation that comes after these futures; returns its future."""


class Execution:
    """Runs the steps of a plan.

    Args:
        context: What all steps share.
        submit: Starts one run of a step as a Prefect task.
    """

    def __init__(self, context: RunContext, submit: Submit) -> None:
        self._context = context
        self._submit = submit
        self._done: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._states = {
            step.name: _StepState(step=step, needs=dependencies(step)) for step in context.plan.workflow.steps.values()
        }
        self._futures: dict[str, list[Any]] = {name: [] for name in self._states}
        self._invocations: dict[str, Invocation] = {}
        self._finished: dict[str, StepResult | BaseException] = {}
        self._begun_at: dict[str, float] = {}
        self._tries: dict[str, int] = {}
        self._watched = time.monotonic()
        self.outcomes: list[StepOutcome] = []
        context.stop.on_request(lambda: self._done.put(None))

    # -- what the tasks tell -----------------------------------------------------------------------

    def attempt(self, label: str) -> int:
        """Note that an invocation is tried (again); return the how-manieth time this is."""
        self._tries[label] = self._tries.get(label, 0) + 1
        return self._tries[label]

    def finished(self, label: str, result: StepResult | BaseException) -> None:
        """Note what became of an invocation's latest try."""
        self._finished[label] = result

    # -- the loop ----------------------------------------------------------------------------------

    def run(self) -> list[StepOutcome]:
        """Run all that can be run; return how each ended. After a wish to stop nothing new begins."""
        running = 0
        while True:
            self._settle()
            if not self._context.stop.requested:
                running += self._start(self._context.max_parallel - running)
            if self._close_searches():
                continue
            if running == 0:
                break
            label = self._next()
            if label is not None:
                running -= 1
                self._take(label)
        self._give_up()
        return self.outcomes

    def _next(self) -> str | None:
        self._watch_searches()
        try:
            return self._done.get(timeout=_TICK)
        except queue.Empty:
            return None

    def _settle(self) -> None:
        """Begin or skip each step whose needs have ended, until nothing changes."""
        changed = True
        while changed and not self._context.stop.requested:
            changed = False
            for state in self._states.values():
                needs = [self._states[name] for name in state.needs]
                if state.begun or state.skipped or not all(need.ended for need in needs):
                    continue
                changed = True
                blocking = [need.step.name for need in needs if not need.succeeded]
                if blocking:
                    self._skip(state, f"needs {', '.join(sorted(blocking))}")
                else:
                    self._begin(state)

    def _begin(self, state: _StepState) -> None:
        scope = self._scope()
        try:
            if state.step.when is not None and not state.step.when.evaluate(scope):
                self._skip(state, f"its condition is not met: {state.step.when.source}")
                return
            if state.step.search is not None:
                state.searching = Searching(self._context, state.step, scope)
                self._begun_at[state.step.name] = time.monotonic()
                state.begun = True
                return
            rows = combinations(self._context.plan, state.step, scope)
            registers = registered_values(state.step, scope)
        except (ProjectError, InvalidValue) as error:
            state.begun = state.failed = True
            self._report(
                StepOutcome(
                    step=state.step.name,
                    label=state.step.name,
                    run_id=None,
                    status="FAILED",
                    reason=str(error),
                    tries=0,
                )
            )
            return
        state.begun = True
        for values in rows:
            label = self._label(state.step, [f"{name}={shorten(values[name])}" for name in state.step.foreach])
            invocation = Invocation(
                step=state.step, label=label, values=values, before=self._before(state), registers=registers
            )
            self._invocations[label] = invocation
            state.labels.append(label)
            state.waiting.append(invocation)

    def _before(self, state: _StepState) -> dict[str, tuple[str, ...]]:
        return {name: self._used(self._states[name], state.step) for name in sorted(state.needs)}

    def _used(self, need: _StepState, by: Step) -> tuple[str, ...]:
        """Return the runs of a step that another one depends on: of a search that it takes the best of, that alone."""
        if need.searching is None:
            return tuple(need.labels)
        best = need.searching.best_label
        return (best,) if best is not None and takes_best_only(by, need.step.name) else tuple(need.searching.labels)

    def _label(self, step: Step, parts: Sequence[str]) -> str:
        """Return a name that no other run of a step has."""
        label = " ".join([step.name, *parts])
        number = 2
        while label in self._invocations:
            label = f"{' '.join([step.name, *parts])} #{number}"
            number += 1
        return label

    def _start(self, room: int) -> int:
        """Start as many invocations as there is room for; return how many."""
        started = 0
        for state in self._states.values():
            limit = state.step.concurrency or self._context.max_parallel
            limit = limit if state.searching is None else state.searching.concurrency
            while state.running < limit and started < room:
                invocation = self._following(state)
                if invocation is None:
                    break
                state.running += 1
                started += 1
                self._launch(state, invocation)
        return started

    def _following(self, state: _StepState) -> Invocation | None:
        """Return what of a step begins next; ``None`` where nothing does now."""
        if state.waiting:
            return state.waiting.popleft()
        searching = state.searching
        trial = searching.sweep.next() if searching is not None and not searching.closed else None
        if searching is None or trial is None:
            return None
        values = trial_values(self._context.plan, state.step, searching.scope, trial.values)
        label = self._label(state.step, trial_label(trial))
        invocation = Invocation(
            step=state.step, label=label, values=values, before=self._before(state), tags=searching.tags(trial)
        )
        self._invocations[label] = invocation
        state.labels.append(label)
        searching.begin(label, trial)
        return invocation

    def _launch(self, state: _StepState, invocation: Invocation) -> None:
        label = invocation.label
        self._begun_at[label] = time.monotonic()
        self._context.reporter.step_started(label)
        after = [future for name in sorted(state.needs) for future in self._futures[name]]
        future = self._submit(invocation, after)
        self._futures[state.step.name].append(future)
        future.add_done_callback(lambda _: self._done.put(label))

    def _take(self, label: str) -> None:
        """Note the end of an invocation."""
        invocation = self._invocations[label]
        state = self._states[invocation.step.name]
        state.running -= 1
        result = self._finished.get(label) or ToolkitError(f"step {label!r} ended without a result in Prefect")
        if state.searching is not None:
            self._take_trial(state.searching, invocation, result)
            return
        if isinstance(result, StepResult):
            state.results[label] = result
        else:
            state.failed = True
        self._report(self._outcome(invocation, result))

    # -- searches ----------------------------------------------------------------------------------

    def _take_trial(self, searching: Searching, invocation: Invocation, result: StepResult | BaseException) -> None:
        """Note the end of a trial; one that failed or was pruned is none of the run's failures."""
        ended = searching.end(invocation.label, result)
        outcome = self._outcome(invocation, result)
        number = searching.number(invocation.label)
        self._report(replace(outcome, status=cast(StepStatus, ended.status), reason=ended.reason, trial=number))

    def _watch_searches(self) -> None:
        """Look at the trials that run, now and then."""
        now = time.monotonic()
        if now - self._watched >= _TICK:
            self._watched = now
            for state in self._states.values():
                if state.searching is not None:
                    state.searching.watch()

    def _close_searches(self) -> bool:
        """End the searches that are over; tell whether there was one."""
        found = False
        for state in self._states.values():
            searching = state.searching
            if searching is None or searching.closed or not searching.over or self._context.stop.requested:
                continue
            found = True
            outcome = searching.close(time.monotonic() - self._begun_at[state.step.name])
            state.failed = outcome.status != "FINISHED"
            futures = dict(zip(state.labels, self._futures[state.step.name], strict=True))
            self._futures[state.step.name] = [futures[label] for label in searching.labels]
            self._report(outcome)
        return found

    def _outcome(self, invocation: Invocation, result: StepResult | BaseException) -> StepOutcome:
        label = invocation.label
        ended_well = isinstance(result, StepResult)
        return StepOutcome(
            step=invocation.step.name,
            label=label,
            run_id=self._context.run_ids.get(label),
            status="FINISHED" if ended_well else "KILLED" if isinstance(result, StepStopped) else "FAILED",
            seconds=time.monotonic() - self._begun_at[label],
            metrics=result.metrics if isinstance(result, StepResult) else {},
            reason=None if ended_well else str(result),
            tries=self._tries.get(label, 1),
            cached_from=self._context.cache.taken_from(label) if ended_well and self._context.cache else None,
        )

    def _skip(self, state: _StepState, reason: str) -> None:
        state.skipped = True
        name = state.step.name
        self._report(StepOutcome(step=name, label=name, run_id=None, status="SKIPPED", reason=reason, tries=0))

    def _give_up(self) -> None:
        """Report what was never begun, after a wish to stop."""
        for state in self._states.values():
            for invocation in state.waiting:
                self._report(
                    StepOutcome(
                        step=state.step.name,
                        label=invocation.label,
                        run_id=None,
                        status="SKIPPED",
                        reason=self._context.stop.reason,
                        tries=0,
                    )
                )
            if state.searching is not None and not state.searching.closed:
                state.failed = True
                self._report(state.searching.stopped(time.monotonic() - self._begun_at[state.step.name]))
            if not state.begun and not state.skipped:
                self._skip(state, self._context.stop.reason)

    def _report(self, outcome: StepOutcome) -> None:
        self.outcomes.append(outcome)
        self._context.reporter.step_ended(outcome)

    def _scope(self) -> Scope:
        info = self._context.parent.info
        steps: dict[str, StepResult | tuple[StepResult, ...]] = {}
        for name, state in self._states.items():
            if state.succeeded and state.searching is not None:
                steps[name] = state.searching.trials
            elif state.succeeded:
                results = tuple(state.results[label] for label in state.labels)
                steps[name] = results if state.step.foreach else results[0]
        return Scope(
            parameters=self._context.plan.parameters,
            steps=steps,
            run=RunFacts(id=info.run_id, name=info.run_name, experiment=self._context.experiment),
        )


def shorten(value: object) -> str:
    """Return a value in so few characters that a line has room for it; of an output the end of its path."""
    text = value.path.rpartition("/")[2] if isinstance(value, OutputRef) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 40 else text[:39] + "…"
