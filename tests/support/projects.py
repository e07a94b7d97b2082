"""Projects and plans for the tests of flows."""

from __future__ import annotations

from pathlib import Path

from toolkit.flows.plan import Plan, Target, make_plan
from toolkit.flows.source import fetch

CHAIN = """
name: wine
entry_points:
  prepare:
    parameters: {count: {type: int, default: 3}}
    command: "make {count}"
    outputs: {data: data.txt}
  train:
    parameters: {data: path, alpha: {type: float, default: 0.5}}
    command: "train {data} {alpha}"
    outputs: {model: model.txt}
    metrics: metrics.json
  report:
    parameters: {error: float}
    command: "report {error}"
workflows:
  main:
    parameters: {alphas: {type: list, default: [0.1, 0.5]}, report: {type: bool, default: true}}
    steps:
      prepare: {}
      train:
        foreach: {alpha: "${{ parameters.alphas }}"}
        parameters: {data: "${{ steps.prepare.outputs.data }}"}
        retries: 2
        timeout: 5m
      report:
        when: "${{ parameters.report }}"
        parameters: {error: "${{ best(steps.train, 'error', 'min').metrics.error }}"}
"""
"""A chain of three steps: one, one for each value of a list, one on a condition."""


def project(folder: Path, text: str) -> Path:
    """Write a project."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MLproject").write_text(text)
    return folder


def plan(folder: Path, text: str, **target: object) -> Plan:
    """Write a project and plan what ``target`` (fields of `Target`) asks for."""
    project(folder, text)
    return make_plan(fetch(str(folder), caller=folder), Target(**{"caller": folder, **target}))  # type: ignore[arg-type]
