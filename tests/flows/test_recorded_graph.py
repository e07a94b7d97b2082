"""The graph that a workflow's run records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from projects import CHAIN, plan

from toolkit.flows.recorded_graph import GRAPH, PlannedStep, graph_tag, graph_text, read_graph

SEARCHED = """
entry_points:
  go: {parameters: {x: {type: float, default: 1}}, command: "go {x}", outputs: {model: m}, metrics: m.json}
  ship: {parameters: {model: path}, command: "ship {model}"}
workflows:
  main:
    steps:
      tune:
        entry_point: go
        search: {space: {x: [1.0, 2.0]}, method: grid, metric: rmse, direction: minimize}
      ship: {parameters: {model: "${{ steps.tune.best.outputs.model }}"}}
"""


def test_the_steps_are_read_again_as_the_project_declares_them(tmp_path: Path) -> None:
    (told,) = graph_tag(plan(tmp_path, CHAIN)).values()
    assert read_graph(told) == [
        PlannedStep(name="prepare", entry_point="prepare", defaults={"count": "3"}, outputs={"data": "data.txt"}),
        PlannedStep(
            name="train",
            needs={"prepare": ["outputs.data"]},
            foreach=["alpha"],
            retries=2,
            timeout=300,
            entry_point="train",
            gives={"alpha": "${{ parameters.alphas }}", "data": "${{ steps.prepare.outputs.data }}"},
            outputs={"model": "model.txt"},
        ),
        PlannedStep(
            name="report",
            needs={"train": ["metrics.error"]},
            when="${{ parameters.report }}",
            entry_point="report",
            gives={"error": "${{ best(steps.train, 'error', 'min').metrics.error }}"},
        ),
    ]


def test_a_search_is_told_and_what_is_taken_of_its_best(tmp_path: Path) -> None:
    tune, ship = read_graph(graph_text(plan(tmp_path, SEARCHED)))
    assert tune.searches == ["x"]
    assert tune.is_many
    assert ship.needs == {"tune": ["outputs.model"]}


def test_a_graph_that_is_longer_than_a_tag_is_no_tag(tmp_path: Path) -> None:
    steps = "\n".join(f"      step-{number:03}: {{entry_point: go}}" for number in range(400))
    made = plan(tmp_path, f'entry_points: {{go: {{command: "go"}}}}\nworkflows:\n  main:\n    steps:\n{steps}\n')
    assert GRAPH not in graph_tag(made)
    assert len(json.loads(graph_text(made))["steps"]) == 400


@pytest.mark.parametrize(
    "step",
    [
        '{"name": 1}',
        '{"name": "a", "needs": 3}',
        '{"name": "a", "needs": {"b": 3}}',
        '{"name": "a", "foreach": "x"}',
        '{"name": "a", "gives": {"x": 1}}',
        '{"name": "a", "retries": "2"}',
        '{"name": "a", "outputs": []}',
        "[]",
    ],
)
def test_a_graph_of_another_form_is_a_wrong_value(step: str) -> None:
    with pytest.raises(ValueError, match="not a recorded graph"):
        read_graph(f'{{"schema": 1, "steps": [{step}]}}')


def test_what_a_later_version_tells_besides_is_left_out() -> None:
    assert read_graph('{"schema": 1, "steps": [{"name": "a", "colour": "red"}]}') == [PlannedStep(name="a")]
