"""Workflows that run for real, commands and stores and all, but for Prefect, for which threads stand in."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit.flows.context import RunContext
from toolkit.flows.environments import local
from toolkit.flows.environments.environment import PreparedEnvironment
from toolkit.flows.execution import Execution
from toolkit.flows.plan import Target, make_plan
from toolkit.flows.report import SilentReporter, StepOutcome
from toolkit.flows.resume import Resumed, request_tag
from toolkit.flows.source import fetch
from toolkit.flows.step import Invocation, StepRunner
from toolkit.flows.step_cache import CacheOptions, StepCache
from toolkit.flows.stop import Stop
from toolkit.recording.lease import Leases
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.spec.expression import StepResult
from toolkit.tracking.records import ArtifactEntry, Run, RunQuery, RunStatus
from toolkit.tracking.store import RunStore


@dataclass(frozen=True)
class Cooked:
    """A workflow's run that has ended.

    Attributes:
        run_id: Its run.
        outcomes: How its steps ended, by label.
        notes: What was said meanwhile.
    """

    run_id: str
    outcomes: dict[str, StepOutcome]
    notes: list[str]

    @property
    def cached(self) -> dict[str, bool]:
        """Whether each step that ended well took its results over."""
        return {
            label: outcome.cached_from is not None
            for label, outcome in self.outcomes.items()
            if outcome.status == "FINISHED"
        }

    @property
    def statuses(self) -> dict[str, str]:
        """The state of each step."""
        return {label: outcome.status for label, outcome in self.outcomes.items()}

    def run_of(self, label: str) -> str:
        """Return the run of a step."""
        found = self.outcomes[label].run_id
        assert found is not None
        return found


class Counted:
    """A run store that counts the calls of each method."""

    def __init__(self, runs: RunStore) -> None:
        self._runs = runs
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        method = getattr(self._runs, name)

        def counted(*args: object, **kwargs: object) -> object:
            self.calls[name] += 1
            return method(*args, **kwargs)

        return counted


class _Notes(SilentReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@dataclass
class Kitchen:
    """Where workflows of one project are run.

    Attributes:
        stores: Where they are recorded.
        project: The project's folder.
        environment: What steps run in.
    """

    stores: Stores
    project: Path
    environment: PreparedEnvironment = field(default_factory=local.prepare)

    def write(self, **files: str) -> None:
        """Write files of the project; ``__`` stands for a dot, as in ``train__py``."""
        self.project.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (self.project / name.replace("__", ".")).write_text(text)

    def cook(
        self,
        *,
        options: CacheOptions | None = None,
        resume: str | None = None,
        lock: str = "",
        **target: Any,  # noqa: ANN401 - fields of Target
    ) -> Cooked:
        """Run the project's workflow."""
        plan = make_plan(fetch(str(self.project), caller=self.project), Target(**{"caller": self.project, **target}))
        leases, reporter, stop = Leases(self.stores.runs, lease_ms=60_000), _Notes(), Stop()
        parent = RecordedRun.start(
            self.stores,
            leases,
            experiment_id="0",
            tags={
                "toolkit.workflow": plan.flow_name,
                "toolkit.code_digest": plan.source.digest,
                **request_tag(plan, env_manager=None),
            },
        )
        prepared = replace(self.environment, lock=self.environment.lock + lock)
        resumed = None if resume is None else Resumed(self.stores.runs, self.stores.runs.get_run(resume))
        cache = StepCache(
            plan,
            self.stores,
            parent,
            lock=lambda _: prepared.lock,
            note=reporter.note,
            options=options,
            resumed=resumed,
        )
        context = RunContext(
            plan=plan,
            stores=self.stores,
            leases=leases,
            parent=parent,
            experiment="Default",
            environments={None: prepared},
            variables={},
            source_tags={},
            work=self.stores.home / "work",
            reporter=reporter,
            stop=stop,
            grace=1,
            max_parallel=8,
            cache=cache,
        )
        outcomes = _Cook(context).run()
        failed = any(outcome.status == "FAILED" for outcome in outcomes)
        parent.end(RunStatus.FAILED if failed else RunStatus.FINISHED)
        return Cooked(parent.run_id, {outcome.label: outcome for outcome in outcomes}, reporter.lines)

    def run(self, run_id: str) -> Run:
        """Return a run."""
        return self.stores.runs.get_run(run_id)

    def files(self, run_id: str) -> dict[str, ArtifactEntry]:
        """Return the files of a run."""
        return {entry.path: entry for entry in self.stores.runs.list_artifacts(run_id).items}

    def text(self, run_id: str, path: str, folder: Path) -> str:
        """Return the text of an artifact, fetched as anybody fetches it."""
        target = folder / f"{run_id}-fetched"
        RecordedRun(self.stores, self.run(run_id)).fetch(self.files(run_id)[path], target)
        return target.read_text()

    def children(self, run_id: str) -> dict[str, Run]:
        """Return the parts of a run, by name."""
        found = self.stores.runs.list_runs(RunQuery(parent_run_id=run_id)).items
        return {run.info.run_name: run for run in found}


class _Cook:
    """Does what Prefect's task runner and `toolkit.flows.tasks` do."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._pool = ThreadPoolExecutor(8)
        self._execution = Execution(context, self._submit)
        self._lock = threading.Lock()

    def run(self) -> list[StepOutcome]:
        try:
            return self._execution.run()
        finally:
            self._pool.shutdown()

    def _submit(self, invocation: Invocation, _after: Sequence[Any]) -> Future[None]:
        return self._pool.submit(self._work, invocation)

    def _work(self, invocation: Invocation) -> None:
        cache = self._context.cache
        assert cache is not None
        attempt = self._execution.attempt(invocation.label)
        taken = cache.take(invocation, {})
        if taken is not None:
            self._context.opened(invocation.label, taken.run_id)
            self._execution.finished(invocation.label, taken)
            return
        result: StepResult | BaseException
        try:
            result = StepRunner(self._context, invocation, log=lambda _: None).run(attempt=attempt)
        except Exception as error:  # noqa: BLE001 - as a task runner
            result = error
        ended_well = result if isinstance(result, StepResult) else None
        cache.keep(invocation, self._context.run_ids.get(invocation.label), ended_well)
        self._execution.finished(invocation.label, result)
