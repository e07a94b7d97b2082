"""Requests to a model: what each body becomes, what is refused in which words, and what the answers look like."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import pytest
import signature_samples as samples
from hypothesis import strategies as st
from scipy import sparse

from toolkit.errors import InvalidPayload, InvalidValue, SchemaMismatch, ToolkitError, UnsupportedContentType
from toolkit.models import payload
from toolkit.models.datatypes import AnyType, Array, DataType, Map, Object, Property, Type
from toolkit.models.enforcement import enforce
from toolkit.models.infer import infer_signature
from toolkit.models.params import ParamSchema, ParamSpec
from toolkit.models.schema import ColSpec, Schema, TensorSpec
from toolkit.models.signature import Signature

JSON = "application/json"
SECRET = "hunter2"


def of(*columns: tuple[str, Type] | tuple[str, Type, bool]) -> Signature:
    specs = [ColSpec(each[1], each[0], each[2] if len(each) == 3 else True) for each in columns]
    return Signature(Schema(specs))


def read(body: object, signature: Signature | None = None) -> Any:  # noqa: ANN401 - whatever a model takes
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return payload.read(text, JSON, signature).data


def predicted(body: object, signature: Signature) -> pd.DataFrame:
    return enforce(read(body, signature), signature)


def refusal(body: object, signature: Signature | None = None) -> str:
    with pytest.raises(InvalidPayload) as caught:
        read(body, signature)
    return str(caught.value)


# -- content types -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/json;charset=utf-8",
        'application/json; charset="utf-8"',
        "application/json;",
    ],
)
def test_json_under_each_of_its_names(header: str) -> None:
    assert payload.read(b'{"inputs": [1]}', header).data.tolist() == [1]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("application/json; charset=latin-1", "The scoring server only supports UTF-8"),
        (
            "application/json; format=pandas-split",
            "Unrecognized content type parameters: format. IMPORTANT: The MLflow",
        ),
        (
            "text/plain",
            "This predictor only supports the following content types: Types: "
            "['text/csv', 'application/json', 'application/vnd.apache.parquet']. Got 'text/plain'.",
        ),
        (None, "a request without a Content-Type"),
        ("", "a request without a Content-Type"),
    ],
    ids=["charset", "parameter", "type", "none", "empty"],
)
def test_content_types_that_nobody_reads(header: str | None, told: str) -> None:
    with pytest.raises(UnsupportedContentType) as caught:
        payload.read(b"{}", header)
    assert str(caught.value).startswith(told)


# -- JSON --------------------------------------------------------------------------------------------

TWO = of(("a", DataType.long), ("b", DataType.string))


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["b", "a"], "data": [["x", 1], ["y", 2]]}},
        {"dataframe_records": [{"b": "x", "a": 1}, {"a": 2, "b": "y"}]},
        {"inputs": {"b": ["x", "y"], "a": [1, 2]}},
        {"inputs": [{"b": "x", "a": 1}, {"a": 2, "b": "y"}]},
        {"instances": [{"b": "x", "a": 1}, {"a": 2, "b": "y"}]},
        {"instances": {"b": ["x", "y"], "a": [1, 2]}},
    ],
    ids=range(6),
)
def test_every_form_brings_the_same_table(body: object) -> None:
    taken = predicted(body, TWO)
    assert taken.to_dict(orient="list") == {"a": [1, 2], "b": ["x", "y"]}
    assert taken["a"].dtype == "int64"


def test_the_index_and_columns_without_names() -> None:
    assert list(read({"dataframe_split": {"columns": ["a"], "index": [7], "data": [[1]]}}).index) == [7]
    assert list(read({"dataframe_split": {"data": [[1, 2]]}})) == [0, 1]
    assert read({"dataframe_records": [{"a": 1}, {"b": "x"}]}).isna().to_numpy().tolist() == [
        [False, True],
        [True, False],
    ]


def test_bodies_of_pandas_come_back() -> None:
    frame = pd.DataFrame({"a": [1, 2], "t": pd.to_datetime(["2020-01-01", "2021-01-01"]), "b": [b"x", b"y"]})
    signature = infer_signature(frame)
    body = payload.write(frame)
    records = json.loads(body)["predictions"]
    pd.testing.assert_frame_equal(predicted({"dataframe_records": records}, signature), enforce(frame, signature))


@pytest.mark.parametrize(
    ("kind", "given", "becomes"),
    [
        (DataType.integer, 1.0, 1),
        (DataType.long, "1", 1),
        (DataType.long, 2**62, 2**62),
        (DataType.boolean, 1, True),
        (DataType.boolean, False, False),
        (DataType.double, "1.7", 1.7),
        (DataType.double, 1, 1.0),
        (DataType.float, 0.5, 0.5),
        (DataType.string, "x", "x"),
        (DataType.binary, "eHk=\n", b"xy"),
        (DataType.datetime, "2020-01-02T03:04:05", pd.Timestamp("2020-01-02T03:04:05")),
        (DataType.datetime, "2020-01-02", pd.Timestamp("2020-01-02")),
        (DataType.datetime, "2020-01-02T03:04:05+02:00", pd.Timestamp("2020-01-02T01:04:05Z")),
        (Array(DataType.datetime), ["2020-01-02"], [pd.Timestamp("2020-01-02")]),
        (Map(DataType.binary), {"k": "eHk="}, {"k": b"xy"}),
        (Object([Property("k", DataType.float)]), {"k": 1}, {"k": 1.0}),
        (Object([Property("k", DataType.integer)]), {"k": 2}, {"k": 2}),
        (AnyType(), [1, "x"], [1, "x"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "inputs", "instances"])
def test_values_become_what_the_signature_says(form: str, kind: Type, given: object, becomes: object) -> None:
    bodies: dict[str, object] = {
        "dataframe_split": {"columns": ["a"], "data": [[given]]},
        "dataframe_records": [{"a": given}],
        "inputs": [{"a": given}],
        "instances": [{"a": given}],
    }
    assert predicted({form: bodies[form]}, of(("a", kind)))["a"].tolist() == [becomes]


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        (DataType.integer, 1.7, "a number with a fraction"),
        (DataType.integer, 2**40, "a number out of range"),
        (DataType.long, 2**70, "a number out of range"),
        (DataType.long, True, "true or false"),
        (DataType.long, "x", "text"),
        (DataType.long, None, "null"),
        (DataType.boolean, "x", "text"),
        (DataType.boolean, 2, "a number"),
        (DataType.boolean, None, "null"),
        (DataType.double, True, "true or false"),
        (DataType.double, "x", "text that is no number"),
        (DataType.float, 1e300, "a number out of range"),
        (DataType.string, 5, "a number"),
        (DataType.string, ["x"], "a list"),
        (DataType.binary, "§", "text that is no base64"),
        (DataType.binary, 5, "a number"),
        (DataType.datetime, 5, "a number"),
        (DataType.datetime, "now", "text that is no date of ISO 8601"),
        (DataType.datetime, "01/02/2020", "text that is no date of ISO 8601"),
        (Array(DataType.long), 5, "int"),
        (Map(DataType.long), [5], "list"),
    ],
    ids=str,
)
def test_values_that_mlflow_would_bend_are_refused(kind: Type, given: object, told: str) -> None:
    good: dict[Any, object] = {DataType.string: "x", DataType.binary: "eHk=", DataType.datetime: "2020-01-01"}
    first = good.get(kind, [] if isinstance(kind, Array) else {} if isinstance(kind, Map) else 1)
    problem = refusal({"dataframe_split": {"columns": ["a"], "data": [[first], [given]]}}, of(("a", kind)))
    assert problem.startswith("Invalid input. Data is not compatible with model signature. Failed to convert column a")
    assert f"Error: '{told} came, first in row 1 (counted from 0)'" in problem


def test_null_is_missing_where_a_value_may_be() -> None:
    signature = of(
        ("l", DataType.long, False), ("d", DataType.double), ("s", DataType.string), ("t", DataType.datetime)
    )
    body = {"dataframe_records": [{"l": 2**53 + 1, "d": None, "s": None, "t": None}, dict.fromkeys("lds")]}
    taken = predicted(body, signature)
    assert taken["l"].tolist() == [2**53 + 1, pd.NA]
    assert taken[["d", "s", "t"]].isna().all(axis=None)


def test_the_place_in_a_nested_value_is_told() -> None:
    signature = of(("o", Object([Property("k", Array(DataType.long))])))
    assert "column o.k[1] to type 'long'" in refusal({"inputs": [{"o": {"k": [1, "x"]}}]}, signature)


def test_nan_and_infinity_are_taken_as_mlflows_clients_write_them() -> None:
    taken = read(b'{"inputs": [NaN, Infinity, 1.5]}', Signature(Schema([TensorSpec("float64", (-1,))])))
    assert math.isnan(taken[0])
    assert taken[1:].tolist() == [math.inf, 1.5]


def test_tensors_get_their_type() -> None:
    alone = Signature(Schema([TensorSpec("float32", (-1, 2))]))
    assert predicted({"inputs": [[1, 2], [3, 4]]}, alone).dtype == np.float32
    assert predicted({"dataframe_split": {"data": [[1, 2]]}}, alone).tolist() == [[1.0, 2.0]]
    named = Signature(Schema([TensorSpec("int32", (-1, 2), "a"), TensorSpec("str", (-1,), "b")]))
    taken = predicted({"instances": [{"a": [1, 2], "b": "x"}, {"a": [3, 4], "b": "y"}]}, named)
    assert (taken["a"].tolist(), taken["a"].dtype, taken["b"].tolist()) == ([[1, 2], [3, 4]], np.int32, ["x", "y"])
    assert "fraction" in refusal({"inputs": {"a": [[1.5, 2]], "b": ["x"]}}, named)
    assert "out of range" in refusal({"inputs": {"a": [[2**40, 2]], "b": ["x"]}}, named)
    assert "out of range" in refusal({"inputs": [[1e300, 2]]}, alone)


def test_without_a_signature_arrays_are_what_numpy_makes_of_them() -> None:
    assert read({"inputs": [[1, 2], [3, 4]]}).tolist() == [[1, 2], [3, 4]]
    assert {name: each.tolist() for name, each in read({"instances": [{"a": 1}, {"a": 2}]}).items()} == {"a": [1, 2]}
    assert read({"inputs": [{"a": 1, "b": "x"}]}) == [{"a": 1, "b": "x"}]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "Invalid input. Ensure that input is a valid JSON formatted string. Error: "),
        (b"\xff", "Invalid input. Ensure that input is a valid JSON formatted string. Error: 'UnicodeDecodeError'"),
        (b"[" * 100_000, "Invalid input. Ensure that input is a valid JSON formatted string. Error: 'RecursionError'"),
        (
            [1],
            "Invalid input. The input must be a JSON dictionary with exactly one of the input fields "
            "{'dataframe_split', 'dataframe_records', 'instances', 'inputs'}. Received a list.",
        ),
        (5, "Received unexpected input type 'int'."),
        ({"x": 1}, "Received dictionary with input fields: ['x']. IMPORTANT: The MLflow Model scoring protocol"),
        ({"inputs": [1], "instances": [1]}, "Received dictionary with input fields: ['inputs', 'instances']."),
        ({"dataframe_split": [1]}, "Dataframe split format must be a dictionary. Got list."),
        (
            {"dataframe_split": {"columns": ["a"]}},
            "format must have 'data' field and optionally 'columns' and 'index' fields. Got ['columns'].'",
        ),
        ({"dataframe_split": {"data": [[1], [2, 3]]}}, "row 1, counted from 0, does not have 1 values"),
        ({"dataframe_split": {"data": [[1]], "index": [1, 2]}}, "1 rows and 2 entries of the index"),
        ({"dataframe_records": {"a": 1}}, "Dataframe records format must be a list of records. Got dictionary."),
        ({"dataframe_records": [1]}, "record 0, counted from 0, is no object"),
        (
            {"instances": {"a": [1, 2], "b": [1]}},
            "Invalid input. The length of values for each input/column name are not the same",
        ),
        (
            {"instances": [{"a": 1, "b": 1}, {"a": 2}]},
            "The length of values for each input/column name are not the same",
        ),
        ({"inputs": [[1], [2, 3]]}, "Lists of different lengths"),
    ],
    ids=range(16),
)
def test_bodies_that_are_none(body: object, told: str) -> None:
    assert told in refusal(body)


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True, database=None)
@hypothesis.given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.just(SECRET),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "data"]), inner),
        max_leaves=8,
    ),
    st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs"]),
    st.sampled_from(
        [
            None,
            TWO,
            Signature(Schema([ColSpec(DataType.double)])),
            Signature(Schema([TensorSpec("float32", (-1, 2))])),
            Signature(Schema([TensorSpec("float32", (-1,), "a"), TensorSpec("int64", (-1,), "b")])),
            of(("a", Array(Object([Property("data", DataType.datetime)]))), ("b", Map(DataType.binary), False)),
            Signature(Schema([ColSpec(AnyType())])),
        ]
    ),
)
def test_whatever_comes_is_taken_or_refused_in_one_line_that_does_not_repeat_it(
    value: object, form: str, signature: Signature | None
) -> None:
    try:
        enforce(read({form: value}, signature), signature)
    except ToolkitError as problem:
        told = str(problem)
    else:
        return
    assert SECRET not in told
    assert "\n" not in told


def test_parameters_and_other_keys() -> None:
    taken = payload.read(b'{"inputs": [1], "params": {"k": 2}, "signature_name": "x"}', JSON)
    assert (taken.params, taken.wrapped) == ({"k": 2}, True)


def test_chats_go_to_the_model_as_they_are_but_for_its_parameters() -> None:
    signature = Signature(params=ParamSchema([ParamSpec("k", DataType.long, 1)]))
    taken = payload.read(b'{"messages": [{"role": "user"}], "k": 2, "n": 1}', JSON, signature)
    assert taken == payload.Payload(data={"messages": [{"role": "user"}], "n": 1}, params={"k": 2}, wrapped=False)


def test_a_model_with_type_hints_gets_inputs_as_they_came() -> None:
    assert payload.read(b'{"inputs": [{"a": "1"}]}', JSON, raw=True).data == [{"a": "1"}]
    with pytest.raises(InvalidPayload, match="must be a dictionary with 'inputs' key"):
        payload.read(b'{"instances": [1]}', JSON, raw=True)


# -- CSV and parquet ---------------------------------------------------------------------------------

TABLE = of(
    ("l", DataType.long),
    ("i", DataType.integer, False),
    ("d", DataType.double),
    ("f", DataType.float),
    ("t", DataType.boolean),
    ("s", DataType.string),
    ("w", DataType.datetime),
    ("b", DataType.binary),
    ("o", Array(DataType.long)),
)
LINES = 'l,i,d,f,t,s,w,b,o,extra\n1,,1.5,0.5,true,007,2020-01-02,eHk=,"[1, 2]",z\n2,5,,1,0,,,,[],z\n'


def test_csv_in_the_types_of_the_signature() -> None:
    taken = enforce(payload.read(LINES.encode(), "text/csv", TABLE).data, TABLE)
    assert taken.iloc[0].tolist()[2:] == [1.5, 0.5, True, "007", pd.Timestamp("2020-01-02"), b"xy", [1, 2]]
    assert taken["i"].isna().tolist() == [True, False]
    assert [str(taken[name].dtype) for name in "ldft"] == ["int64", "float64", "float32", "bool"]
    assert taken["w"].isna().tolist() == [False, True]


def test_csv_that_pandas_reads_at_once() -> None:
    signature = of(("l", DataType.long), ("d", DataType.double), ("t", DataType.boolean), ("s", DataType.string))
    frame = pd.DataFrame({"l": [1, 2**60 + 1], "d": [1.5, None], "t": [True, False], "s": ["007", "x"]})
    taken = payload.read(frame.to_csv(index=False).encode("utf-8-sig"), "text/csv", signature).data
    pd.testing.assert_frame_equal(enforce(taken, signature), enforce(frame, signature))


def test_csv_names_the_column_and_the_row_that_do_not_fit() -> None:
    with pytest.raises(InvalidPayload, match=r"column l to type 'long'. Error: 'text came, first in row 1"):
        payload.read(f"l\n1\n{SECRET}\n".encode(), "text/csv", of(("l", DataType.long)))
    with pytest.raises(InvalidPayload, match=r"column l to type 'long'. Error: 'null came, first in row 1"):
        payload.read(b"l,m\n1,1\n,1\n", "text/csv", of(("l", DataType.long)))


def test_csv_whose_columns_were_numbers_or_have_no_names() -> None:
    numbers = Signature(Schema([ColSpec(DataType.long, 0), ColSpec(DataType.string, 1)]))
    assert enforce(payload.read(b"0,1\n5,6\n", "text/csv", numbers).data, numbers).iloc[0].tolist() == [5, "6"]
    unnamed = Signature(Schema([ColSpec(DataType.string), ColSpec(DataType.double)]))
    assert enforce(payload.read(b"p,q\n5,6\n", "text/csv", unnamed).data, unnamed).iloc[0].tolist() == ["5", 6.0]
    tensor = Signature(Schema([TensorSpec("float32", (-1, 2))]))
    assert enforce(payload.read(b"p,q\n5,6\n", "text/csv", tensor).data, tensor).tolist() == [[5.0, 6.0]]


def test_csv_without_a_signature() -> None:
    assert payload.read(b"a,b\n1,x\n", "text/csv").data.to_dict(orient="list") == {"a": [1], "b": ["x"]}


@pytest.mark.parametrize("body", [b"", b'a,b\n1,"', b"a\n1,2,3\n4\n5,6,7,8\n"], ids=["empty", "open", "ragged"])
def test_what_is_no_csv(body: bytes) -> None:
    with pytest.raises(InvalidPayload, match="Failed to parse input as a Pandas DataFrame"):
        payload.read(body, "text/csv", TWO)


def test_csv_in_another_encoding() -> None:
    with pytest.raises(InvalidPayload, match="valid UTF-8 encoded string"):
        payload.read("a\nü\n".encode("latin-1"), "text/csv")


def test_parquet() -> None:
    frame = pd.DataFrame({"a": [1, 2], "t": pd.to_datetime(["2020-01-01", "2021-01-01"]).as_unit("ns")})
    taken = payload.read(frame.to_parquet(), "application/vnd.apache.parquet", infer_signature(frame)).data
    pd.testing.assert_frame_equal(taken, frame)
    for broken in (b"", b"PAR1", frame.to_parquet()[:-20], SECRET.encode() * 100):
        with pytest.raises(InvalidPayload, match="valid Parquet Pandas DataFrame") as caught:
            payload.read(broken, "application/vnd.apache.parquet")
        assert SECRET not in str(caught.value)


# -- answers -----------------------------------------------------------------------------------------

ANSWERS: list[tuple[Any, Any]] = [
    (np.array([[1.5, np.nan], [np.inf, 2.0]]), [[1.5, None], [None, 2.0]]),
    (np.array([1, 2], ">i4"), [1, 2]),
    (np.array(["a", None], dtype=object), ["a", None]),
    (np.array([b"abc"]), ["YWJj\n"]),
    (np.array(["2020-01-01"], "datetime64[D]"), ["2020-01-01"]),
    (np.array(["2020-01-01", "NaT"], "datetime64[ns]"), ["2020-01-01T00:00:00.000000000", None]),
    (
        pd.DataFrame({"a": [1, 2], "b": [1.5, None], 3: ["x", "y"]}),
        [{"a": 1, "b": 1.5, "3": "x"}, {"a": 2, "b": None, "3": "y"}],
    ),
    (pd.Series([1.5, 2.5]), [{"0": 1.5}, {"0": 2.5}]),
    (pd.Series([1.5], name="p"), [{"p": 1.5}]),
    (
        pd.DataFrame({"t": [pd.Timestamp("2020-01-02"), pd.NaT], "n": pd.array([1, None], dtype="Int64")}),
        [{"t": "2020-01-02T00:00:00", "n": 1}, {"t": None, "n": None}],
    ),
    ({"a": np.float32(0.5), "b": [np.int64(1), float("nan")]}, {"a": 0.5, "b": [1, None]}),
    ({"x": pd.DataFrame({"a": [1]}), 5: np.array([True])}, {"x": [{"a": 1}], "5": [True]}),
    (["a", b"abc", None, 2**70], ["a", "YWJj\n", None, 2**70]),
    ((1, 2), [1, 2]),
    ("text", "text"),
    (float("nan"), None),
    (dt.datetime(2020, 1, 2, 3, 4, 5), "2020-01-02T03:04:05"),
    (dt.date(2020, 1, 2), "2020-01-02"),
    (sparse.csr_matrix(np.eye(2)), [[1.0, 0.0], [0.0, 1.0]]),
    ("\ud800", "\ud800"),
]


@pytest.mark.parametrize("case", range(len(ANSWERS)))
def test_answers(case: int) -> None:
    given, told = ANSWERS[case]
    body = payload.write(given)
    assert json.loads(body, parse_constant=pytest.fail) == {"predictions": told}
    assert json.loads(payload.write(given, wrapped=False)) == told


@pytest.mark.parametrize("given", [{1, 2}, object(), Decimal(1), np.array([1j]), [lambda: 0]], ids=range(5))
def test_what_cannot_be_an_answer(given: object) -> None:
    with pytest.raises(InvalidValue, match="cannot be written as JSON"):
        payload.write(given)


@pytest.mark.parametrize("name", samples.DATA)
def test_answers_of_every_form_are_strict_json_or_refused(name: str) -> None:
    try:
        body = payload.write(samples.DATA[name]())
    except InvalidValue:
        assert name in ("set", "object", "table with two columns of one name")
        return
    json.loads(body, parse_constant=pytest.fail)


def test_a_mismatch_is_no_payload_error() -> None:
    """Whoever calls can tell a body that cannot be read from data that do not fit."""
    assert not issubclass(SchemaMismatch, InvalidPayload)
