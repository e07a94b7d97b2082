"""Rendering: as MLflow where a value is plain or unquoted; the exact value to the program everywhere."""

import subprocess
import textwrap
from pathlib import Path

import pytest

from toolkit.errors import InvalidParameter, MissingParameters, ProjectError
from toolkit.spec.binding import bind
from toolkit.spec.command import command_argv, render
from toolkit.spec.expression import OutputRef
from toolkit.spec.project import EntryPoint, Parameter
from toolkit.spec.reader import parse_project


def entry(command: str, *names: str, strict: bool = False) -> EntryPoint:
    return EntryPoint(
        name="main", command=command, parameters={name: Parameter(name=name) for name in names}, strict=strict
    )


def from_file(text: str) -> EntryPoint:
    return parse_project(textwrap.dedent(text), directory=Path("/nowhere")).entry_points["main"]


def bash(command: str) -> str:
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        ("abc", "abc"),
        ("a/b.csv", "a/b.csv"),
        ("k=v", "k=v"),
        ("a b", "'a b'"),
        ("", "''"),
        ("it's", "'it'\"'\"'s'"),
        (True, "True"),
        (["a", "b"], "'['\"'\"'a'\"'\"', '\"'\"'b'\"'\"']'"),
        ({"a": 1}, "'{'\"'\"'a'\"'\"': 1}'"),
        (OutputRef(run_id="r1", path="model"), "runs:/r1/model"),
    ],
)
def test_a_value_is_its_text_quoted(value: object, text: str) -> None:
    assert render(entry("run {x}", "x"), {"x": value}) == f"run {text}"


@pytest.mark.parametrize(
    ("default", "text"), [("1e-1", "1e-1"), (".0", "0.0"), ("0.10", "0.1"), ("1_000", "1000"), ("012", "10")]
)
def test_a_default_is_rendered_as_yaml_reads_it(default: str, text: str) -> None:
    point = from_file(f"entry_points: {{main: {{parameters: {{x: {{default: {default}}}}}, command: 'run {{x}}'}}}}")
    binding = bind(point.parameters, {}, owner="main", typed=False)
    assert render(point, binding.values) == f"run {text}"


def test_braces_formats_and_conversions_are_those_of_str_format() -> None:
    assert (
        render(entry("awk '{{print $1}}' {x:>4}|{x!r}|{x!s:_<3}", "x"), {"x": "a"}) == "awk '{print $1}'    a|'a'|a__"
    )
    assert (
        render(entry("{batch-size} {a.b} {a b}", "batch-size", "a.b", "a b"), {"batch-size": 1, "a.b": 2, "a b": 3})
        == "1 2 3"
    )
    assert render(entry("{{{x}}}", "x"), {"x": "a"}) == "{a}"


def test_a_format_cannot_cut_the_quotes() -> None:
    assert render(entry("run {x:.3}", "x"), {"x": "a b; ls"}) == "run 'a b'"


def test_undeclared_values_are_appended_in_order() -> None:
    command = render(entry("run {x}", "x"), {"x": 1}, {"extra": "x y", "flag-like": "True", "a;b": "$(ls)"})
    assert command == "run 1 --extra 'x y' --flag-like True --'a;b' '$(ls)'"


def test_white_space_at_the_end_goes_before_anything_is_appended() -> None:
    assert render(entry("run \\\n  {x}\n", "x"), {"x": 1}, {"y": 2}) == "run \\\n  1 --y 2"


def test_a_line_continuation_at_the_end_goes_too() -> None:
    assert render(entry("run {x} \\\n  \\\n", "x"), {"x": 1}, {"y": 2}) == "run 1 --y 2"
    assert render(entry("run a\\ \n"), {}) == "run a\\ "
    assert render(entry("run a\\\\\n"), {}) == "run a\\\\"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("run # a comment", "ends in a comment"),
        ("cat <<EOF\nx\nEOF\n", "ends in a here-document"),
        ('echo "a', "a quote of the command is not closed"),
        ("echo 'a", "a quote of the command is not closed"),
        ("echo `a", "a quote of the command is not closed"),
        ("echo $(a", "a parenthesis of the command is not closed"),
        ("echo $((1", "a parenthesis of the command is not closed"),
        ("echo ${{a", "a quote of the command is not closed"),
        ("echo $(case a in a) b;; esac)", "'case' inside parentheses"),
    ],
)
def test_where_nothing_can_be_appended_that_is_said(command: str, why: str) -> None:
    with pytest.raises(ProjectError, match=r"'y' is no parameter of entry point 'main'.*declare it") as caught:
        render(entry(command), {}, {"y": 2})
    assert why in caught.value.message


def test_an_undeclared_placeholder_names_place_and_remedy() -> None:
    text = """\
    entry_points:
      main:
        parameters: {alpha: float}
        command: "python train.py {alpha}
                  --beta {beta}"
    """
    with pytest.raises(ProjectError) as caught:
        render(from_file(text), {"alpha": 1})
    assert str(caught.value) == (
        "MLproject:5:22: the command of 'main' has the placeholder {beta}, but no parameter of that name:"
        " declare it under parameters or write '{{beta}}'"
    )


def test_an_undeclared_placeholder_in_a_block_has_its_line() -> None:
    text = """\
    entry_points:
      main:
        parameters: {alpha: float}
        command: |
          python train.py \\
            --alpha {alfa}
    """
    with pytest.raises(ProjectError, match=r"^MLproject:6:17: .*did you mean 'alpha'\?"):
        render(from_file(text), {"alpha": 1})


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("a {} b", "has no name: write '{{}}'"),
        ("a {x b", "never closed: write '{{'"),
        ("a } b", "'}' stands alone"),
        ("{x} } b", "'}' stands alone"),
        ("a {x.real}", "reaches into a value"),
        ("a {x[0]}", "reaches into a value"),
        ("a {x!z}", "unknown conversion"),
        ("a {x:{y}}", "holds a brace inside a placeholder"),
        ("a {x:.2f}", "is no format for a text"),
        ("a {0}", "placeholder {0}, but no parameter of that name"),
    ],
)
def test_what_is_no_placeholder_is_refused(command: str, message: str) -> None:
    with pytest.raises(ProjectError) as caught:
        render(entry(command, "x"), {"x": "a"})
    assert message in caught.value.message


def test_a_placeholder_without_value_is_missing() -> None:
    with pytest.raises(MissingParameters, match="'x'"):
        render(entry("run {x}", "x"), {})


def test_a_nul_character_cannot_be_passed() -> None:
    with pytest.raises(InvalidParameter, match="'x' holds a NUL"):
        render(entry("run {x}", "x"), {"x": "a\0b"})
    with pytest.raises(InvalidParameter, match="'y' holds a NUL"):
        render(entry("run"), {}, {"y": "\0"})


def test_unused_parameters_are_not_in_the_command_and_placeholders_may_come_twice() -> None:
    assert render(entry("run {x} {x}", "x", "y"), {"x": 1, "y": 2}) == "run 1 1"


def test_echo_undoes_the_quoting_as_in_mlflow() -> None:
    command = render(entry("printf '<%s>' $(echo {x})", "x"), {"x": "a=1 b=2"})
    assert command == "printf '<%s>' $(echo 'a=1 b=2')"
    assert bash(command) == "<a=1><b=2>"


def test_escaped_quotes_around_a_placeholder_are_plain_characters() -> None:
    command = render(entry("printf %s main.steps=\\'{x}\\'", "x"), {"x": "all; ls"})
    assert command == "printf %s main.steps=\\''all; ls'\\'"
    assert bash(command) == "main.steps='all; ls'"


def test_strict_commands_fail_with_the_first_of_a_pipe() -> None:
    loose, strict = entry("false | true"), entry("false | true", strict=True)
    assert command_argv(loose, "false | true") == ["bash", "-c", "false | true"]
    assert command_argv(strict, "x") == ["bash", "-eu", "-o", "pipefail", "-c", "x"]
    assert subprocess.run(command_argv(loose, "false | true")).returncode == 0
    assert subprocess.run(command_argv(strict, "false | true")).returncode == 1
    assert subprocess.run(command_argv(strict, "false; true")).returncode == 1
    assert subprocess.run(command_argv(strict, "echo $nothing"), stderr=subprocess.DEVNULL).returncode != 0
