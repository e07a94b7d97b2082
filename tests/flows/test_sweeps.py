"""Steps that search, with real commands, stores and Optuna; threads stand in for Prefect."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from kitchen import Cooked, Kitchen

from toolkit import settings
from toolkit.errors import InvalidValue, NotYetSupported, ProjectError
from toolkit.flows.export import flow_file
from toolkit.flows.graph import as_tree
from toolkit.flows.plan import Plan, Target, check_runnable, dry_run, make_plan
from toolkit.flows.source import fetch
from toolkit.flows.sweep import Sweep
from toolkit.recording.stores import Stores
from toolkit.spec.expression import StepResult
from toolkit.spec.search import Prune, Search
from toolkit.spec.search_space import Range
from toolkit.tracking.records import Run, RunStatus
from toolkit.wiring.opened import open_stores
from toolkit.workflow import Workflow

PROJECT = """
name: sweep
entry_points:
  train:
    parameters: {{x: float, kind: {{default: a}}, depth: {{type: int, default: 1}}}}
    command: ". ./train.sh {{x}} {{kind}} {{depth}}"
    outputs: {{model: model.txt}}
    metrics: metrics.json
  report:
    parameters: {{model: path, error: float, x: float}}
    command: "cp {{model}} report.txt; echo {{error}} {{x}} >> report.txt"
    outputs: {{report: report.txt}}
workflows:
  main:
    parameters: {{trials: {{type: int, default: 6}}}}
    steps:
      train:
        search: {search}
      report:
        parameters:
          model: "${{{{ steps.train.best.outputs.model }}}}"
          error: "${{{{ steps.train.best.metrics.error }}}}"
          x: "${{{{ steps.train.best.parameters.x }}}}"
"""
TRAIN = """
echo "$1 $2 $3" > model.txt
awk -v x="$1" 'BEGIN { printf "{\\"error\\": %.9f}", (x - 0.3) ^ 2 }' > metrics.json
"""


@pytest.fixture
def stores() -> Iterator[Stores]:
    opened = open_stores(settings.load())
    yield opened
    opened.close()


Cook = Callable[..., Cooked]


@pytest.fixture
def kitchen(stores: Stores, tmp_path: Path) -> Kitchen:
    return Kitchen(stores, tmp_path / "sweep")


@pytest.fixture
def cook(kitchen: Kitchen) -> Cook:
    def run(search: str, train: str = TRAIN, **options: object) -> Cooked:
        kitchen.write(MLproject=PROJECT.format(search=search), train__sh=train)
        return kitchen.cook(**options)  # type: ignore[arg-type]  # its own

    return run


def trials(kitchen: Kitchen, cooked: Cooked) -> list[Run]:
    """Return the runs of trials, by number."""
    runs = [run for run in kitchen.children(cooked.run_id).values() if "toolkit.trial" in run.data.tags]
    return sorted(runs, key=lambda run: int(run.data.tags["toolkit.trial"]))


def tried(kitchen: Kitchen, cooked: Cooked, name: str = "x") -> list[str]:
    return [run.data.params[name] for run in trials(kitchen, cooked)]


def plan_of(kitchen: Kitchen, **target: object) -> Plan:
    source = fetch(str(kitchen.project), caller=kitchen.project)
    return make_plan(source, Target(caller=kitchen.project, **target))  # type: ignore[arg-type]  # its fields


def test_a_grid_tries_each_combination_once_and_its_best_feeds_the_next_step(
    kitchen: Kitchen, cook: Cook, tmp_path: Path
) -> None:
    space = "{x: {uniform: [0.1, 0.5], step: 0.2}, kind: [a, 'b c'], depth: {int: [1, 2]}}"
    cooked = cook(f"{{space: {space}, method: grid, metric: error, direction: minimize}}")
    found = [tuple(run.data.params[name] for name in ("x", "kind", "depth")) for run in trials(kitchen, cooked)]
    assert found == [(x, kind, depth) for x in ("0.1", "0.3", "0.5") for kind in ("a", "b c") for depth in "12"]
    assert kitchen.text(cooked.run_of("report"), "report.txt", tmp_path) == "0.3 a 1\n0.0 0.3\n"
    summary = cooked.outcomes["train (search)"]
    assert (summary.status, summary.run_id) == ("FINISHED", trials(kitchen, cooked)[4].info.run_id)
    assert summary.reason == "12 trials (12 finished), best error 0 of trial 4: x=0.3, kind=a, depth=1"


def test_chance_is_the_same_again_with_the_same_seed_and_another_with_another(kitchen: Kitchen, cook: Cook) -> None:
    text = "{{space: {{x: {{loguniform: [0.001, 1]}}}}, seed: {seed}, metric: error, direction: min, trials: 3}}"
    first, again, other = (tried(kitchen, cook(text.format(seed=seed))) for seed in (1, 1, 2))
    assert first == again
    assert not set(first) & set(other)
    assert all(0.001 <= float(x) <= 1 for x in first)


TPE = "{space: {x: {uniform: [0, 1]}, kind: [a, b]}, method: optuna, seed: 7, metric: error, direction: minimize, %s}"


def test_tpe_finds_what_is_better_and_is_the_same_again_one_at_a_time(kitchen: Kitchen, cook: Cook) -> None:
    first = cook(TPE % "trials: 14, concurrency: 1")
    found = [float(x) for x in tried(kitchen, first)]
    assert min(abs(x - 0.3) for x in found) < 0.1
    # After its ten trials by chance it goes where it was good.
    assert sum(abs(x - 0.3) for x in found[10:]) / 4 < sum(abs(x - 0.3) for x in found[:10]) / 10
    parent = kitchen.run(first.run_id)
    best = trials(kitchen, first)[min(range(14), key=lambda number: abs(found[number] - 0.3))]
    assert parent.data.params["train.best_x"] == best.data.params["x"]
    assert parent.data.params["train.best_kind"] == best.data.params["kind"]
    assert parent.data.tags["toolkit.best_run.train"] == best.info.run_id
    assert parent.data.metrics["train.best_error"] == best.data.metrics["error"]
    curve = kitchen.stores.runs.metric_history(first.run_id, "train.best_error").items
    assert [point.step for point in curve] == list(range(1, 15))
    assert [point.value for point in curve] == sorted((point.value for point in curve), reverse=True)
    again = cook(TPE % "trials: 12, concurrency: 1")
    assert tried(kitchen, again) == tried(kitchen, first)[:12]


def test_trials_run_beside_each_other(kitchen: Kitchen, cook: Cook, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    # Each waits until three are there at the same time.
    wait = f': > "{place}/$1"; until [ "$(ls "{place}" | wc -l)" -ge 3 ]; do sleep 0.05; done\n'
    cooked = cook(TPE % "trials: 3, concurrency: 3", wait + TRAIN)
    assert len(trials(kitchen, cooked)) == 3
    assert cooked.statuses["train (search)"] == "FINISHED"


def test_a_budget_of_seconds_begins_no_more_trials(kitchen: Kitchen, cook: Cook) -> None:
    cooked = cook(
        "{space: {x: {uniform: [0, 1]}}, metric: error, direction: min, seconds: 1.5, concurrency: 1}",
        "sleep 0.4\n" + TRAIN,
    )
    assert 1 <= len(trials(kitchen, cooked)) <= 4
    assert cooked.statuses["train (search)"] == cooked.statuses["report"] == "FINISHED"


def test_trials_may_fail_up_to_a_limit(kitchen: Kitchen, cook: Cook) -> None:
    grid = "{space: {x: [0.1, 0.3, 0.5, 0.7]}, method: grid, metric: error, direction: min, concurrency: 1, %s}"
    failing = '[ "$1" != 0.1 ] && [ "$1" != 0.5 ] || exit 3\n' + TRAIN
    forgiven = cook(grid % "max_failures: 2", failing)
    assert [run.info.status for run in trials(kitchen, forgiven)] == [
        *(RunStatus.FAILED, RunStatus.FINISHED, RunStatus.FAILED, RunStatus.FINISHED),
    ]
    assert forgiven.statuses["train (search)"] == forgiven.statuses["report"] == "FINISHED"
    failed = cook(grid % "max_failures: 1", failing)
    assert len(trials(kitchen, failed)) == 3  # none began after the second failure
    assert (failed.statuses["train (search)"], failed.statuses["report"]) == ("FAILED", "SKIPPED")
    reason = failed.outcomes["train (search)"].reason
    assert reason is not None
    assert "2 trials failed, and max_failures is 1" in reason
    assert "exited with 3" in reason


def test_a_metric_that_is_not_logged_ends_the_search_and_is_named(kitchen: Kitchen, cook: Cook) -> None:
    cooked = cook("{space: {x: [0.1, 0.2]}, method: grid, metric: errors, direction: min, concurrency: 1}")
    assert len(trials(kitchen, cooked)) == 1
    reason = cooked.outcomes["train (search)"].reason
    assert reason is not None
    assert "trial 0: it finished without logging the metric 'errors'" in reason
    assert "did you mean 'error'?" in reason


def test_nan_is_a_failed_trial_and_never_the_best(kitchen: Kitchen, cook: Cook) -> None:
    nan = 'if [ "$1" = 0.3 ]; then echo m > model.txt; echo \'{"error": NaN}\' > metrics.json; else\n' + TRAIN + "fi\n"
    cooked = cook("{space: {x: [0.3, 0.5]}, method: grid, metric: error, direction: min}", nan)
    summary = cooked.outcomes["train (search)"].reason
    assert summary is not None
    assert summary.startswith("2 trials (1 finished, 1 failed), best error 0.04 of trial 1")


LOGGING = """
{python} - "$1" <<'PY'
import sys, time, toolkit
x = float(sys.argv[1])
with toolkit.start_run():
    for epoch in range(300 if x > 0.5 else 4):
        toolkit.log_metric("loss", x + 1 / (epoch + 1), step=epoch)
        time.sleep(0.1 if x > 0.5 else 0)
PY
echo "$1" > model.txt
"""
PRUNING = """
name: pruning
entry_points:
  train:
    parameters: {x: float}
    command: ". ./train.sh {x}"
workflows:
  main:
    steps:
      train:
        search:
          {space: {x: [0.1, 0.9]}, method: grid, metric: loss, direction: min, concurrency: 1, prune: {
            pruner: median, startup_trials: 1}}
"""


def test_a_trial_that_does_not_look_good_is_stopped_and_is_not_tried_again(kitchen: Kitchen) -> None:
    kitchen.write(MLproject=PRUNING, train__sh=LOGGING.format(python=sys.executable))
    cooked = kitchen.cook()
    good, bad = trials(kitchen, cooked)
    assert (good.info.status, bad.info.status) == (RunStatus.FINISHED, RunStatus.KILLED)
    points = kitchen.stores.runs.metric_history(bad.info.run_id, "loss").items
    assert 1 <= len(points) < 300
    assert json.loads(bad.data.tags["toolkit.pruned"])["0"] == pytest.approx(1.9)
    reason = cooked.outcomes["train (search)"].reason
    assert reason is not None
    assert reason.startswith("2 trials (1 finished, 1 pruned), best loss 0.35 of trial 0")
    resumed = kitchen.cook(resume=cooked.run_id)
    assert tried(kitchen, resumed) == ["0.1"]
    assert resumed.cached == {"train trial=0 x=0.1": True, "train (search)": False}
    assert resumed.outcomes["train (search)"].reason == reason


@pytest.mark.parametrize(
    "prune",
    [
        Prune(pruner="median", options={"startup_trials": 2}),
        Prune(pruner="percentile", options={"percentile": 50.0, "startup_trials": 2}),
        Prune(pruner="hyperband", options={"min_resource": 1, "max_resource": 27, "reduction_factor": 3}),
    ],
    ids=lambda prune: prune.pruner,
)
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_each_pruner_stops_the_bad_ones_only(prune: Prune, direction: Literal["minimize", "maximize"]) -> None:
    space = {"x": Range(kind="choice", choices=tuple(range(12)))}
    sweep = Sweep(Search(space=space, method="grid", metric="m", direction=direction, prune=prune), "train")
    sign = 1 if direction == "minimize" else -1
    pruned = []
    while (trial := sweep.next()) is not None:
        x = trial.values["x"]
        assert isinstance(x, int)
        if any(sweep.report(trial, step, sign * (x + 1 / (step + 1))) for step in range(28)):
            pruned.append(x)
            sweep.cut(trial)
        else:
            result = StepResult(name="train", run_id="r", status="FINISHED", metrics={"m": sign * float(x)})
            assert sweep.finished(trial, result) is None
    assert 0 not in pruned
    assert len(pruned) >= 3
    assert sweep.best == (0, 0.0)


def test_what_a_stopped_search_has_tried_is_not_run_again(
    kitchen: Kitchen, cook: Cook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tried(kitchen, cook(TPE % "trials: 12, concurrency: 1, max_failures: 0"))
    counts = tmp_path / "count"
    counting = f"echo . >> {counts}\n"
    broken = counting + f'[ "$(wc -l < {counts})" -ne 5 ] || exit 3\n' + TRAIN
    stopped = cook(TPE % "trials: 12, concurrency: 1, max_failures: 0", broken)
    assert stopped.statuses["train (search)"] == "FAILED"
    assert [run.info.status for run in trials(kitchen, stopped)] == [RunStatus.FINISHED] * 4 + [RunStatus.FAILED]
    resumed = cook(TPE % "trials: 12, concurrency: 1, max_failures: 0", counting + TRAIN, resume=stopped.run_id)
    assert resumed.statuses["train (search)"] == resumed.statuses["report"] == "FINISHED"
    assert list(resumed.cached.values())[:5] == [True] * 4 + [False]
    assert len(counts.read_text().split()) == 5 + 8
    assert tried(kitchen, resumed) == whole  # as if it had never stopped


def test_a_search_that_has_changed_takes_over_what_still_fits(kitchen: Kitchen, cook: Cook) -> None:
    grid = "{space: {x: %s}, method: grid, metric: error, direction: min, max_failures: 0, concurrency: 1}"
    failing = '[ "$1" != 0.5 ] || exit 3\n' + TRAIN
    stopped = cook(grid % "[0.1, 0.3, 0.5]", failing)
    resumed = cook(grid % "[0.2, 0.3]", resume=stopped.run_id)
    assert resumed.cached["train trial=1 x=0.3"]
    assert not resumed.cached["train trial=0 x=0.2"]
    assert tried(kitchen, resumed) == ["0.2", "0.3"]


def test_a_budget_may_be_a_parameter_of_the_workflow(kitchen: Kitchen, cook: Cook) -> None:
    text = '{space: {x: {uniform: [0, 1]}}, metric: error, direction: min, trials: "${{ parameters.trials }}"}'
    assert len(trials(kitchen, cook(text, parameters={"trials": "2"}))) == 2
    with pytest.raises(ProjectError, match=r"MLproject:18:.*'trials' is 0: wanted a whole number from 1 to 10,000"):
        check_runnable(plan_of(kitchen, parameters={"trials": "0"}))


def test_the_commands_of_a_search_are_shown_without_its_values(kitchen: Kitchen, cook: Cook) -> None:
    cook("{space: {x: [0.3]}, method: grid, metric: error, direction: min}")
    plan = plan_of(kitchen)
    assert dry_run(plan)[0] == ". ./train.sh '<x>' a 1"
    assert "train  [searches x]" in as_tree(plan)
    with pytest.raises(NotYetSupported, match="step 'train' has 'search', which cannot be written as Python yet"):
        flow_file(plan, kitchen.project / "flow.py")


def test_a_flow_in_python_refuses_a_search() -> None:
    with pytest.raises(InvalidValue, match="'train' has 'search', which a flow in Python cannot run yet"):
        Workflow("w").step("train", command="go", search={})


def test_a_foreach_has_a_limit(tmp_path: Path, kitchen: Kitchen) -> None:
    numbers = str(list(range(101)))
    kitchen.write(
        MLproject="entry_points: {go: {parameters: {a: int, b: int}, command: 'go {a} {b}'}}\n"
        f"workflows: {{main: {{steps: {{go: {{foreach: {{a: {numbers}, b: {numbers}}}}}}}}}}}\n"
    )
    with pytest.raises(
        ProjectError, match=r"MLproject:2:.*foreach of step 'go' has 10,201 combinations .* at most 10,000"
    ):
        check_runnable(plan_of(kitchen))


def test_without_optuna_one_line_says_what_to_install(
    kitchen: Kitchen, cook: Cook, monkeypatch: pytest.MonkeyPatch
) -> None:
    cook("{space: {x: [0.3]}, method: optuna, metric: error, direction: min, trials: 1}")
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InvalidValue, match=r"pip install 'toolkit\[optuna\]'"):
        check_runnable(plan_of(kitchen))
