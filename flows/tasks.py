"""Runs of steps as Prefect tasks. Importing this module imports Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.states import Cancelled, Completed

from toolkit.flows.context import RunContext
from toolkit.flows.execution import Execution
from toolkit.flows.prefect_session import LineLog, save_markdown
from toolkit.flows.step import Invocation, StepRunner, StepStopped
from toolkit.spec.expression import StepResult


class StepTasks:
    """Makes Prefect tasks of steps' runs.

    Args:
        context: What all steps share.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self.execution: Execution | None = None

    def submit(self, invocation: Invocation, after: Sequence[PrefectFuture[Any]]) -> PrefectFuture[Any]:
        """Start an invocation as a task that comes after these futures."""
        step = invocation.step

        def run_step(parameters: dict[str, str]) -> object:  # noqa: ARG001 - what Prefect's UI shows
            return self._run(invocation)

        task = Task(
            fn=run_step,
            name=step.name,
            task_run_name=invocation.label,
            description=self._context.plan.entry_points[step.name].description,
            retries=step.retries,
            retry_condition_fn=lambda *_: not self._context.stop_of(invocation.label).requested,
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        shown = {name: str(value) for name, value in invocation.values.items()}
        return task.submit(shown, return_state=False, wait_for=after)

    def _run(self, invocation: Invocation) -> object:
        assert self.execution is not None
        attempt = self.execution.attempt(invocation.label)
        log = LineLog(get_run_logger())
        try:
            if attempt > 1:
                self._wait_before_retry(invocation)
            elif (taken := self._take_over(invocation)) is not None:
                return taken
            named = replace(invocation, tags={**invocation.tags, **_task_run()})
            result = StepRunner(self._context, named, log=log.write).run(attempt=attempt)
        except StepStopped as error:
            self._finished(invocation, error)
            return Cancelled(message=str(error))
        except BaseException as error:
            self._finished(invocation, error)
            raise
        finally:
            log.flush()
        self._finished(invocation, result)
        _show_in_prefect(result, invocation.label)
        return result.run_id

    def _take_over(self, invocation: Invocation) -> object | None:
        """Take an earlier result over, where there is one; return the state of the task then."""
        cache = self._context.cache
        result = cache.take(invocation, {**self._context.source_tags, **_task_run()}) if cache is not None else None
        if cache is None or result is None:
            return None
        assert self.execution is not None
        self._context.opened(invocation.label, result.run_id)
        self.execution.finished(invocation.label, result)
        origin = cache.taken_from(invocation.label)
        return Completed(name="Cached", message=f"run {result.run_id} took over the results of run {origin}")

    def _finished(self, invocation: Invocation, result: StepResult | BaseException) -> None:
        """Note what became of a try, and let others take it over if it ended well."""
        assert self.execution is not None
        if self._context.cache is not None:
            ended_well = result if isinstance(result, StepResult) else None
            self._context.cache.keep(invocation, self._context.run_ids.get(invocation.label), ended_well)
        self.execution.finished(invocation.label, result)

    def _wait_before_retry(self, invocation: Invocation) -> None:
        """Wait between two tries, but not past a wish to stop (Prefect's own wait would)."""
        self._context.reporter.note(
            f"{invocation.label} failed; next try in {invocation.step.retry_delay:g} s"
            if invocation.step.retry_delay
            else f"{invocation.label} failed; trying again"
        )
        if self._context.stop.wait(invocation.step.retry_delay):  # a trial that waits logs nothing to prune it by
            raise StepStopped(f"step {invocation.label!r} was stopped: {self._context.stop.reason}")


def _task_run() -> dict[str, str]:
    """Return the tag that names the task run that this is the inside of."""
    context = TaskRunContext.get()
    return {} if context is None else {"prefect.task_run_id": str(context.task_run.id)}


def _show_in_prefect(result: StepResult, label: str) -> None:
    """Link the task run to our run, with its metrics."""
    rows = [f"| {key} | {value:g} |" for key, value in sorted(result.metrics.items())]
    table = "\n".join(["| metric | value |", "| --- | --- |", *rows]) if rows else "No metrics."
    text = f"**{label}** is run `{result.run_id}`: `toolkit runs show {result.run_id}`\n\n{table}\n"
    save_markdown(f"run-{result.name}", text, f"Tracked run of {label}")
