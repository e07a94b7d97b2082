"""From a project and what the user typed to a plan: what is chosen, bound, refused; and the commands of a dry run."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import CHAIN, plan

from toolkit.errors import (
    InvalidParameter,
    MissingParameters,
    ProjectError,
    UnknownEntryPoint,
    UnknownWorkflow,
)
from toolkit.flows.plan import dry_run

BOTH = """
entry_points:
  main: {command: "echo entry point"}
  other: {command: "echo other"}
workflows:
  main: {steps: {other: {}}}
  night: {steps: {main: {}, other: {needs: [main]}}}
"""
ALONE = """
entry_points:
  main:
    parameters:
      rate: {type: float, default: 1e-1}
      name: {type: string, default: "a b"}
      data: {type: path, default: d.csv}
    command: "go --rate {rate} --name {name} --data {data}"
  need:
    parameters: {rate: float}
    command: "go {rate}"
"""


@pytest.fixture(autouse=True)
def data(tmp_path: Path) -> None:
    """The file that ALONE's default names."""
    (tmp_path / "d.csv").touch()


# -- what is chosen ----------------------------------------------------------------------------------


def test_the_workflow_main_comes_before_the_entry_point_main(tmp_path: Path) -> None:
    assert dry_run(plan(tmp_path, BOTH)) == ["echo other"]


def test_e_chooses_the_entry_point_of_the_same_name(tmp_path: Path) -> None:
    chosen = plan(tmp_path, BOTH, entry_point="main")
    assert chosen.single
    assert dry_run(chosen) == ["echo entry point"]


def test_w_chooses_a_workflow(tmp_path: Path) -> None:
    chosen = plan(tmp_path, BOTH, workflow="night")
    assert not chosen.single
    assert dry_run(chosen) == ["echo entry point", "echo other"]


def test_without_workflows_main_is_the_entry_point(tmp_path: Path) -> None:
    assert plan(tmp_path, ALONE).single


def test_a_script_that_is_not_declared_is_run_as_in_mlflow(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    assert dry_run(plan(tmp_path, ALONE, entry_point="train.py")) == ["python train.py"]


def test_an_entry_point_and_a_workflow_are_too_much(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="choose one of -e and -w"):
        plan(tmp_path, BOTH, entry_point="main", workflow="main")


def test_an_unknown_workflow_is_refused_with_a_guess(tmp_path: Path) -> None:
    with pytest.raises(UnknownWorkflow, match=r"'nigth'.*night"):
        plan(tmp_path, BOTH, workflow="nigth")


def test_an_unknown_entry_point_is_refused_with_a_guess(tmp_path: Path) -> None:
    with pytest.raises(UnknownEntryPoint, match=r"'othr'.*other"):
        plan(tmp_path, BOTH, entry_point="othr")


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("name: wine", {}, "wine"),
        ("name: wine", {"entry_point": "other"}, "wine: other"),
        ("name: wine", {"workflow": "night"}, "wine: night"),
        ("name: a/b & c%d<e>", {}, "a-b - c-d-e-"),
        ("", {}, "folder"),
    ],
)
def test_the_flow_is_named_after_the_project(tmp_path: Path, name: str, target: dict[str, str], expected: str) -> None:
    assert plan(tmp_path / "folder", name + BOTH, **target).flow_name == expected


# -- values ------------------------------------------------------------------------------------------


def test_a_default_is_written_as_it_stands_in_the_file(tmp_path: Path) -> None:
    (command,) = dry_run(plan(tmp_path, ALONE))
    assert command.startswith("go --rate 1e-1 --name 'a b'")


def test_given_values_win_and_what_is_not_declared_is_appended(tmp_path: Path) -> None:
    chosen = plan(tmp_path, ALONE, parameters={"rate": "0.10", "extra": "x y"})
    (command,) = dry_run(chosen)
    assert "--rate 0.10 " in command
    assert command.endswith(" --extra 'x y'")
    assert chosen.extra == {"extra": "x y"}


def test_a_given_path_is_the_callers_not_the_projects(tmp_path: Path) -> None:
    (tmp_path / "caller").mkdir()
    (tmp_path / "caller" / "d.csv").touch()
    (tmp_path / "project").mkdir()
    (command,) = dry_run(plan(tmp_path / "project", ALONE, parameters={"data": "d.csv"}, caller=tmp_path / "caller"))
    assert command.endswith(f"--data {tmp_path}/caller/d.csv")


def test_a_missing_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingParameters, match="rate") as caught:
        plan(tmp_path, ALONE, entry_point="need")
    assert caught.value.exit_code == 2


def test_a_value_of_the_wrong_type_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match=r"MLproject:\d+.*'rate' is 'fast'.*number"):
        plan(tmp_path, ALONE, entry_point="need", parameters={"rate": "fast"})


def test_a_workflow_takes_no_values_that_it_does_not_declare(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match=r"no parameter 'alpha'.*alphas"):
        plan(tmp_path, CHAIN, parameters={"alpha": "1"})


def test_a_workflows_values_get_their_types(tmp_path: Path) -> None:
    chosen = plan(tmp_path, CHAIN, parameters={"alphas": "[1, 2.5]", "report": "no"})
    assert chosen.parameters == {"alphas": [1, 2.5], "report": False}
    assert chosen.given == {"alphas", "report"}


# -- what cannot be run ------------------------------------------------------------------------------


def test_what_cannot_be_run_can_be_shown(tmp_path: Path) -> None:
    text = "name: x\ndocker_env: {image: x}\nentry_points: {main: {parameters: {a: float}, command: 'go {a}'}}"
    assert dry_run(plan(tmp_path, text, parameters={"a": "1"})) == ["go 1"]
    assert plan(tmp_path, text, to_show=True).parameters == {}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("{a: {entry_point: main, needs: [b]}, b: {entry_point: main, needs: [a]}}", "cycle|circle"),
        ("{a: {entry_point: mian}}", "'mian'"),
        ("{a: {entry_point: main, needs: [z]}}", "'z'"),
        ("{a: {entry_point: main}, b: {entry_point: main, when: '${{ steps.a.outputs.no }}'}}", "'no'"),
        ("{a: {entry_point: main, parameters: {nope: 1}}}", "nope"),
    ],
)
def test_a_workflow_that_cannot_run_is_refused_before_anything_does(tmp_path: Path, steps: str, message: str) -> None:
    text = f"entry_points:\n  main: {{command: 'true'}}\nworkflows:\n  main:\n    steps: {steps}\n"
    with pytest.raises(ProjectError, match=message) as caught:
        plan(tmp_path, text)
    assert caught.value.mark is not None
    assert caught.value.mark.line == 5


# -- the dry run -------------------------------------------------------------------------------------


def test_a_dry_run_shows_what_only_a_step_can_tell_as_its_expression(tmp_path: Path) -> None:
    commands = dry_run(plan(tmp_path, CHAIN))
    assert commands == [
        "make 3",
        "train '${{ steps.prepare.outputs.data }}' 0.1",
        "train '${{ steps.prepare.outputs.data }}' 0.5",
        "report '${{ best(steps.train, '\"'\"'error'\"'\"', '\"'\"'min'\"'\"').metrics.error }}'",
    ]


def test_a_dry_run_leaves_out_what_is_known_not_to_run(tmp_path: Path) -> None:
    commands = dry_run(plan(tmp_path, CHAIN, parameters={"report": "no", "alphas": "[]"}))
    assert commands == ["make 3"]


def test_a_dry_run_multiplies_the_lists_of_a_foreach(tmp_path: Path) -> None:
    text = """
entry_points:
  fit:
    parameters: {a: int, b: string}
    command: "fit {a} {b}"
workflows:
  main:
    parameters: {numbers: {type: list, default: [1, 2]}}
    steps:
      fit: {foreach: {a: "${{ parameters.numbers }}", b: [x, y]}}
"""
    assert dry_run(plan(tmp_path, text)) == ["fit 1 x", "fit 1 y", "fit 2 x", "fit 2 y"]


def test_foreach_wants_a_list(tmp_path: Path) -> None:
    text = """
entry_points: {fit: {parameters: {a: int}, command: "fit {a}"}}
workflows: {main: {parameters: {n: {default: 5}}, steps: {fit: {foreach: {a: "${{ parameters.n }}"}}}}}
"""
    with pytest.raises(ProjectError, match="wanted a list"):
        dry_run(plan(tmp_path, text))


def test_a_steps_environment_comes_before_the_projects(tmp_path: Path) -> None:
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text("python: '3.11'\n")
    text = """
python_env: one.yaml
entry_points: {a: {command: "true"}}
workflows: {main: {steps: {a: {}, b: {entry_point: a, env: two.yaml}}}}
"""
    chosen = plan(tmp_path, text)
    paths = [ref.path for step in chosen.workflow.steps.values() if (ref := chosen.environment(step))]
    assert paths == ["one.yaml", "two.yaml"]
