"""A plan as a Prefect flow: its signature, its form in Prefect's UI, and the values that come back from it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.callables import parameter_schema
from projects import CHAIN, plan

from toolkit.flows.compile import compile_flow, flow_arguments, flow_parameter_names
from toolkit.flows.plan import Plan

NAMES = """
entry_points:
  main:
    parameters: {batch-size: {type: int, default: 8}, class: {default: a}, batch_size: {default: b}, 2nd: {default: c}}
    command: "go {batch-size} {class} {batch_size} {2nd}"
"""
NUMBERS = """
entry_points:
  main:
    parameters: {rate: {type: float, default: 1e-1}, count: {type: int, default: 010}, flag: {type: bool, default: yes}}
    command: "go {rate} {count} {flag}"
"""


def received(chosen: Plan, **changes: object) -> Mapping[str, object]:
    """Return what the flow's body gets when the flow is called with the plan's values, some of them changed."""
    got: list[Mapping[str, object]] = []
    flow = compile_flow(chosen, got.append, max_parallel=2)
    flow.fn(**(flow.validate_parameters({**flow_arguments(chosen), **changes})))
    return got[0]


def compiled(chosen: Plan) -> Flow[..., Any]:
    return compile_flow(chosen, lambda _: None, max_parallel=2)


def test_the_parameters_are_the_flows_own_typed(tmp_path: Path) -> None:
    signature = inspect.signature(compiled(plan(tmp_path, CHAIN)).fn)
    found = {name: (item.annotation, item.default) for name, item in signature.parameters.items()}
    assert found == {"alphas": (list, [0.1, 0.5]), "report": (bool, True)}


def test_prefects_form_asks_for_what_has_no_default(tmp_path: Path) -> None:
    text = "entry_points: {main: {parameters: {n: int, rate: {type: float, default: 0.5}, s: string}, command: 'go'}}"
    schema = parameter_schema(compiled(plan(tmp_path, text, parameters={"n": "1", "s": "x"}))).model_dump()
    assert schema["required"] == ["n", "s"]
    kinds = {name: item.get("type") for name, item in schema["properties"].items()}
    assert kinds == {"n": "integer", "rate": "number", "s": "string"}
    assert schema["properties"]["rate"]["default"] == 0.5


def test_names_that_python_does_not_allow_become_names_that_it_does(tmp_path: Path) -> None:
    assert flow_parameter_names(plan(tmp_path, NAMES)) == {
        "batch-size": "batch_size",
        "class": "class_",
        "batch_size": "batch_size_",
        "2nd": "p_2nd",
    }


def test_values_come_back_under_the_projects_names(tmp_path: Path) -> None:
    got = received(plan(tmp_path, NAMES, parameters={"batch-size": "16"}))
    assert got == {"batch-size": "16", "class": "a", "batch_size": "b", "2nd": "c"}


def test_numbers_are_kept_as_they_were_written(tmp_path: Path) -> None:
    chosen = plan(tmp_path, NUMBERS, parameters={"rate": "1.50"})
    assert str(received(chosen)["rate"]) == "1.50"
    assert str(received(plan(tmp_path, NUMBERS))["rate"]) == "1e-1"


def test_a_value_that_was_changed_in_prefect_wins(tmp_path: Path) -> None:
    assert received(plan(tmp_path, NUMBERS), rate=0.25)["rate"] == 0.25


def test_the_flow_gets_real_numbers(tmp_path: Path) -> None:
    arguments = flow_arguments(plan(tmp_path, NUMBERS, parameters={"rate": "2e-3", "flag": "no"}))
    assert arguments["rate"] == 0.002
    assert arguments["flag"] is False
    assert isinstance(arguments["count"], int)


@pytest.mark.parametrize(("value", "valid"), [(0.5, True), ("fast", False)])
def test_prefect_refuses_a_value_of_another_type(tmp_path: Path, value: object, valid: bool) -> None:
    chosen = plan(tmp_path, NUMBERS)
    if valid:
        assert received(chosen, rate=value)["rate"] == value
    else:
        with pytest.raises(Exception, match="rate"):
            received(chosen, rate=value)


def test_the_flow_carries_the_projects_words(tmp_path: Path) -> None:
    text = CHAIN.replace(
        "  main:\n    parameters: {alphas", "  main:\n    description: Fit wine.\n    parameters: {alphas"
    )
    flow = compiled(plan(tmp_path, text))
    assert (flow.name, flow.description) == ("wine", "Fit wine.")
    assert flow.version


@pytest.mark.parametrize("name", ["1st wine", "größe", "a-b: c", "class"])
def test_any_name_of_a_project_can_be_compiled(tmp_path: Path, name: str) -> None:
    assert compiled(plan(tmp_path, f"name: '{name}'\n{CHAIN.replace('name: wine', '')}")).name == name


def test_each_call_makes_a_flow_of_its_own(tmp_path: Path) -> None:
    chosen = plan(tmp_path, CHAIN)
    assert compiled(chosen) is not compiled(chosen)
