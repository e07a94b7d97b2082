"""Steps that a flow written in Python calls: each begins when what it needs has ended, as in a compiled workflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolkit.errors import ProjectError, StepFailed
from toolkit.flows.context import RunContext
from toolkit.flows.execution import Execution, shorten
from toolkit.flows.report import StepOutcome, StepStatus
from toolkit.flows.step import Invocation
from toolkit.spec.expression import RunFacts, StepResult, Template
from toolkit.spec.project import EntryPoint


@dataclass(eq=False, kw_only=True)
class Call:
    """One call of a step.

    Attributes:
        step: Name of the step.
        label: Name with what tells it from its siblings.
        needs: Calls that must have ended well before it.
        values: Gives the entry point's values, once these have ended.
        ended: Whether it ended, or was skipped.
        result: What it left, where it ended well.
        reason: Why it did not.
    """

    step: str
    label: str
    needs: Sequence[Call]
    values: Callable[[], Mapping[str, object]]
    ended: bool = False
    result: StepResult | None = None
    reason: str = ""


class Calls(Execution):
    """The calls of one flow run. All of it is for the thread of the flow, which works on them while it waits.

    Args:
        context: What all steps share.
        submit: Starts one run of a step as a Prefect task.
    """

    def __init__(self, context: RunContext, submit: Callable[[Invocation, Sequence[Any]], Any]) -> None:
        super().__init__(context, submit)
        self._waiting: list[Call] = []
        self._running: dict[str, Call] = {}
        self._labels: set[str] = set()

    @property
    def facts(self) -> RunFacts:
        """What expressions know of the flow's own run."""
        info = self._context.parent.info
        return RunFacts(id=info.run_id, name=info.run_name, experiment=self._context.experiment)

    def call(
        self,
        step: str,
        values: Callable[[], Mapping[str, object]],
        *,
        needs: Sequence[Call] = (),
        shown: Mapping[str, object] | None = None,
        fan_out: bool = False,
    ) -> Call:
        """Note a call, and begin it if it can begin now.

        Args:
            step: Name of the step.
            values: Gives the entry point's values, once all that it needs has ended.
            needs: Calls that must have ended well before it.
            shown: Values that tell it from its siblings, for its label.
            fan_out: Whether it may have siblings; a step that is called twice has.
        """
        parts = [f"{name}={shorten(value)}" for name, value in (shown or {}).items()]
        label = " ".join([step, *parts])
        number = 2
        while label in self._labels:
            label = f"{' '.join([step, *parts])} #{number}"
            number += 1
        self._labels.add(label)
        call = Call(step=step, label=label, needs=tuple(needs), values=values)
        state = self._states[step]
        state.needs |= {need.step for need in needs} - {step}
        if fan_out or number > 2:
            self._mark_fan_out(step)
        self._waiting.append(call)
        self._advance()
        return call

    def wait(self, call: Call) -> StepResult:
        """Work until a call has ended, and return what it left.

        Raises:
            StepFailed: It did not end well.
        """
        while not call.ended:
            self._work()
        if call.result is None:
            raise StepFailed(f"step {call.label!r} did not end well: {call.reason}")
        return call.result

    def run(self) -> list[StepOutcome]:
        """Work until all calls have ended; return how each did."""
        self._advance()
        while self._waiting or self._running:
            self._work()
        return self.outcomes

    def give_up(self) -> None:
        """Skip what has not begun."""
        self._skip_waiting("the flow ended before it began")

    def entry_point(self, step: str) -> EntryPoint:
        """Return what a step runs."""
        return self._context.plan.entry_points[step]

    def _mark_fan_out(self, step: str) -> None:
        """Leave the step's metrics to its own runs: the flow's run has room for one value of each."""
        steps = self._context.plan.workflow.steps
        assert isinstance(steps, dict)
        steps[step] = replace(steps[step], foreach={"": Template(source=[])})

    # -- the work ----------------------------------------------------------------------------------

    def _work(self) -> None:
        """Wait a moment for a call to end, and begin what can begin then."""
        label = self._next()
        if label is not None:
            self._take(label)
            call = self._running.pop(label)
            result = self._finished.get(label)
            call.ended = True
            if isinstance(result, StepResult):
                call.result = result
            else:
                call.reason = str(result)
        self._advance()

    def _advance(self) -> None:
        if self._context.stop.requested:
            self._skip_waiting(self._context.stop.reason)
            return
        for call in list(self._waiting):
            if not all(need.ended for need in call.needs):
                continue
            blocking = sorted({need.label for need in call.needs if need.result is None})
            if blocking:
                self._skip_call(call, f"needs {', '.join(blocking)}")
            elif self._has_room(call.step):
                self._begin_call(call)

    def _has_room(self, step: str) -> bool:
        limit = self._states[step].step.concurrency or self._context.max_parallel
        return len(self._running) < self._context.max_parallel and self._states[step].running < limit

    def _begin_call(self, call: Call) -> None:
        self._waiting.remove(call)
        state = self._states[call.step]
        try:
            values = dict(call.values())
        except ProjectError as error:
            self._end_early(call, "FAILED", str(error))
            return
        before: dict[str, list[str]] = {}
        for need in call.needs:
            before.setdefault(need.step, []).append(need.label)
        invocation = Invocation(step=state.step, label=call.label, values=values, before=before)
        self._invocations[call.label] = invocation
        self._running[call.label] = call
        state.running += 1
        self._launch(state, invocation)

    def _skip_waiting(self, reason: str) -> None:
        for call in list(self._waiting):
            self._skip_call(call, reason)

    def _skip_call(self, call: Call, reason: str) -> None:
        self._waiting.remove(call)
        self._end_early(call, "SKIPPED", reason)

    def _end_early(self, call: Call, status: StepStatus, reason: str) -> None:
        call.ended, call.reason = True, reason
        self._report(StepOutcome(step=call.step, label=call.label, run_id=None, status=status, reason=reason, tries=0))
