"""Pictures of a workflow."""

from __future__ import annotations

import json
from pathlib import Path

from projects import CHAIN, plan

from toolkit.flows.graph import as_json, as_mermaid, as_tree

DIAMOND = """
entry_points: {go: {command: "go"}}
workflows:
  main:
    steps:
      a: {entry_point: go}
      b: {entry_point: go, needs: [a]}
      c: {entry_point: go, needs: [a]}
      d: {entry_point: go, needs: [b, c]}
      alone: {entry_point: go}
"""


def test_the_tree_shows_each_step_once_below_what_it_needs(tmp_path: Path) -> None:
    assert as_tree(plan(tmp_path, CHAIN)).splitlines() == [
        "wine (alphas=[0.1, 0.5], report=True)",
        "└── prepare",
        "    └── train  [for each alpha in parameters.alphas; 2 retries; at most 300 s]",
        "        └── report  [when parameters.report]",
    ]


def test_the_tree_of_a_diamond_names_the_other_edge(tmp_path: Path) -> None:
    lines = as_tree(plan(tmp_path / "diamond", DIAMOND)).splitlines()
    assert lines == [
        "diamond",
        "├── a  [runs go]",
        "│   ├── b  [runs go]",
        "│   └── c  [runs go]",
        "│       └── d  [runs go]  (also needs b)",
        "└── alone  [runs go]",
    ]


def test_mermaid_has_each_step_and_each_edge(tmp_path: Path) -> None:
    lines = as_mermaid(plan(tmp_path, CHAIN)).splitlines()
    assert lines == [
        "flowchart TD",
        '    s0["prepare"]',
        '    s1[["train  [for each alpha in parameters.alphas; 2 retries; at most 300 s]"]]',
        '    s2["report  [when parameters.report]"]',
        "    s0 --> s1",
        "    s1 -.-> s2",
    ]


def test_mermaid_keeps_quotes_apart_from_its_own(tmp_path: Path) -> None:
    text = DIAMOND.replace("needs: [b, c]", "needs: [b, c], when: '${{ run.name == \"x\" }}'")
    assert "run.name == #quot;x#quot;" in as_mermaid(plan(tmp_path, text))


def test_json_is_plain_and_says_all(tmp_path: Path) -> None:
    graph = json.loads(json.dumps(as_json(plan(tmp_path, CHAIN))))
    assert graph["schema"] == 1
    assert (graph["flow"], graph["workflow"]) == ("wine", "main")
    assert graph["order"] == [["prepare"], ["train"], ["report"]]
    assert graph["parameters"]["alphas"] == {"type": "list", "value": [0.1, 0.5], "required": False}
    train = graph["steps"][1]
    assert (train["name"], train["needs"], train["retries"], train["timeout"]) == ("train", ["prepare"], 2, 300)
    assert train["foreach"] == {"alpha": "${{ parameters.alphas }}"}
    assert (train["outputs"], train["metrics"]) == ({"model": "model.txt"}, ["metrics.json"])


def test_an_entry_point_alone_is_a_graph_of_one(tmp_path: Path) -> None:
    single = plan(tmp_path / "single", "entry_points: {main: {parameters: {x: {default: 1}}, command: 'go {x}'}}")
    assert as_tree(single).splitlines() == ["single (x=1)", "└── main"]
    assert as_json(single)["workflow"] is None
