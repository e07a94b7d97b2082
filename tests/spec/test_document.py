"""YAML to values with places."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from toolkit.errors import Mark, ProjectError
from toolkit.spec.document import Node, parse_document, read_text


def parse(text: str) -> Node:
    node = parse_document(text, file="F")
    assert node is not None
    return node


@pytest.mark.parametrize(
    "text",
    [
        "yes", "off", "1e-1", ".0", "012", "1_000", "0x1F", "1:30", "~", "''", "null", "None", ".inf", "3.10", "+1",
        "0b11",
        "'1'", '"a\\nb"', "[1, a, [b]]", "{a: 1, 2: b, yes: c}", "|\n a\n b\n", ">-\n a\n b\n", "a: &x {b: 1}\nc: *x",
        "a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}", "a: &x {b: 1}\ne: &y {b: 2, f: 3}\nd: {g: 0, <<: [*x, *y]}",
        "a: &x {<<: {q: 1}, b: 1}\nd: {<<: *x}",
        '"a\n   b"', "- a\n- b: c\n  d: e", "!!str 5", "!!int '5'", "!!float 1",
    ],
)  # fmt: skip
def test_values_are_those_of_safe_load(text: str) -> None:
    wanted: Any = yaml.safe_load(text)
    node = parse_document(text, file="F")
    assert (None if node is None else node.value) == wanted
    if isinstance(wanted, dict):
        assert node is not None
        assert list(node.value) == list(wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "\n# only a comment\n", "---\n", "~", "\ufeff"])
def test_an_empty_document_is_none(text: str) -> None:
    assert parse_document(text, file="F") is None


def test_a_date_is_its_text_and_a_lone_equals_sign_too() -> None:
    assert parse("[2024-01-31, 2024-01-31 10:00:00, =]").value == ["2024-01-31", "2024-01-31 10:00:00", "="]


def test_keys_and_values_have_places_and_their_text() -> None:
    node = parse("\ufeff\n\na:\n  on: 0.10\n  2: 'x'\n  no: [1,  2]\n")
    inner = node.fields["a"]
    assert node.key_marks["a"] == Mark(file="F", line=3, column=1)
    assert inner.key_marks["on"] == Mark(file="F", line=4, column=3)
    assert inner.fields["on"].mark == Mark(file="F", line=4, column=7)
    assert [field.text for field in inner.fields.values()] == ["0.10", "x", "[1,  2]"]
    assert inner.value == {True: 0.1, 2: "x", False: [1, 2]}


def test_double_keys_are_noted_and_the_last_counts() -> None:
    node = parse("a: 1\nb: 2\na: 3\n")
    assert node.value == {"a": 3, "b": 2}
    assert node.duplicates == (("a", Mark(file="F", line=3, column=1)),)


def test_a_merged_key_that_is_given_as_well_is_no_double_key() -> None:
    assert parse("x: &x {a: 1}\ny: {<<: *x, a: 2}\n").fields["y"].duplicates == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n\tb: 2\n", "F:2:1: this is not valid YAML: a tab stands where only blanks are allowed"),
        ("a: [1\nb: 2\n", "F:2:2: this is not valid YAML: "),
        ("a: 1\n---\nb: 1\n", "F:2:1: this is not valid YAML: there is more than one document in it"),
        ("a: *x\n", "F:1:4: this is not valid YAML: found undefined alias 'x'"),
        ("a: {{cookiecutter.step}}\n", "F:1:5: a key must be a text, not a list or mapping"),
        ("a: b\n{% if x %}\nc: d\n", "it looks like a template that has not been filled in"),
        ("a: 1\nb: !mine x\n", "F:2:4: the tag !mine is not allowed here"),
        ("!!python/object:os.system {}", "F:1:1: the tag !!python/object:os.system is not allowed here"),
        ("a: !!set {b, c}", "the tag !!set is not allowed here"),
        ("a: !!binary aGk=", "the tag !!binary is not allowed here"),
        ("a: !!omap [b: c]", "the tag !!omap is not allowed here"),
        ("a: 2024-13-45", "F:1:4: '2024-13-45' cannot be read: "),
        ("a: !!int x", "'x' cannot be read"),
        ("? [a, b]\n: c\n", "F:1:3: a key must be a text, not a list or mapping"),
        ("a: {<<: 1}", "'<<' takes a mapping or a list of mappings"),
        ("a: &x [*x]", "F:1:4: a value cannot contain itself"),
        ("a: &x {<<: *x}", "a value cannot contain itself"),
        ("a: b\x00c", "the character '\\x00' is not allowed in YAML"),
        ("[" * 70 + "]" * 70, "F:1:61: this nests deeper than 60 levels"),
        ("[" * 5000, "F nests deeper than 60 levels"),
    ],
)
def test_what_is_not_allowed_is_said_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ProjectError) as caught:
        parse_document(text, file="F")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_aliases_cannot_blow_a_document_up() -> None:
    bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
    for name, below in zip("bcdefgh", "abcdefg", strict=True):
        bomb += f"{name}: &{name} [{','.join([f'*{below}'] * 10)}]\n"
    with pytest.raises(ProjectError, match=r"F:5:4: aliases \(\*\) blow this up to more than 100,000 values"):
        parse_document(bomb, file="F")


def test_the_wrong_shape_is_said() -> None:
    node = parse("a: x\nb: [1]\nc: {}\nd:\n")
    with pytest.raises(ProjectError, match=r"^F:1:4: 'a' must be a mapping \(name: value\), not 'x'$"):
        node.fields["a"].mapping("'a'")
    with pytest.raises(ProjectError, match=r"^F:3:4: 'c' must be a list, not a mapping$"):
        node.fields["c"].sequence("'c'")
    with pytest.raises(ProjectError, match=r"^F:2:4: 'b' must be a text, not a list$"):
        node.fields["b"].string("'b'")
    with pytest.raises(ProjectError, match=r"'d' must be a text, not empty$"):
        node.fields["d"].string("'d'")
    assert node.fields["d"].mapping("'d'") == {}
    assert node.fields["d"].sequence("'d'") == ()


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("k: a {x} {y}", [(1, 6), (1, 10)]),
        ('k: "a {x}\n    {y}"', [(1, 7), (2, 5)]),
        ("k: |\n  a {x}\n\n  {y}\n", [(2, 5), (4, 3)]),
        ("k: >-  # a {comment}\n  a {x}\n  {y}\n", [(2, 5), (3, 3)]),
        ('k: "\\x7bx}"', [(1, 4)]),
    ],
)
def test_a_character_of_a_text_has_its_place(text: str, places: list[tuple[int, int]]) -> None:
    spelling = parse(text).fields["k"].spelling
    assert spelling is not None
    found = [spelling.place("{", number) for number in range(len(places))]
    assert [(mark.line, mark.column) for mark in found] == places


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"a: 1\nname: caf\xe9\n")
    with pytest.raises(ProjectError, match=r"latin:2: this is not UTF-8 text: save it as UTF-8"):
        read_text(tmp_path / "latin")
    with pytest.raises(ProjectError, match=r"cannot read F: No such file"):
        read_text(tmp_path / "nothing", file="F")
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    assert read_text(tmp_path / "bom") == "a: 1\n"
