"""Filters: what is read, and how what cannot be read is shown."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import InvalidValue
from toolkit.testing.runs import properties
from toolkit.tracking import filter as filters
from toolkit.tracking.filter import parse, parse_column, parse_ordering
from toolkit.tracking.filter_fields import EXPERIMENTS, RUNS, Kind
from toolkit.tracking.filter_text import ilike, like, needle, regexp
from toolkit.tracking.filter_tree import EVERYTHING, All, Comparison, Not, OneOf, Operator, conjuncts


def only(text: str) -> Comparison:
    tree = parse(text, RUNS)
    assert isinstance(tree, Comparison)
    return tree


@pytest.mark.parametrize(
    ("text", "kind", "key"),
    [
        ("metrics.rmse < 1", Kind.METRIC, "rmse"),
        ("metric.val.rmse-2/x:y >= -.5e-3", Kind.METRIC, "val.rmse-2/x:y"),
        ("metrics.`my metric` = 1", Kind.METRIC, "my metric"),
        ('metrics."my metric" = 1', Kind.METRIC, "my metric"),
        ("param.a = 'x'", Kind.PARAM, "a"),
        ('parameters.a != "x"', Kind.PARAM, "a"),
        ("tag.mlflow.source.name LIKE '%.py'", Kind.TAG, "mlflow.source.name"),
        ("tags.`a``b` = 'x'", Kind.TAG, "a`b"),
        ("tags.not = 'x'", Kind.TAG, "not"),
        ("attributes.status = 'FAILED'", Kind.ATTRIBUTE, "status"),
        ("attr.`start_time` > 5", Kind.ATTRIBUTE, "start_time"),
        ("run.run_id in ('a')", Kind.ATTRIBUTE, "run_id"),
        ("run_name iLiKe 'a'", Kind.ATTRIBUTE, "run_name"),
        ("\"Run name\" = 'a'", Kind.ATTRIBUTE, "run_name"),
        ("attribute.`Created` = 5", Kind.ATTRIBUTE, "start_time"),
        ("datasets.digest not in ('a')", Kind.DATASET, "digest"),
    ],
)
def test_every_way_to_name_a_field(text: str, kind: Kind, key: str) -> None:
    found = only(text).field
    assert (found.kind, found.key) == (kind, key)


@pytest.mark.parametrize(
    ("text", "operator", "values", "negated"),
    [
        ("params.a = 'it''s'", Operator.EQUAL, ("it's",), False),
        ('params.a = "it\'s"', Operator.EQUAL, ("it's",), False),
        ('params.a != "say ""x"""', Operator.EQUAL, ('say "x"',), True),
        ("params.a = 'a\\'", Operator.EQUAL, ("a\\",), False),
        ("params.a='x'", Operator.EQUAL, ("x",), False),
        ("metrics.a<-1", Operator.LESS, (-1.0,), False),
        ("metrics.a >= 1e999", Operator.GREATER_EQUAL, (float("inf"),), False),
        ("start_time > 1700000000000", Operator.GREATER, (1_700_000_000_000,), False),
        ("start_time > 1.5", Operator.GREATER, (1.5,), False),
        ("start_time > 99999999999999999999", Operator.GREATER, (1e20,), False),
        ("params.a NOT LIKE 'x'", Operator.LIKE, ("x",), True),
        ("params.a in ('x', \"y\",)", Operator.IN, ("x", "y"), False),
        ("metrics.a NOT IN (1)", Operator.IN, (1.0,), True),
        ("metrics.a between 1 AND 2", Operator.BETWEEN, (1.0, 2.0), False),
        ("tags.a is not null", Operator.NULL, (), True),
        ("tags.a REGEXP '^x$'", Operator.REGEXP, ("^x$",), False),
    ],
)
def test_operators_and_values(text: str, operator: Operator, values: tuple[object, ...], negated: bool) -> None:
    found = only(text)
    assert (found.operator, found.values, found.negated) == (operator, values, negated)
    assert [type(value) for value in found.values] == [type(value) for value in values]


def test_how_parts_combine() -> None:
    a, b, c = (only(f"metrics.{key} = 1") for key in "abc")
    text = "metrics.a = 1 {} metrics.b = 1 {} metrics.c = 1"
    assert parse(text.format("and", "AND"), RUNS) == All(parts=(a, b, c))
    assert parse(text.format("or", "and"), RUNS) == OneOf(parts=(a, All(parts=(b, c))))
    assert parse("(metrics.a = 1 OR metrics.b = 1)\n AND metrics.c = 1", RUNS) == All(parts=(OneOf(parts=(a, b)), c))
    assert parse("not metrics.a = 1 or metrics.b = 1", RUNS) == OneOf(parts=(Not(part=a), b))
    assert parse("NOT((metrics.a = 1))", RUNS) == Not(part=a)
    assert parse(" \n", RUNS) is EVERYTHING
    assert conjuncts(parse("(metrics.a = 1 AND (metrics.b = 1)) AND (metrics.c = 1)", RUNS)) == (a, b, c)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("metrics.a", 9, "found the end, wanted an operator"),
        ("metrics.a <", 11, "wanted a value"),
        ("metrics.a == 1", 11, "found '=', wanted a value"),
        ("metrics.a = 'x'", 12, "found 'x', wanted a number without quotes, because metrics.a is a number"),
        ("start_time = '5'", 13, "wanted a number without quotes"),
        ("params.a = 5", 11, "found 5, wanted text in quotes"),
        ("params.a = x", 11, "found 'x', wanted a value"),
        ("params.a < 'x'", 9, "< is for numbers, and params.a is text"),
        ("metrics.a LIKE 'x'", 10, "LIKE is for text"),
        ("params.a = 'x", 11, "the quote ' is not closed"),
        ("metrics.`a = 1", 8, "the quote ` is not closed"),
        ("run_id IN ()", 11, "found ')', wanted a value"),
        ("run_id IN ('a', 1)", 16, "wanted text in quotes"),
        ("run_id IN 'a'", 10, "wanted '('"),
        ("(metrics.a = 1", 14, "wanted ')'"),
        ("metrics.a = 1)", 13, "found ')', wanted the end"),
        ("metrics.a = 1 metrics.b = 2", 14, "found 'metrics.b', wanted AND, OR or the end"),
        ("metrics.a = 1; metrics.b = 2", 13, "found ';', wanted AND or OR"),
        ("stat_time = 1", 0, "unknown attribute 'stat_time' (did you mean 'start_time'?); runs have artifact_uri"),
        ("Status = 'x'", 0, "did you mean 'status'?"),
        ("metrcs.a = 1", 0, "unknown prefix 'metrcs' (did you mean 'metrics'?)"),
        ("datasets.nope = 'x'", 0, "they have name, digest, context"),
        ("params.a REGEXP '(?=x)'", 16, "the expression cannot be used"),
        ("params.a LIKE '" + "x" * 1_001 + "'", 14, "at most 1000 characters"),
        ("params.a = 'x\0'", 11, "NUL"),
    ],
)
def test_what_cannot_be_read_is_shown(text: str, column: int, message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse(text, RUNS)
    said, shown, caret = str(caught.value).split("\n")
    assert message in said
    assert said.startswith("Invalid filter: ")
    assert caret == " " * (column + 2) + "^"
    assert shown.strip("… ")[:10] in text


def test_of_a_long_filter_the_place_is_shown() -> None:
    text = " AND\n".join(f"metrics.m{n} = 1" for n in range(50)) + " AND metrics.x ? 1" + " AND metrics.y = 1" * 9
    with pytest.raises(InvalidValue) as caught:
        parse(text, RUNS)
    _, shown, caret = str(caught.value).split("\n")
    assert shown[caret.index("^")] == "?"
    assert len(shown) < 120


def test_bounds() -> None:
    fine = " AND ".join(["metrics.a = 1"] * filters.COMPARISONS)
    parse(fine, RUNS)
    for text in (
        fine + " AND metrics.a = 1",
        "(" * 60 + "metrics.a = 1" + ")" * 60,
        "NOT " * 60 + "metrics.a = 1",
        "(" * 90_000,
        "metrics.a = 1" + " " * filters.LENGTH,
        "run_id IN (" + ", ".join(["'a'"] * (filters.LISTED + 1)) + ")",
    ):
        with pytest.raises(InvalidValue):
            parse(text, RUNS)


def test_orders() -> None:
    assert parse_ordering("metrics.`a b` DESC", RUNS)[1]
    assert not parse_ordering("params.desc", RUNS)[1]
    assert parse_ordering("`Run Name` asc", RUNS)[0].key == "run_name"
    for text in ("", "metrics.a down", "metrics.a, metrics.b", "nope", "dataset.name"):
        with pytest.raises(InvalidValue, match="order_by"):
            parse_ordering(text, RUNS)


def test_columns() -> None:
    assert parse_column("metrics.*", RUNS) == (Kind.METRIC, None)
    assert parse_column("param.`a*`", RUNS) == (Kind.PARAM, "a*")
    for text in ("*", "nope.*", "metrics.a desc"):
        with pytest.raises(InvalidValue, match="fields"):
            parse_column(text, RUNS)


def test_experiments_have_other_fields() -> None:
    assert parse("attribute.name = 'x' AND tag.a LIKE 'y' AND creation_time > 1", EXPERIMENTS)
    for text in ("metrics.a = 1", "status = 'x'", "run.name = 'x'"):
        with pytest.raises(InvalidValue, match="experiments have"):
            parse(text, EXPERIMENTS)


@properties
@given(
    text=st.text(st.sampled_from("aA_%é\U0001f600"), max_size=8), pattern=st.text(st.sampled_from("aA_%é"), max_size=6)
)
def test_wildcards_mean_what_they_say(text: str, pattern: str) -> None:
    def slow(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "%":
            return slow(pattern[1:], text) or (bool(text) and slow(pattern, text[1:]))
        return bool(text) and pattern[0] in ("_", text[0]) and slow(pattern[1:], text[1:])

    assert like(pattern)(text) == slow(pattern, text)
    assert ilike(pattern)(text) == slow(pattern.lower(), text.lower())


@properties
@given(text=st.text(max_size=40))
def test_whatever_is_given_is_read_or_refused(text: str) -> None:
    for read in (parse, parse_ordering, parse_column):
        with contextlib.suppress(InvalidValue):
            read(text, RUNS)


def test_neither_the_parser_nor_the_expressions_are_loaded_before_they_are_needed() -> None:
    script = (
        "import sys\nfrom toolkit.tracking.memory import MemoryRunStore\nimport toolkit.tracking.sql\n"
        "from toolkit.tracking.records import SearchQuery\n"
        "MemoryRunStore().search_runs(SearchQuery())\nassert not {'lark', 're2'} & set(sys.modules)\n"
        "MemoryRunStore().search_runs(SearchQuery(filter='metrics.a = 1'))\n"
        "assert 'lark' in sys.modules and 're2' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("none", "none"),
        ("^abc$", "abc"),
        (r"\.py$", ".py"),
        ("ab?c", "a"),
        ("ab*cde", "cde"),
        ("a+b", "a"),
        ("(abc)de", "de"),
        ("[abc]def", "def"),
        ("[]a]bc", "bc"),
        ("[[:alpha:]]xy", "xy"),
        (r"\pLab", "ab"),
        (r"\x41bc", "bc"),
        (r"a\\b", "a\\b"),
        ("a{2}bc", "bc"),
        ("x|y", ""),
        ("(?i)A", ""),
        (r"\Qa*\E", ""),
        (".*", ""),
    ],
)
def test_what_every_match_has_in_it(pattern: str, part: str) -> None:
    assert needle(pattern) == part


@properties
@given(
    st.text(alphabet="ab1\\()[]*?+{},.^$-:d|é ", max_size=8),
    st.lists(st.text(alphabet="ab1\\()[]*+{},.^$-:dé ", max_size=8), max_size=8),
)
def test_no_match_lacks_it(pattern: str, texts: list[str]) -> None:
    with contextlib.suppress(InvalidValue):
        matches = regexp(pattern)
        assert all(needle(pattern) in text for text in texts if matches(text))
