"""Which step begins when, and what becomes of each, with a stand-in for Prefect's task runner."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from projects import CHAIN, plan

from toolkit.artifacts.local import LocalArtifactStore
from toolkit.errors import StepFailed
from toolkit.flows.context import RunContext
from toolkit.flows.execution import Execution
from toolkit.flows.report import SilentReporter, StepOutcome
from toolkit.flows.step import Invocation, StepStopped
from toolkit.flows.stop import Stop
from toolkit.recording.lease import Leases
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.spec.expression import OutputRef, StepResult
from toolkit.tracking.memory import MemoryRunStore
from toolkit.tracking.records import RunStatus

Work = Callable[[Invocation], StepResult]


def done(invocation: Invocation, **metrics: float) -> StepResult:
    """Return what a step that ended well leaves: each declared output of CHAIN, and metrics."""
    outputs = {name: OutputRef(run_id=f"run of {invocation.label}", path=f"{name}.txt") for name in ("data", "model")}
    return StepResult(
        name=invocation.step.name,
        run_id=f"run of {invocation.label}",
        status="FINISHED",
        parameters=dict(invocation.values),
        metrics={"error": 1.0, **metrics},
        outputs=outputs,
    )


class Scene:
    """An execution whose steps are functions of the test, run in threads as Prefect does.

    Attributes:
        order: Labels of the steps in the order in which they began.
        most: How many ran at the same time, at most.
        after: What each step was told to come after, by label.
    """

    def __init__(self, folder: Path, text: str, work: Work = done, *, max_parallel: int = 16, **target: object) -> None:
        store = MemoryRunStore("file:///artifacts")
        stores = Stores(
            runs=store,
            artifacts=LocalArtifactStore(folder / "artifacts"),
            tracking_uri="memory:",
            place="memory:",
            artifact_root="file:///artifacts",
            home=folder,
        )
        self.leases = Leases(store, lease_ms=60_000)
        self.parent = RecordedRun.start(stores, self.leases, experiment_id="0", name="whole")
        self.stop = Stop()
        self.order: list[str] = []
        self.after: dict[str, list[str]] = {}
        self.most = 0
        self._running = 0
        self._lock = threading.Lock()
        self._work = work
        self._pool = ThreadPoolExecutor(32)
        self._labels: dict[int, str] = {}
        context = RunContext(
            plan=plan(folder / "project", text, **target),
            stores=stores,
            leases=self.leases,
            parent=self.parent,
            experiment="Default",
            environments={},
            variables={},
            source_tags={},
            work=folder / "work",
            reporter=SilentReporter(),
            stop=self.stop,
            grace=1,
            max_parallel=max_parallel,
        )
        self._execution = Execution(context, self._submit)

    def _submit(self, invocation: Invocation, after: Any) -> Future[None]:  # noqa: ANN401 - Prefect's futures
        self.after[invocation.label] = [self._labels[id(future)] for future in after]
        self.order.append(invocation.label)
        future = self._pool.submit(self._run, invocation)
        self._labels[id(future)] = invocation.label
        self._keep = [*getattr(self, "_keep", []), future]
        return future

    def _run(self, invocation: Invocation) -> None:
        self._execution.attempt(invocation.label)
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
        try:
            result: StepResult | BaseException = self._work(invocation)
        except Exception as error:  # noqa: BLE001 - as a task runner
            result = error
        with self._lock:
            self._running -= 1
        self._execution.finished(invocation.label, result)

    def run(self) -> dict[str, StepOutcome]:
        """Run all; return how each ended, by label."""
        outcomes = self._execution.run()
        self._pool.shutdown()
        self.parent.end(RunStatus.FINISHED)
        return {outcome.label: outcome for outcome in outcomes}

    def statuses(self) -> dict[str, str]:
        """Run all; return the status of each, by label."""
        return {label: outcome.status for label, outcome in self.run().items()}


Play = Callable[..., Scene]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Make scenes in a folder of the test's own."""
    yield lambda text, *args, **options: Scene(tmp_path, text, *args, **options)
    for thread in threading.enumerate():
        if thread.name == "toolkit-leases":
            thread.join(5)


def steps(text: str, entry: str = "go: {command: go}") -> str:
    """Return a project whose workflow has these steps."""
    return f"entry_points: {{{entry}}}\nworkflows: {{main: {{steps: {{{text}}}}}}}\n"


def fail(*labels: str) -> Work:
    """Return work in which these steps fail."""

    def work(invocation: Invocation) -> StepResult:
        if invocation.label in labels:
            raise StepFailed(f"{invocation.label} broke")
        return done(invocation)

    return work


# -- order -------------------------------------------------------------------------------------------


def test_steps_come_after_what_they_need(play: Play) -> None:
    scene = play(CHAIN)
    assert set(scene.statuses().values()) == {"FINISHED"}
    assert scene.order[0] == "prepare"
    assert set(scene.order[1:3]) == {"train alpha=0.1", "train alpha=0.5"}
    assert scene.order[3] == "report"


def test_prefect_is_told_the_edges(play: Play) -> None:
    scene = play(CHAIN)
    scene.run()
    assert scene.after["prepare"] == []
    assert scene.after["train alpha=0.1"] == ["prepare"]
    assert sorted(scene.after["report"]) == ["train alpha=0.1", "train alpha=0.5"]


def test_results_arrive_in_the_parameters_of_later_steps(play: Play) -> None:
    seen = {}

    def work(invocation: Invocation) -> StepResult:
        seen[invocation.label] = dict(invocation.values)
        return done(invocation, error=float(str(invocation.values.get("alpha", 9))))

    play(CHAIN, work).run()
    assert str(seen["train alpha=0.5"]["data"]) == "runs:/run of prepare/data.txt"
    assert seen["report"] == {"error": 0.1}


def test_independent_steps_run_at_the_same_time(play: Play) -> None:
    """Each waits until the other has begun."""
    both = threading.Barrier(2, timeout=20)

    def work(invocation: Invocation) -> StepResult:
        both.wait()
        return done(invocation)

    assert set(play(steps("a: {entry_point: go}, b: {entry_point: go}"), work).statuses().values()) == {"FINISHED"}


def test_a_step_begins_as_soon_as_its_own_needs_have_ended(play: Play) -> None:
    """Not when all steps of the level before have: slow ends only after the one behind quick has run."""
    behind_ran = threading.Event()

    def work(invocation: Invocation) -> StepResult:
        if invocation.label == "slow":
            assert behind_ran.wait(20)
        if invocation.label == "behind":
            behind_ran.set()
        return done(invocation)

    text = steps("slow: {entry_point: go}, quick: {entry_point: go}, behind: {entry_point: go, needs: [quick]}")
    assert set(play(text, work).statuses().values()) == {"FINISHED"}


@pytest.mark.parametrize(("key", "max_parallel"), [("concurrency: 2", 16), ("retries: 0", 2)])
def test_no_more_run_at_the_same_time_than_wanted(play: Play, key: str, max_parallel: int) -> None:
    pairs = threading.Barrier(2, timeout=20)

    def work(invocation: Invocation) -> StepResult:
        pairs.wait()
        return done(invocation)

    text = steps(f"go: {{foreach: {{n: [1, 2, 3, 4, 5, 6]}}, {key}}}", "go: {parameters: {n: int}, command: 'go {n}'}")
    scene = play(text, work, max_parallel=max_parallel)
    assert set(scene.statuses().values()) == {"FINISHED"}
    assert scene.most == 2
    assert scene.order == [f"go n={number}" for number in range(1, 7)]


# -- labels ------------------------------------------------------------------------------------------


def test_equal_values_of_a_foreach_are_told_apart(play: Play) -> None:
    text = steps("go: {foreach: {n: [1, 1, 1]}}", "go: {parameters: {n: int}, command: 'go {n}'}")
    assert set(play(text).run()) == {"go n=1", "go n=1 #2", "go n=1 #3"}


def test_long_values_do_not_make_long_labels(play: Play) -> None:
    text = steps(f"go: {{foreach: {{n: [{'x' * 500}]}}}}", "go: {parameters: {n: string}, command: 'go {n}'}")
    (label,) = play(text).run()
    assert len(label) < 60


# -- failures ----------------------------------------------------------------------------------------


def test_what_needs_a_failed_step_is_skipped_and_the_rest_runs(play: Play) -> None:
    text = steps(
        "a: {entry_point: go}, b: {entry_point: go, needs: [a]}, c: {entry_point: go, needs: [b]}, d: {entry_point: go}"
    )
    scene = play(text, fail("a"))
    outcomes = scene.run()
    assert {label: outcome.status for label, outcome in outcomes.items()} == {
        "a": "FAILED",
        "b": "SKIPPED",
        "c": "SKIPPED",
        "d": "FINISHED",
    }
    assert outcomes["a"].reason == "a broke"
    assert outcomes["b"].reason == "needs a"
    assert outcomes["b"].run_id is None


def test_one_failed_value_of_a_foreach_does_not_stop_its_siblings(play: Play) -> None:
    statuses = play(CHAIN, fail("train alpha=0.1")).statuses()
    assert statuses["train alpha=0.5"] == "FINISHED"
    assert statuses["report"] == "SKIPPED"


def test_an_expression_that_fails_fails_its_step_alone(play: Play) -> None:
    """The metric that is asked for was not logged."""

    def work(invocation: Invocation) -> StepResult:
        result = done(invocation)
        return StepResult(
            name=result.name, run_id=result.run_id, status="FINISHED", outputs=result.outputs, metrics={"other": 1.0}
        )

    outcomes = play(CHAIN, work).run()
    assert outcomes["train alpha=0.1"].status == "FINISHED"
    assert outcomes["report"].status == "FAILED"
    assert outcomes["report"].run_id is None
    assert "error" in str(outcomes["report"].reason)


def test_a_task_that_ends_without_a_word_counts_as_failed(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect may refuse to run a task at all."""
    scene = play(steps("a: {entry_point: go}, b: {entry_point: go, needs: [a]}"))
    nothing: Future[None] = Future()
    nothing.set_result(None)
    monkeypatch.setattr(scene._execution, "_submit", lambda *_: nothing)
    outcomes = scene.run()
    assert outcomes["a"].status == "FAILED"
    assert "without a result" in str(outcomes["a"].reason)
    assert outcomes["b"].status == "SKIPPED"


# -- conditions --------------------------------------------------------------------------------------


def test_a_false_condition_skips_the_step_and_what_needs_it(play: Play) -> None:
    text = steps(
        "a: {entry_point: go}, b: {entry_point: go, needs: [a], when: '${{ 1 > 2 }}'}, c: {entry_point: go, needs: [b]}"
    )
    outcomes = play(text).run()
    assert [outcomes[name].status for name in "abc"] == ["FINISHED", "SKIPPED", "SKIPPED"]
    assert "1 > 2" in str(outcomes["b"].reason)


def test_a_condition_may_ask_for_a_result(play: Play) -> None:
    text = CHAIN.replace('when: "${{ parameters.report }}"', 'when: "${{ len(steps.train) > 5 }}"')
    assert play(text).statuses()["report"] == "SKIPPED"


def test_an_empty_foreach_runs_nothing_and_is_no_failure(play: Play) -> None:
    text = steps(
        "go: {foreach: {n: []}}, after: {entry_point: end, needs: [go]}",
        "go: {parameters: {n: int}, command: 'go {n}'}, end: {command: end}",
    )
    scene = play(text)
    assert scene.statuses() == {"after": "FINISHED"}


# -- stopping ----------------------------------------------------------------------------------------


def test_after_a_wish_to_stop_nothing_new_begins(play: Play) -> None:
    scenes: list[Scene] = []

    def work(invocation: Invocation) -> StepResult:
        scenes[0].stop.request("Ctrl-C")
        raise StepStopped(f"{invocation.label} was stopped")

    text = steps(
        "go: {foreach: {n: [1, 2, 3]}, concurrency: 1}, after: {entry_point: end, needs: [go]}",
        "go: {parameters: {n: int}, command: 'go {n}'}, end: {command: end}",
    )
    scenes.append(play(text, work))
    outcomes = scenes[0].run()
    assert scenes[0].order == ["go n=1"]
    assert {label: outcome.status for label, outcome in outcomes.items()} == {
        "go n=1": "KILLED",
        "go n=2": "SKIPPED",
        "go n=3": "SKIPPED",
        "after": "SKIPPED",
    }
    assert outcomes["after"].reason == "Ctrl-C"


def test_a_wish_to_stop_waits_for_what_runs(play: Play) -> None:
    """The steps see the wish themselves; the flow ends when the last one has."""
    ended: list[str] = []
    scenes: list[Scene] = []

    def work(invocation: Invocation) -> StepResult:
        if invocation.label == "a":
            scenes[0].stop.request("test")
        else:
            assert scenes[0].stop.wait(20)
        ended.append(invocation.label)
        raise StepStopped("stopped")

    scenes.append(play(steps("a: {entry_point: go}, b: {entry_point: go}"), work))
    assert scenes[0].statuses() == {"a": "KILLED", "b": "KILLED"}
    assert sorted(ended) == ["a", "b"]


def test_tries_are_counted(play: Play) -> None:
    scene = play(steps("a: {entry_point: go}"))
    scene._execution.attempt("a")
    assert scene.run()["a"].tries == 2
