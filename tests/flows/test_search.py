"""Steps that search, with real commands, stores and Optuna; threads stand in for Prefect."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kitchen import Cooked, Kitchen

from toolkit import settings, wiring
from toolkit.recording.stores import Stores
from toolkit.tracking.records import Run, RunStatus

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
    opened = wiring.open_stores(settings.load())
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
