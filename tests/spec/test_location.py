"""Paths and URIs."""

from pathlib import Path

import pytest

from toolkit.errors import InvalidParameter, Mark
from toolkit.spec.command import locate
from toolkit.spec.expression import OutputRef
from toolkit.spec.project import EntryPoint, Parameter, Value

REF = OutputRef(run_id="r1", path="model")


@pytest.fixture
def caller(tmp_path: Path) -> Path:
    (tmp_path / "caller" / "data").mkdir(parents=True)
    (tmp_path / "caller" / "a b").touch()
    (tmp_path / "project" / "defaults").mkdir(parents=True)
    return tmp_path / "caller"


def fetch(uri: str) -> Path:
    return Path("/fetched") / uri.rpartition("/")[2]


def located(
    caller: Path, kind: str, value: object, *, given: bool = True, default: Value = None, fetching: bool = True
) -> tuple[object, list[str]]:
    mark = Mark(file="MLproject", line=4, column=9)
    entry = EntryPoint(
        name="main", command="", parameters={"p": Parameter(name="p", type=kind, default=default, mark=mark)}
    )
    values, warnings = locate(
        entry, {"p": value}, caller=caller, project=caller.parent / "project", fetch=fetch if fetching else None,
        given={"p"} if given else (),
    )  # fmt: skip
    return values["p"], warnings


def test_a_path_becomes_absolute_from_where_the_caller_is(caller: Path) -> None:
    assert located(caller, "path", "data") == (str(caller / "data"), [])
    assert located(caller, "path", "./data/../data") == (str(caller / "data"), [])
    assert located(caller, "path", str(caller)) == (str(caller), [])
    assert located(caller, "path", ".", given=False) == (str(caller), [])
    assert located(caller, "path", f"file://{caller}/a%20b") == (str(caller / "a b"), [])
    assert located(caller, "path", f"file:{caller}/data") == (str(caller / "data"), [])


def test_a_default_is_also_looked_for_in_the_project(caller: Path) -> None:
    value, warnings = located(caller, "path", "defaults", given=False, default="defaults")
    assert value == str(caller.parent / "project" / "defaults")
    assert warnings == [
        f"parameter 'p': its default 'defaults' is not in {caller}; the one in the project's directory is used"
    ]
    with pytest.raises(InvalidParameter, match=r"there is no 'defaults' in .*caller$"):
        located(caller, "path", "defaults")


def test_without_a_word_on_what_was_given_a_default_is_what_equals_it(caller: Path) -> None:
    entry = EntryPoint(name="main", command="", parameters={"p": Parameter(name="p", type="path", default="defaults")})
    values, _ = locate(entry, {"p": "defaults"}, caller=caller, project=caller.parent / "project", fetch=None)
    assert values == {"p": str(caller.parent / "project" / "defaults")}


def test_a_path_that_is_not_there_is_an_error(caller: Path) -> None:
    with pytest.raises(InvalidParameter, match=r"^MLproject:4:9: parameter 'p' wants a path, and there is no 'x' in"):
        located(caller, "path", "x")
    with pytest.raises(InvalidParameter, match=r"no 'x' in .*caller nor in .*project$"):
        located(caller, "path", "x", given=False)
    with pytest.raises(InvalidParameter, match="there is no ''"):
        located(caller, "path", "")


@pytest.mark.parametrize("uri", ["s3://bucket/data", "https://host/data", "runs:/r1/data", "file://host/data"])
def test_a_remote_path_is_fetched(caller: Path, uri: str) -> None:
    assert located(caller, "path", uri) == ("/fetched/data", [])
    with pytest.raises(InvalidParameter, match=r"has to be downloaded, and nothing can be downloaded here"):
        located(caller, "path", uri, fetching=False)


def test_a_uri_must_have_a_scheme(caller: Path) -> None:
    assert located(caller, "uri", "s3://bucket/data") == ("s3://bucket/data", [])
    assert located(caller, "uri", REF) == ("runs:/r1/model", [])
    with pytest.raises(InvalidParameter, match="Expected URI for parameter p but got data"):
        located(caller, "uri", "data")


def test_outputs_are_fetched_whatever_the_type(caller: Path) -> None:
    assert located(caller, "string", REF) == ("/fetched/model", [])
    assert located(caller, "path", REF) == ("/fetched/model", [])
    assert located(caller, "list", [REF, "x"]) == (["/fetched/model", "x"], [])


def test_everything_else_stays_as_it_is(caller: Path) -> None:
    assert located(caller, "string", "data") == ("data", [])
    assert located(caller, "float", 0.5) == (0.5, [])
    entry = EntryPoint(name="main", command="")
    assert locate(entry, {"x": 1}, caller=caller, project=caller, fetch=None) == ({"x": 1}, [])


def test_a_strange_text_is_no_uri(caller: Path) -> None:
    with pytest.raises(InvalidParameter, match="Expected URI"):
        located(caller, "uri", "//[x")
    assert located(caller, "uri", "http://[x") == ("http://[x", [])
