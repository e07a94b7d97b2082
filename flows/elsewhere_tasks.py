"""Runs of steps as Prefect tasks that other processes run. Importing this module imports Prefect."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, StateType
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.states import Cancelled, Completed

from toolkit.errors import StepFailed, ToolkitError
from toolkit.flows.context import RunContext
from toolkit.flows.elsewhere import STOP, Elsewhere, Ticket, give_up_lost, make_ticket
from toolkit.flows.execution import Execution
from toolkit.flows.prefect_session import LineLog
from toolkit.flows.step import Invocation, StepStopped
from toolkit.spec.expression import StepResult


class ElsewhereTasks:
    """Makes Prefect tasks of steps' runs that a cluster runs.

    Args:
        context: What all steps share.
        elsewhere: How they are run.
    """

    def __init__(self, context: RunContext, elsewhere: Elsewhere) -> None:
        self._context = context
        self._elsewhere = elsewhere
        self.execution: Execution | None = None
        # In a thread: a signal's handler, which asks for it, may have interrupted whoever holds the store's locks.
        context.stop.on_request(lambda: threading.Thread(target=self._tell_stop, name="toolkit-tell-stop").start())

    def submit(self, invocation: Invocation, after: Sequence[Settled]) -> Settled:
        """Start an invocation as a task that comes after these futures."""
        ticket = self._ticket(invocation)
        step = invocation.step

        def run_step(parameters: dict[str, str]) -> object:  # noqa: ARG001 - what Prefect's UI shows
            return run_sent(ticket)

        task = Task(
            fn=run_step,
            name=step.name,
            task_run_name=invocation.label,
            description=self._context.plan.entry_points[step.name].description,
            retries=step.retries,
            retry_delay_seconds=step.retry_delay,
            retry_condition_fn=_was_no_stop,
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        shown = {name: str(value) for name, value in invocation.values.items()}
        future = task.submit(shown, return_state=False, wait_for=[one.future for one in after])
        return Settled(future, lambda: self._settle(invocation, future))

    def _ticket(self, invocation: Invocation) -> Ticket:
        """Return what is told of an invocation: to run it, or what it takes over."""
        context, cache = self._context, self._context.cache
        ticket = make_ticket(context, invocation, self._elsewhere)
        result = cache.take(invocation, context.source_tags) if cache is not None else None
        if cache is None or result is None:
            return ticket
        assert self.execution is not None
        context.opened(invocation.label, result.run_id)
        self.execution.finished(invocation.label, result)
        return replace(ticket, taken=(result.run_id, str(cache.taken_from(invocation.label))))

    def _settle(self, invocation: Invocation, future: PrefectFuture[Any]) -> None:
        """Note what became of an invocation that has ended."""
        assert self.execution is not None
        context, label = self._context, invocation.label
        result = _outcome(future, label)
        if isinstance(result, str):  # taken over: that was noted at once
            return
        tries = give_up_lost(context.stores.runs, context.parent.run_id, label)
        for _ in tries:
            self.execution.attempt(label)
        if tries:
            latest = max(tries, key=lambda run: run.info.start_time or 0).info.run_id
            context.opened(label, result.run_id if isinstance(result, StepResult) else latest)
        if context.cache is not None:
            ended_well = result if isinstance(result, StepResult) else None
            context.cache.keep(invocation, context.run_ids.get(label), ended_well)
        self.execution.finished(label, result)

    def _tell_stop(self) -> None:
        """Tell the steps, wherever they are, that the run is to stop."""
        with suppress(ToolkitError):  # they stop when the workflow's run has ended, at the latest
            self._context.parent.set_tags({STOP: self._context.stop.reason or "stopped"})


class Settled:
    """A future of which it is noted what became of it, before anybody else hears that it is done.

    Args:
        future: Prefect's.
        settle: Notes it.
    """

    def __init__(self, future: PrefectFuture[Any], settle: Callable[[], None]) -> None:
        self.future = future
        self._settle = settle

    def add_done_callback(self, callback: Callable[[object], None]) -> None:
        """Have a function called when it is done."""

        def done(_: object) -> None:
            try:
                self._settle()
            finally:
                callback(self)

        self.future.add_done_callback(done)


def run_sent(ticket: Ticket) -> object:
    """Run what a ticket says; be the inside of the task where it was sent to."""
    if ticket.taken is not None:
        run_id, origin = ticket.taken
        return Completed(name="Cached", message=f"run {run_id} took over the results of run {origin}", data=run_id)
    log = LineLog(get_run_logger())
    try:
        return ticket.elsewhere.run_step(ticket, log.write)
    except StepStopped as error:
        return Cancelled(message=str(error))
    except ToolkitError as error:
        raise StepFailed(str(error)) from None  # what it says besides need not be sent back
    finally:
        log.flush()


def _was_no_stop(_task: object, _run: object, state: State[Any]) -> bool:
    return state.type is not StateType.CANCELLED


def _outcome(future: PrefectFuture[Any], label: str) -> StepResult | ToolkitError | str:
    """Return the result of a task that has ended, why there is none, or the run that it took over."""
    try:
        state = future.result(raise_on_failure=False)
    except Exception as error:  # noqa: BLE001 - each cluster has errors of its own for a worker that is gone
        return StepFailed(f"step {label!r} was lost with its worker: {_line(error)}")
    if isinstance(state, StepResult | str):
        return state
    if isinstance(state, ToolkitError):
        return state
    if isinstance(state, State) and state.type is StateType.CANCELLED:
        return StepStopped(state.message or f"step {label!r} was stopped")
    if isinstance(state, BaseException):
        return StepFailed(f"step {label!r}: {_line(state)}")
    return StepFailed(f"step {label!r} ended without a result: {_line(state)}")


def _line(said: object) -> str:
    text = " ".join(str(said).split())
    return (text or type(said).__name__)[:300]
