"""Parameters and given values, and the texts that values are given in."""

from pathlib import Path

import pytest

from toolkit.errors import InvalidParameter, InvalidValue, Mark, MissingParameters, ProjectError
from toolkit.spec.binding import bind, check_types, parse_assignments, parse_param_file
from toolkit.spec.expression import OutputRef
from toolkit.spec.project import Parameter, Value

MARK = Mark(file="MLproject", line=7, column=3)
REF = OutputRef(run_id="r", path="model")


def declared(*parameters: Parameter) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in parameters}


def parameter(name: str, kind: str = "string", default: Value = None) -> Parameter:
    return Parameter(name=name, type=kind, default=default, mark=MARK)


def test_given_values_go_before_defaults_in_the_order_of_the_file() -> None:
    parameters = declared(parameter("a"), parameter("b", default=2), parameter("c", default=""))
    binding = bind(parameters, {"z": 1, "c": "x", "a": "1", "y": None}, owner="main", typed=False)
    assert list(binding.values.items()) == [("a", "1"), ("b", 2), ("c", "x")]
    assert binding.extra == {"z": 1}
    assert binding.given == {"a", "c"}


def test_an_empty_text_and_the_text_none_are_values_and_nothing_is_not() -> None:
    parameters = declared(parameter("a", default=""), parameter("b", default="None"), parameter("c", default=0))
    assert bind(parameters, {"c": None}, owner="main", typed=False).values == {"a": "", "b": "None", "c": 0}


def test_all_missing_parameters_are_named() -> None:
    parameters = declared(parameter("x", default=1), parameter("a"), parameter("b"))
    with pytest.raises(MissingParameters) as caught:
        bind(parameters, {"b": None}, owner="entry point 'main'", typed=False)
    assert str(caught.value) == (
        "MLproject:7:3: No value given for missing parameters: 'a', 'b'; entry point 'main' has no default for them:"
        " give -P a=… -P b=…"
    )
    with pytest.raises(MissingParameters, match=r"missing parameters: 'a'; .* for it: give -P a=…"):
        bind(parameters, {"b": 1}, owner="entry point 'main'", typed=False)


def test_undeclared_values_can_be_refused() -> None:
    with pytest.raises(InvalidParameter, match=r"workflow 'w' has no parameter 'alfa': did you mean 'alpha'\?"):
        bind(declared(parameter("alpha")), {"alfa": 1}, owner="workflow 'w'", typed=True, allow_undeclared=False)
    with pytest.raises(InvalidParameter, match=r"workflow 'w' has no parameter 'x': it declares none"):
        bind({}, {"x": 1}, owner="workflow 'w'", typed=True, allow_undeclared=False)


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("float", "1e-1", 0.1), ("float", 1, 1.0), ("float", " 2 ", 2.0), ("float", "inf", float("inf")),
        ("int", "12", 12), ("int", 5.0, 5), ("int", "-3", -3),
        ("bool", "true", True), ("bool", "No", False), ("bool", 1, True), ("bool", "0", False), ("bool", False, False),
        ("str", 5, "5"), ("string", True, "True"), ("str", REF, REF), ("str", "x", "x"),
        ("list", "[0.1, 1]", [0.1, 1]), ("list", "[1e-1]", [0.1]), ("list", "[a, b]", ["a", "b"]),
        ("list", (1, 2), [1, 2]),
        ("dict", '{"a": 1}', {"a": 1}), ("mapping", "{a: 1}", {"a": 1}), ("dict", {"a": 1}, {"a": 1}),
        ("path", "data", "data"), ("path", Path("data"), "data"), ("path", REF, REF), ("path", [REF], [REF]),
        ("uri", "s3://b/k", "s3://b/k"), ("uri", REF, REF), ("whatever", object, object),
    ],
)  # fmt: skip
def test_typed_values_are_converted(kind: str, given: object, value: object) -> None:
    bound = bind(declared(parameter("p", kind)), {"p": given}, owner="main", typed=True).values["p"]
    assert bound == value
    assert type(bound) is type(value)


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        ("float", "v 0", "'v 0', but it wants a number"),
        ("float", True, "True, but it wants a number"),
        ("float", REF, "runs:/r/model, but it wants a number"),
        ("int", "1.5", "'1.5', but it wants a whole number"),
        ("int", 1.5, "1.5, but it wants a whole number"),
        ("int", "9" * 5000, "…, but it wants a whole number"),
        ("int", False, "False, but it wants a whole number"),
        ("bool", "maybe", "'maybe', but it wants true or false (also yes, no, 1, 0)"),
        ("bool", 2, "2, but it wants true or false"),
        ("bool", [1], "[1], but it wants true or false"),
        ("str", ["a"], "['a'], but it wants a text"),
        ("list", "0.1, 1", "'0.1, 1', but it wants a list such as [0.1, 1]"),
        ("list", "[1", "'[1', but it wants a list"),
        ("list", "", "'', but it wants a list"),
        ("list", 5, "5, but it wants a list"),
        ("dict", "[1]", "'[1]', but it wants a mapping such as {a: 1}"),
        ("path", 5, "5, but it wants a path"),
        ("uri", {"a": 1}, "{'a': 1}, but it wants a URI"),
    ],
)
def test_what_does_not_have_the_type_is_refused(kind: str, given: object, wanted: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        bind(declared(parameter("p", kind)), {"p": given}, owner="main", typed=True)
    assert str(caught.value).startswith("MLproject:7:3: parameter 'p' is ")
    assert wanted in str(caught.value)


def test_plain_files_pass_everything_until_a_run_starts() -> None:
    parameters = declared(parameter("a", "float"), parameter("b", "int", "auto"), parameter("c", "list"))
    values = bind(parameters, {"a": "v 0", "c": 5}, owner="main", typed=False).values
    assert values == {"a": "v 0", "b": "auto", "c": 5}
    with pytest.raises(InvalidParameter, match=r"^MLproject:7:3: parameter 'a' is 'v 0', but it wants a number$"):
        check_types(parameters, values)
    check_types(parameters, {"a": "0.5", "b": "auto", "c": 5, "undeclared": "x"})


def test_assignments_are_split_at_the_first_equals_sign() -> None:
    assert parse_assignments(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["alpha"], "-P 'alpha' has no '=': write -P alpha=VALUE"),
        (["=1"], "-P '=1' has no name: write -P NAME=1"),
        (["a=1", "a=2"], "-P 'a' is given twice: '1' and '2'; give it once"),
    ],
)
def test_a_bad_assignment_is_a_usage_error(texts: list[str], message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_assignments(texts)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("alpha: 0.5\nlayers: [1, 2]\n", {"alpha": 0.5, "layers": [1, 2]}),
        ('{"alpha": 1e-1, "b": null}', {"alpha": 0.1, "b": None}),
        ("", {}),
        ("yes: 1", {"yes": 1}),
    ],
)
def test_a_parameter_file_is_a_mapping(tmp_path: Path, text: str, values: object) -> None:
    (tmp_path / "p").write_text(text)
    assert parse_param_file(tmp_path / "p") == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "p:1:1: a parameter file must be a mapping (name: value), not a list"),
        ("[1]", "must be a mapping"),
        ("a: 1\nb: 2\na: 3\n", "p:3:1: 'a' stands there twice: give it once"),
    ],
)
def test_a_parameter_file_of_another_shape_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p").write_text(text)
    with pytest.raises(InvalidValue) as caught:
        parse_param_file(tmp_path / "p")
    assert message in str(caught.value)


def test_a_parameter_file_must_be_there_and_be_yaml(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="there is no parameter file"):
        parse_param_file(tmp_path / "p")
    (tmp_path / "p").write_text("a: [1\n")
    with pytest.raises(ProjectError, match="not valid YAML"):
        parse_param_file(tmp_path / "p")
