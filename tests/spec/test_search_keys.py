"""``search:`` of a step: what it may say, and what is said about mistakes, with file and line."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from toolkit.errors import ProjectError
from toolkit.spec.expression import Scope, StepResult, Template
from toolkit.spec.project import Step
from toolkit.spec.reader import parse_project
from toolkit.spec.rules import lint_directory
from toolkit.spec.scope import Trials
from toolkit.spec.search import Prune, Search
from toolkit.spec.search_space import Range
from toolkit.spec.workflow import dependencies

HEAD = """\
entry_points:
  prepare: {command: "prepare", outputs: {data: data.csv}}
  train:
    parameters: {x: float, depth: {type: int, default: 1}, name: {default: a}}
    command: "train {x} {depth} {name}"
    outputs: {model: model}
  report: {command: "report {model}", parameters: {model: path}}
workflows:
  main:
    parameters: {n: {type: int, default: 5}, low: {type: float, default: 0.5}}
    steps:
      prepare: {}
"""
GOOD = "space: {x: {uniform: [0, 1]}}, metric: error, direction: minimize, trials: 3"


def text(search: str, *, train: str = "", report: str = "") -> str:
    lines = [f"      train: {{search: {{{search}}}{', ' if train else ''}{train}}}"]
    lines += [f"      report: {{parameters: {{model: {json.dumps(report)}}}}}"] if report else []
    return HEAD + "\n".join(lines) + "\n"


def step(search: str, **more: str) -> Step:
    return parse_project(text(search, **more), directory=Path("/nowhere")).workflows["main"].steps["train"]


def at(search: str, **parameters: object) -> Search:
    made = step(search).search
    assert made is not None
    return made.at(Scope(parameters={"n": 5, "low": 0.5, **parameters}))


def test_all_that_a_search_can_say() -> None:
    search = at(
        "space: {x: {loguniform: [1e-5, 1]}, depth: {int: [2, 9], step: 3}, name: [a, b]}, method: optuna,"
        " sampler: random, seed: 4, metric: error, direction: max, trials: 9, seconds: 60.5, concurrency: 2,"
        " max_failures: 0, prune: {pruner: percentile, percentile: 10, startup_trials: 2, warmup_steps: 3}"
    )
    assert search == Search(
        space={
            "x": Range(kind="float", low=1e-5, high=1, log=True),
            "depth": Range(kind="int", low=2, high=8, step=3),
            "name": Range(kind="choice", choices=("a", "b")),
        },
        method="optuna",
        sampler="random",
        seed=4,
        metric="error",
        direction="maximize",
        trials=9,
        seconds=60.5,
        concurrency=2,
        max_failures=0,
        prune=Prune(pruner="percentile", options={"percentile": 10, "startup_trials": 2, "warmup_steps": 3}),
    )
    assert search.combinations is None


def test_what_is_not_said_has_a_default() -> None:
    search = at(GOOD)
    assert (search.method, search.concurrency, search.max_failures, search.seed) == ("random", 4, 3, None)
    assert not search.needs_optuna


def test_expressions_give_bounds_choices_and_budgets() -> None:
    given = (
        "space: {x: {uniform: [\"${{ parameters.low }}\", 1]}, name: \"${{ ['p', 'q'] }}\"}, metric: e, direction: min"
    )
    search = at(given + ', trials: "${{ parameters.n * 2 }}"')
    assert (search.space["x"].low, search.space["name"].choices, search.trials) == (0.5, ("p", "q"), 10)


def test_a_search_waits_for_the_steps_that_it_refers_to() -> None:
    assert dependencies(step(GOOD.replace("3", '"${{ steps.prepare.metrics.n }}"'))) == {"prepare"}


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("", "it has no 'space': write {PARAMETER: {uniform: [LOW, HIGH]}}"),
        ("space: {}, metric: e, direction: min", "'space' is empty"),
        ("space: 3", "'space' is 3, not a mapping"),
        (GOOD + ", trails: 3", "unknown key 'trails': did you mean 'trials'?"),
        (GOOD.replace("uniform", "unifrom"), "unknown key 'unifrom' in 'x': did you mean 'uniform'?"),
        (GOOD.replace("uniform: [0, 1]", "log: true"), "'x' has no range: write a list of values"),
        (GOOD.replace("[0, 1]", "[1, 0]"), "'uniform' of 'x' goes from 1 to 0: the lower bound comes first"),
        (GOOD.replace("[0, 1]", "[0, one]"), "a bound or step of 'x' is 'one': wanted a number"),
        (GOOD.replace("[0, 1]", "[0, 1, 2]"), "'uniform' of 'x' is [0, 1, 2]: wanted [LOW, HIGH]"),
        (GOOD.replace("[0, 1]", "[0, 1], log: true"), "'x' goes from 0 on a logarithmic scale: wanted a bound above 0"),
        (GOOD.replace("[0, 1]", "[1, 2], log: true, step: 1"), "'x' has a step on a logarithmic scale"),
        (GOOD.replace("[0, 1]", "[0, 1], step: 0"), "the step of 'x' is 0: wanted more than 0"),
        (GOOD.replace("[0, 1]", "[0, 1], log: 1"), "'log' of 'x' is 1: wanted true or false"),
        (GOOD.replace("{uniform: [0, 1]}", "[]"), "the choices of 'x' are []: wanted a list of one value or more"),
        (GOOD.replace("{uniform: [0, 1]}", "{choice: [1], step: 1}"), "'step' of 'x' is for numbers, not for a choice"),
        (GOOD.replace("uniform: [0, 1]", "int: [0, 1.5]"), "a bound or step of 'x' is 1.5: wanted a whole number"),
        (GOOD + ", method: gird", "'method' is 'gird': did you mean 'grid'?"),
        (GOOD + ", method: grid", "'x' has no end of values, and a grid goes through all: give 'step'"),
        (GOOD + ", sampler: tpe", "'sampler' is for method optuna, and this is random: take it out"),
        (GOOD + ", method: optuna, sampler: tep", "'sampler' is 'tep': did you mean 'tpe'?"),
        (GOOD.replace("metric: error, ", ""), "it has no 'metric': name the metric that the step logs"),
        (GOOD.replace("direction: minimize, ", ""), "it has no 'direction': there are 'minimize', 'maximize'"),
        (GOOD.replace("minimize", "down"), "'direction' is 'down'"),
        (GOOD.replace(", trials: 3", ""), "method random never ends by itself: give 'trials', 'seconds' or both"),
        (GOOD.replace("trials: 3", "trials: 0"), "'trials' is 0: wanted a whole number from 1 to 10,000"),
        (GOOD + ", seconds: 0", "'seconds' is 0: wanted a number above 0"),
        (GOOD + ", concurrency: 0", "'concurrency' is 0: wanted a whole number, 1 or more"),
        (GOOD + ", seed: x", "'seed' is 'x': wanted a whole number, 0 or more"),
        (GOOD + ", prune: mean", "the pruner is 'mean': did you mean 'median'?"),
        (GOOD + ", prune: percentile", "the percentile pruner needs 'percentile'"),
        (GOOD + ", prune: {pruner: median, warmup: 3}", "unknown key 'warmup' in 'prune': did you mean 'warmup_st"),
        (GOOD + ", prune: {pruner: hyperband, reduction_factor: 1}", "wanted a whole number, 2 or more"),
        (
            GOOD.replace("1]}", "1], step: 0.001}, depth: {int: [1, 100]}") + ", method: grid",
            "the grid has 100,100 combinations: at most 10,000",
        ),
        (GOOD.replace("}}, ", "}, depth: {uniform: [0, 1]}}, ", 1), "'depth' is an int, and its range is of any"),
        (GOOD.replace("{x: {uniform: [0, 1]}}", "{x: [a]}"), "parameter 'x' is 'a', but it wants"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_line(search: str, message: str) -> None:
    with pytest.raises(ProjectError) as caught:
        step(search)
    assert str(caught.value).startswith("MLproject:13:")
    assert "search of step 'train': " in caught.value.message
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("foreach: {depth: [1, 2]}", "step 'train' has foreach and search: keep one"),
        ("parameters: {x: 1}", "step 'train' gives 'x' under parameters and under search: keep one"),
    ],
)
def test_a_search_contradicts_no_other_key(train: str, message: str) -> None:
    with pytest.raises(ProjectError) as caught:
        step(GOOD, train=train)
    assert message in str(caught.value)


def test_the_number_beside_each_other_is_given_once() -> None:
    with pytest.raises(ProjectError, match="gives 'concurrency' twice"):
        step(GOOD + ", concurrency: 2", train="concurrency: 3")


def test_a_parameter_that_is_not_declared_is_named() -> None:
    with pytest.raises(ProjectError, match="has no such parameter: did you mean 'depth'"):
        step(GOOD.replace("{x:", "{dept: [1], x:"))


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ("${{ steps.train.best.outputs.modle }}", "declares no output 'modle': did you mean 'model'?"),
        ("${{ steps.train.best.outptus.model }}", "a step has no 'outptus': did you mean 'outputs'?"),
        ("${{ steps.prepare.best.outputs.data }}", "a step has no 'best'"),
    ],
)
def test_what_the_best_trial_does_not_have_is_said_before_anything_runs(report: str, message: str) -> None:
    with pytest.raises(ProjectError, match="MLproject:14:") as caught:
        step(GOOD, report=report)
    assert message in str(caught.value)


def test_lint_finds_a_mistake_in_a_search_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text(text(GOOD + ", trails: 1"))
    finding = lint_directory(tmp_path).findings[0]
    assert (finding.rule, finding.level) == ("invalid", "error")
    assert finding.mark is not None
    assert (finding.mark.line, finding.mark.column) == (
        13,
        text(GOOD + ", trails: 1").splitlines()[12].index("trails") + 1,
    )


def test_lint_sees_what_a_search_uses(tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text(text(GOOD.replace("3", '"${{ parameters.n }}"')))
    unused = [one.message for one in lint_directory(tmp_path).findings if one.rule == "unused-parameter"]
    assert len(unused) == 1
    assert "'low'" in unused[0]


def test_expressions_see_the_best_trial_and_all_of_them() -> None:
    results = [StepResult(name="t", run_id=str(n), status="FINISHED", metrics={"e": n % 3}) for n in range(1, 5)]
    scope = Scope(parameters={}, steps={"t": Trials(results, 2)})
    values = {
        "steps.t.best.run_id": "3",
        "steps.t.best.metrics.e": 0,
        "steps.t.metrics.e": [1, 2, 0, 1],
        "len(steps.t)": 4,
        "steps.t[1].run_id": "2",
        "best(steps.t, 'e', 'max').run_id": "2",
    }
    assert {one: Template(source=f"${{{{ {one} }}}}").evaluate(scope) for one in values} == values


def test_decimals_of_a_step_are_as_they_are_written() -> None:
    one = at("space: {x: {uniform: [0.1, 0.75], step: 0.1}}, method: grid, metric: e, direction: min").space["x"]
    assert [one.value(n) for n in range(one.count or 0)] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert one.holds(0.30000000000000004)
    assert not one.holds(0.35)


@pytest.mark.parametrize(
    "one",
    [
        Range(kind="float", low=-1, high=2),
        Range(kind="float", low=1e-6, high=10, log=True),
        Range(kind="float", low=0, high=1, step=0.25),
        Range(kind="int", low=1, high=4, step=1),
        Range(kind="int", low=1, high=1000, log=True),
        Range(kind="choice", choices=(None, True, 1, "1", [1])),
    ],
    ids=str,
)
def test_what_is_drawn_lies_in_its_range_and_all_of_it_is_reached(one: Range) -> None:
    chance = random.Random(1)
    drawn = [one.draw(chance) for _ in range(400)]
    assert all(one.holds(value) for value in drawn)
    if one.count is not None:
        assert {one.place(value) for value in drawn} == set(range(one.count))
    else:
        numbers = [value for value in drawn if isinstance(value, int | float)]
        assert min(numbers) < one.low + (one.high - one.low) / 10
        assert max(numbers) > one.high - (one.high - one.low) / 3
