"""Expressions: what they can do, and that they can do nothing else."""

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import ExpressionError, Mark
from toolkit.spec.expression import OutputRef, RunFacts, Scope, StepResult, Template
from toolkit.spec.function import MAX_SIZE
from toolkit.spec.project import Step
from toolkit.spec.workflow import dependencies


def result(run_id: str, status: str = "FINISHED", **metrics: float) -> StepResult:
    return StepResult(
        name="train",
        run_id=run_id,
        status=status,
        parameters={"alpha": run_id},
        metrics=metrics,
        outputs={"model": OutputRef(run_id=run_id, path="model", sha256="00")},
    )


SCOPE = Scope(
    parameters={"alphas": [0.1, 0.5], "n": 3, "name": "wine", "on": True, "deep": {"a": {"b-c": [1, 2]}, 1: "one"}},
    steps={
        "prepare": StepResult(
            name="prepare", run_id="p", status="FINISHED", outputs={"data": OutputRef(run_id="p", path="data.parquet")}
        ),
        "train": (
            result("r1", rmse=2.0, r2=math.nan, odd=math.nan),
            result("r2", rmse=1.0, r2=0.5),
            result("r3", rmse=math.nan, mae=4.0),
            result("r4", "FAILED", rmse=0.0),
            result("r5", rmse=1.0),
        ),
        "a-b": result("dash", rmse=7.0),
        "class": result("keyword"),
        "none": (),
    },
    run=RunFacts(id="R", name="brave-owl", experiment="wine"),
)


def evaluate(text: str) -> object:
    return Template(source="${{" + text + "}}").evaluate(SCOPE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("parameters.n", 3), ("parameters['n']", 3), ("parameters.deep.a['b-c'][-1]", 2), ("parameters.deep[1]", "one"),
        ("parameters.alphas[1:]", [0.5]), ("parameters.alphas[::-1]", [0.5, 0.1]), ("parameters", SCOPE.parameters),
        ("run.id + '/' + run.name + run.experiment", "R/brave-owlwine"),
        ("steps.prepare.outputs.data", OutputRef(run_id="p", path="data.parquet")),
        ("steps.prepare.outputs.data.uri", "runs:/p/data.parquet"), ("steps.prepare['status']", "FINISHED"),
        ("steps.prepare.outputs.data.path", "data.parquet"),
        ("steps['a-b'].metrics.rmse", 7.0), ("steps['class'].run_id", "keyword"),
        ("len(steps.train)", 5), ("steps.train[1].run_id", "r2"),
        ("steps.train.run_id", ["r1", "r2", "r3", "r4", "r5"]),
        ("steps.train.outputs.model[0]", OutputRef(run_id="r1", path="model", sha256="00")),
        ("steps.train[:2].parameters.alpha", ["r1", "r2"]), ("len(steps.none)", 0), ("steps.none.outputs.model", []),
        ("best(steps.train, 'rmse', 'min').run_id", "r2"),
        ("best(steps.train, metric='rmse', mode='max').run_id", "r1"),
        ("best(steps.train, 'r2', 'min').metrics.r2", 0.5), ("best(steps['a-b'], 'rmse', 'max').run_id", "dash"),
        ("best([steps['a-b'], steps.train], 'rmse', 'max').name", "train"),
        ("1 + 2 * 3 - 4 / 2", 5.0), ("7 // 2 + 7 % 4 + 2 ** 3", 14), ("-parameters.n + +1", -2), ("2 ** 0.5", 2**0.5),
        ("'a' * 3 + 'b'", "aaab"), ("2 * [1]", [1, 1]), ("[1] + [2] * 2", [1, 2, 2]), ("'a' * -1", ""),
        ("1 < 2 <= 2 != 3", True), ("1 < 2 > 3", False), ("'a' in 'abc' and 1 not in [2]", True), ("not None", True),
        ("None is None and 1 is not None", True), ("3 == 3.0 or boom", True), ("0 or 'x'", "x"), ("'' and 1", ""),
        ("'yes' if parameters.on else 'no'", "yes"), ("'yes' if parameters.n > 5 else 'no'", "no"),
        ("{'a': {'b': 1}}", {"a": {"b": 1}}), ("(1, 2)", [1, 2]), ("'}}'", "}}"), ("'it\\'s }}'", "it's }}"),
        ("min(3, 1, 2)", 1), ("max([3, 1])", 3), ("sum([1, 2.5])", 3.5), ("sorted([2, 1], reverse=True)", [2, 1]),
        ("abs(-2)", 2), ("round(2.567, 1)", 2.6), ("round(2.5, ndigits=0)", 2.0), ("round(2.6)", 3), ("int('12')", 12),
        ("float('1e-1')", 0.1), ("str(0.5) + str([1])", "0.5[1]"),
        ("str(steps.prepare.outputs.data)", "runs:/p/data.parquet"),
        ("range(1, 4)", [1, 2, 3]), ("range(3)", [0, 1, 2]), ("zip([1, 2], ['a', 'b'])", [[1, "a"], [2, "b"]]),
        ("list(parameters.deep)", ["a", 1]), ("list((1,))", [1]), ("len('abc') + len({'a': 1})", 4),
        ("\n  parameters.n\n  + 1\n", 4),
    ],
)  # fmt: skip
def test_an_expression_has_the_value_and_its_type(text: str, value: object) -> None:
    found = evaluate(text.replace("boom", "parameters.n"))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("a ${{ parameters.n }}/${{ parameters.name }} b", "a 3/wine b"),
        ("${{ parameters.n }}${{ parameters.n }}", "33"),
        ("${{ steps.prepare.outputs.data }}/part", "runs:/p/data.parquet/part"),
        ("  ${{ parameters.n }}\n", 3),
        ("$${{ parameters.n }}", "${{ parameters.n }}"),
        ("$$${{ 1 }} ${{ 1 }} $${{", "$${{ 1 }} 1 ${{"),
        ("plain {x} ${y} }}", "plain {x} ${y} }}"),
        (["${{ parameters.n }}", {"a": "${{ parameters.alphas }}", "b": 1}, None, 0.5], [3, {"a": [0.1, 0.5],
        "b": 1}, None, 0.5]),
        ("", ""),
    ],
)  # fmt: skip
def test_expressions_may_stand_in_texts_lists_and_mappings(source: object, value: object) -> None:
    assert Template(source=source).evaluate(SCOPE) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parameters.m", "parameters has no 'm': there are 'alphas', 'n', "),
        ("parameters.xyz", "parameters has no 'xyz': there are 'alphas', 'n', 'name', 'on', 'deep'"),
        ("parameters[2]", "parameters has no 2"),
        ("parameters[[1]]", "parameters has no [1]"),
        ("parameters.n.real", "parameters.n is a number: it has no 'real'"),
        ("parameters.name.upper", "parameters.name is a text: it has no 'upper'"),
        ("parameters.alphas.append", "parameters.alphas is a list: it has no 'append'"),
        ("parameters.alphas[2]", "parameters.alphas has 2 items: no item 2"),
        ("parameters.alphas['a']", "parameters.alphas is a list: it has no 'a'"),
        ("parameters.name[0]", "parameters.name is a text: it has no 0"),
        ("parameters.name[0:1]", "parameters.name is a text: only a list has parts"),
        ("parameters.alphas['a':]", "a part of a list is from one whole number to another, not a text"),
        ("parameters.alphas[::0]", "slice step cannot be zero"),
        ("steps.nothing.outputs", "steps has no 'nothing': there are 'prepare'"),
        ("steps.prepare.metrics.rmse", "steps.prepare.metrics has no 'rmse': there are none"),
        ("steps.train.metrics.rmes", "steps.train.metrics has no 'rmes': did you mean 'rmse'?"),
        ("steps.prepare.outputs.dat", "steps.prepare.outputs has no 'dat': did you mean 'data'?"),
        ("steps.prepare.outputs.data.open", "steps.prepare.outputs.data has no 'open'"),
        ("run.status", "run has no 'status'"),
        ("best(steps.train, 'acc', 'max')", "'train' logged no metric 'acc'; there are 'mae', 'odd', 'r2', 'rmse'"),
        ("best(steps.prepare, 'acc', 'max')", "'prepare' logged no metric 'acc'; it logged none"),
        ("best(steps.train, 'odd', 'max')", "metric 'odd' of 'train' is NaN everywhere"),
        ("best(steps.none, 'acc', 'max')", "nothing to choose from"),
        ("best(steps.train, 'rmse', 'least')", "best() wants 'min' or 'max' as its third argument, not 'least'"),
        ("best(steps.train, 1, 'min')", "best() wants a metric's name"),
        ("best(1, 'rmse', 'min')", "best() wants a step as its first argument, not a number"),
        ("best(steps.train)", "best() is called with 1 values"),
        ("steps.prepare", "the result is the result of a step, not a value: go on with .outputs.NAME"),
        ("[steps.train]", "the result is the result of a step, not a value"),
        ("{'a': steps.train}", "the result is the result of a step, not a value"),
        ("str(steps.prepare)", "str() cannot show the result of a step"),
        ("1 / 0", "1 / 0: division by zero"),
        ("1 + 'a'", "1 + 'a': not possible with a number and a text"),
        ("'%s' % 1", "not possible with a text and a number"),
        ("-'a'", "'a' is a text, not a number"),
        ("1 < 'a'", "1 < 'a': '<' not supported between"),
        ("1 in 2", "1 in 2: argument of type 'int' is not iterable"),
        ("{[1]: 2}", "unhashable"),
        ("{**parameters}", "'**' is not allowed in an expression"),
        ("sorted([1, 'a'])", "not supported between"),
        ("sum(['a'])", "sum() wants a number, not a text"),
        ("len(1)", "len() wants a list, a mapping or a text, not a number"),
        ("list(1)", "list() wants a list, not a number"),
        ("range('a')", "range() wants a whole number, not a text"),
        ("min([])", "min() of an empty list"),
        ("int([1])", "int() wants a number or a text, not a list"),
        ("int('x')", "invalid literal for int()"),
        ("float(None)", "float() wants a number or a text, not nothing"),
        ("(-8) ** 0.5", "the result of ** is not a real number"),
    ],
)
def test_what_has_no_value_says_why_and_what_there_is(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text)
    assert message in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "9 ** 9 ** 9", "2 ** 5000", "10 ** -999999", "1e308 * 10 ** 400", "'a' * 10 ** 9", "[0] * 10 ** 9",
        "10 ** 9 * 'a'",
        "[[0] * 9999] * 9999", "range(10 ** 9)", "range(0, 10 ** 18, 1)", "round(1, -10 ** 9)",
        "'a' * 99999 + 'a' * 99999",
        "str([[['a' * 90] * 30] * 30] * 2)", "2 ** 4000 * 2 ** 4000", "zip([[0] * 60000], [[0] * 60000])",
        "2.0 ** 99999",
        "int('9' * 5000)", "{1: 'a' * 60000, 2: 'b' * 60000}", "10 ** 1000 * 10 ** 1000",
        "[[0] * 999] * 99 + [[0] * 999] * 99",
    ],
)  # fmt: skip
def test_nothing_large_can_be_made(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text)


def test_given_values_may_be_as_large_as_they_like() -> None:
    scope = Scope(parameters={"big": list(range(300_000)), "n": 1})
    assert Template(source="${{ len(parameters.big) + parameters.n + parameters.big[7] }}").evaluate(scope) == 300_008


def test_the_limit_does_not_hinder_sensible_sizes() -> None:
    assert evaluate("len(range(50000))") == 50000
    assert MAX_SIZE == 100_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("().__class__", "'__class__' is not reachable"),
        ("parameters.__class__.__mro__", "is not reachable"),
        ("__import__('os')", "unknown function '__import__'"),
        ("open('/etc/passwd')", "unknown function 'open'"),
        ("getattr(run, 'id')", "unknown function 'getattr'"),
        ("parameters.name.format(run)", "parameters.name.format is not a function"),
        ("(lambda: 1)()", "is not a function"),
        ("lambda: 1", "'lambda' is not allowed"),
        ("[x for x in [1]]", "'listcomp' is not allowed"),
        ("f'{run}'", "'joinedstr' is not allowed"),
        ("(x := 1)", "'namedexpr' is not allowed"),
        ("[*parameters.alphas]", "'starred' is not allowed"),
        ("{1, 2}", "'set' is not allowed"),
        ("await run", "'await' is not allowed"),
        ("1 @ 2", "'matmult' is not allowed"),
        ("~1", "'invert' is not allowed"),
        ("1 << 9", "'lshift' is not allowed"),
        ("b'a'", "b'a' is not allowed"),
        ("1j", "1j is not allowed"),
        ("...", "... is not allowed"),
        ("x", "unknown name 'x': there are 'parameters', 'steps', 'run'; a text needs quotes"),
        ("params.n", "unknown name 'params': did you mean 'parameters'?"),
        ("true", "unknown name 'true': write True"),
        ("null", "unknown name 'null': write None"),
        ("best", "best is a function, call it: best(…)"),
        ("bets(1)", "unknown function 'bets': did you mean 'best'?"),
        ("sorted([1], key=len)", "sorted() takes no argument key="),
        ("min(**parameters)", "min() takes no argument **"),
        ("steps", "'steps' is no value of its own: write steps.NAME or steps['NAME']"),
        ("steps[parameters.name]", "'steps' is no value of its own"),
        ("len(steps)", "'steps' is no value of its own"),
        ("run", "'run' is no value of its own: write run.id, run.name or run.experiment"),
        ("", "the expression is empty"),
        ("1 +", "this is not an expression"),
        ("a = 1", "this is not an expression"),
        ("1; 2", "this is not an expression"),
        ("1 +" * 2000 + "1", "longer than 4,000 characters"),
        ("(" * 300 + "1" + ")" * 300, "e"),
        ("-" * 3900 + "1", "e"),
        ("-" * 100 + "1", "nests deeper than 60 levels"),
        ("'\x00'", "e"),
    ],
)
def test_nothing_else_is_reachable(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        _ = Template(source="${{" + text + "}}").references
    assert message in caught.value.message
    with pytest.raises(ExpressionError):
        evaluate(text)


@given(st.text(alphabet="parmetsun.[]()'\"_1+*,:{}$ <>=\n\\x0", max_size=40))
def test_any_text_gives_a_value_or_an_expression_error(text: str) -> None:
    try:
        Template(source="${{ " + text + " }}").evaluate(SCOPE)
    except ExpressionError as error:
        assert error.message  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("text", ["${{ 1", "a ${{ 'x }}", "${{ {'a': 1 }}", "${{ 1 } }", '${{ "a\\'])
def test_an_expression_must_be_closed(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"'\$\{\{' is never closed: '\}\}' is missing"):
        Template(source=text).evaluate(SCOPE)


def test_a_run_is_not_known_everywhere() -> None:
    with pytest.raises(ExpressionError, match="'run' is not known here"):
        Template(source="${{ run.id }}").evaluate(Scope(parameters={}))


def references(source: object) -> list[str]:
    return [".".join(reference.path) for reference in Template(source=source).references]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("steps.train.outputs.model", ["steps.train.outputs.model"]),
        ("steps['a-b'].metrics['val/acc']", ["steps.a-b.metrics.val/acc"]),
        (
            "best(steps.train, parameters.metric, 'min').outputs.model",
            ["steps.train.outputs.model", "parameters.metric"],
        ),
        ("steps.train[0].outputs.model.uri", ["steps.train.outputs.model.uri"]),
        ("steps.train[parameters.n - 1].run_id", ["steps.train.run_id", "parameters.n"]),
        ("steps.train[-1]", ["steps.train"]),
        ("[steps.a.run_id, steps.b.run_id][0]", ["steps.a.run_id", "steps.b.run_id"]),
        ("{'a': parameters.x, parameters.y: 1}", ["parameters.y", "parameters.x"]),
        ("run.id if steps.a.metrics.m > 1 else len(parameters)", ["steps.a.metrics.m", "run.id", "parameters"]),
        ("best([steps.a, steps.b], metric='m', mode='min').run_id", ["steps.a", "steps.b"]),
        ("best(steps.a, metric=parameters.m, mode='min')", ["steps.a", "parameters.m"]),
        ("sorted(steps.a.metrics.m, reverse=parameters.r)", ["steps.a.metrics.m", "parameters.r"]),
        ("[1][0].x", []),
    ],
)
def test_references_are_found_without_evaluating(text: str, paths: list[str]) -> None:
    assert sorted(references("${{ " + text + " }}")) == sorted(paths)


def test_the_steps_of_a_template_are_those_of_all_its_expressions() -> None:
    template = Template(source=["${{ steps.a.run_id }}", {"k": "x ${{ best(steps['b c'], 'm', 'min').run_id }}"}, 1])
    assert template.steps == {"a", "b c"}
    assert not template.constant
    assert Template(source=["$${{ a }}", {"a": 1}]).constant
    step = Step(
        name="s",
        entry_point="s",
        needs=("n",),
        parameters={"p": template},
        when=Template(source="${{ steps.w.run_id }}"),
    )
    assert dependencies(step) == {"n", "a", "b c", "w"}


def test_places_are_those_of_the_expressions() -> None:
    template = Template(
        source="a ${{ parameters.n }} ${{ 1 +\n parameters.x }}",
        mark=Mark(file="F", line=3, column=5),
        places=(Mark(file="F", line=3, column=7), Mark(file="F", line=4, column=1)),
    )
    assert [str(reference.mark) for reference in template.references] == ["F:3:11", "F:5"]
    with pytest.raises(ExpressionError, match=r"^F:5: parameters has no 'x'"):
        template.evaluate(SCOPE)
    with pytest.raises(ExpressionError, match=r"^F:3:5: "):
        Template(source="${{ é.x }}", mark=Mark(file="F", line=3, column=5)).evaluate(SCOPE)


def test_the_column_counts_characters() -> None:
    template = Template(source="${{ 'é' + parameters.x }}", places=(Mark(file="F", line=1, column=1),))
    with pytest.raises(ExpressionError, match=r"^F:1:11: "):
        template.evaluate(SCOPE)


def test_templates_and_results_can_go_to_other_processes() -> None:
    template = Template(source={"a": ["${{ parameters.n }}"]}, mark=Mark(file="F", line=1))
    again = pickle.loads(pickle.dumps((template, SCOPE)))
    assert again[0].evaluate(again[1]) == {"a": [3]}
