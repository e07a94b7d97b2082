"""Spark's columns into a model, and its predictions out, as an executor has them: without Spark."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from toolkit.errors import InvalidValue
from toolkit.models.infer import infer_signature
from toolkit.models.schema import Schema
from toolkit.models.spark import _Answer, _frame, _tensors

FRAME = pd.DataFrame({"a": [1.5, 2.5], "b": [1, 2], "c": ["x", "y"]})


def answer(kind: str) -> _Answer:
    """Return what makes a type of Spark's, whose names are those of its own types."""
    if " " not in kind:
        return _Answer.of(SimpleNamespace(typeName=lambda: kind, simpleString=lambda: kind))
    fields = [
        SimpleNamespace(name=name, dataType=SimpleNamespace(simpleString=lambda inner=inner: inner))
        for name, inner in (each.split() for each in kind.split(", "))
    ]
    return _Answer.of(SimpleNamespace(typeName=lambda: "struct", fields=fields))


def schema(data: object) -> Schema:
    """Return the schema of a model's input."""
    inputs = infer_signature(data).inputs
    assert inputs is not None
    return inputs


# -- what goes in -------------------------------------------------------------------------------------


def test_columns_take_the_names_of_the_signature() -> None:
    frame = _frame((FRAME.a, FRAME.b, FRAME.c), schema(FRAME))
    assert list(frame.columns) == ["a", "b", "c"]
    assert frame.c.tolist() == ["x", "y"]


def test_a_struct_keeps_its_own_names() -> None:
    assert list(_frame((FRAME[["c", "a"]],), schema(FRAME)).columns) == ["c", "a"]


def test_too_few_and_too_many_columns_are_refused() -> None:
    for columns in ((FRAME.a, FRAME.b), (FRAME.a, FRAME.b, FRAME.c, FRAME.a)):
        with pytest.raises(InvalidValue, match=rf"a, b, c, in this order: {len(columns)} were given"):
            _frame(columns, schema(FRAME))


def test_columns_without_names_are_numbered() -> None:
    assert list(_frame((FRAME.a, FRAME.b), None).columns) == ["0", "1"]


def test_lists_and_columns_of_doubles_become_a_tensor_of_floats() -> None:
    inputs = schema(np.zeros((2, 3), "float32"))
    lists = pd.DataFrame({"pixels": [np.array([1.0, 2, 3]), np.array([4.0, 5, 6])]})
    columns = pd.DataFrame([[1.0, 2, 3], [4, 5, 6]])
    for frame in (lists, columns):
        tensor = _tensors(frame, inputs)
        assert tensor.dtype == np.float32
        assert tensor.tolist() == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(InvalidValue, match=r"tensor of \[-1, 3\]"):
        _tensors(columns[[0, 1]], inputs)


def test_named_tensors_come_from_columns_of_nested_lists() -> None:
    inputs = schema({"image": np.zeros((2, 2, 2)), "age": np.zeros(2)})
    nested = np.array([np.array([1.0, 2]), np.array([3.0, 4])], dtype=object)
    tensors = _tensors(_frame((pd.Series([nested] * 2), pd.Series([7.0, 8])), inputs), inputs)
    assert tensors["image"].tolist() == [[[1, 2], [3, 4]]] * 2
    assert tensors["age"].tolist() == [7, 8]


# -- what comes out -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        pytest.param("double", np.array([1.5, 2.5]), [1.5, 2.5], id="array"),
        pytest.param("double", FRAME, [1.5, 2.5], id="first-number"),
        pytest.param("bigint", FRAME, [1, 2], id="first-whole-number"),
        pytest.param("int", np.array([1, 2]), [1, 2], id="narrower-that-fits"),
        pytest.param("string", np.array([0, 1]), ["0", "1"], id="text"),
        pytest.param("boolean", pd.Series([True, False], index=[7, 8]), [True, False], id="boolean"),
        pytest.param("array<double>", np.array([[0.25, 0.75], [0.5, 0.5]]), [[0.25, 0.75], [0.5, 0.5]], id="rows"),
        pytest.param("array<double>", np.zeros((2, 1, 1)), [[[0.0]], [[0.0]]], id="deep"),
        pytest.param("double", {"score": np.array([1.0, 2.0])}, [1.0, 2.0], id="dict"),
    ],
)
def test_predictions_become_the_type_that_was_named(kind: str, given: object, expected: list[object]) -> None:
    assert answer(kind).told(given, 2).tolist() == expected


def test_fields_are_taken_by_name_or_by_place() -> None:
    named = answer("b double, a float").told(FRAME, 2)
    assert named.to_dict("list") == {"b": [1.0, 2.0], "a": [1.5, 2.5]}
    placed = answer("low double, high double").told(np.array([[0.25, 0.75], [0.5, 0.5]]), 2)
    assert placed.to_dict("list") == {"low": [0.25, 0.5], "high": [0.75, 0.5]}
    with pytest.raises(InvalidValue, match="wanted z, a field"):
        answer("a double, z double").told(FRAME, 2)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("int", [1.5, 2.0]),
        ("int", [2**40, 1]),
        ("double", ["x", "y"]),
        ("boolean", [0, 1]),
        ("array<int>", [[0.5], [1]]),
    ],
)
def test_nothing_is_lost_to_fit_a_type(kind: str, given: list[object]) -> None:
    with pytest.raises(InvalidValue, match=f"wanted {kind}; name another result_type"):
        answer(kind).told(np.array(given), 2)


def test_as_many_predictions_as_rows_are_wanted() -> None:
    with pytest.raises(InvalidValue, match="gave 1 predictions for 2 rows"):
        answer("double").told(np.array([1.0]), 2)


def test_no_rows_have_no_predictions() -> None:
    assert len(answer("double").nothing()) == 0
    assert list(answer("a double, b string").nothing().columns) == ["a", "b"]
