"""The tree of exceptions: what a message looks like, and who is to blame."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from toolkit import errors
from toolkit.errors import Mark, NotFound, ProjectError, ToolkitError, UserError


def tree(root: type[ToolkitError]) -> Iterator[type[ToolkitError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


@pytest.mark.parametrize("kind", sorted(set(tree(ToolkitError)), key=str))
def test_every_error_has_a_message_of_its_own(kind: type[ToolkitError]) -> None:
    assert str(kind()) == (kind.__doc__ or "").partition("\n")[0]
    assert str(kind()).endswith(".")
    assert kind.__module__ == errors.__name__ or kind.__module__.startswith("toolkit.")


def test_a_place_stands_before_the_message() -> None:
    assert str(ProjectError("wrong", mark=Mark(file="MLproject", line=3, column=7))) == "MLproject:3:7: wrong"
    assert str(ProjectError("wrong", mark=Mark(file="MLproject", line=3))) == "MLproject:3: wrong"
    assert str(ProjectError("wrong")) == "wrong"


def test_the_exit_code_says_whose_fault_it_is() -> None:
    for kind in tree(ToolkitError):
        expected = 130 if kind is errors.RunKilled else 2 if issubclass(kind, UserError) else 1
        assert kind.exit_code == expected, kind


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(NotFound, LookupError)
    assert issubclass(errors.InvalidValue, ValueError)


def test_an_error_survives_the_way_to_another_process() -> None:
    error = pickle.loads(pickle.dumps(ProjectError("wrong", mark=Mark(file="f", line=1))))
    assert str(error) == "f:1: wrong"
