"""Data against a signature: what is taken, what it becomes, and what the refusals say."""

from __future__ import annotations

import datetime as dt
import itertools
import logging
from decimal import Decimal

import hypothesis
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import signature_samples as samples
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse

from toolkit.errors import SchemaMismatch
from toolkit.models.datatypes import AnyType, Array, DataType, Map, Object, Property, Type
from toolkit.models.enforcement import enforce, enforce_params
from toolkit.models.infer import infer_signature
from toolkit.models.params import ParamSchema, ParamSpec
from toolkit.models.schema import ColSpec, Schema, TensorSpec
from toolkit.models.signature import Signature

SECRET = "hunter2"


def of(**columns: Type) -> Signature:
    return Signature(Schema([ColSpec(kind, name) for name, kind in columns.items()]))


def refusal(data: object, signature: Signature) -> SchemaMismatch:
    with pytest.raises(SchemaMismatch) as caught:
        enforce(data, signature)
    assert "\n" not in str(caught.value)
    return caught.value


# -- what was inferred from data takes them ----------------------------------------------------------

TEXTS = st.text(max_size=5)
SCALARS = [
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    TEXTS,
    st.binary(max_size=5),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.decimals().filter(lambda number: not number.is_snan()),  # pandas itself breaks on those
    st.none(),
    arrays.from_dtype(np.dtype("float32")),
    arrays.from_dtype(np.dtype("uint8")),
    arrays.from_dtype(np.dtype("datetime64[ns]")),
]
NESTED = st.recursive(
    st.one_of(SCALARS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
# lists of one kind of value, some of which are missing: what columns are
LISTS = st.sampled_from(SCALARS).flatmap(lambda kind: st.lists(kind | st.none(), min_size=1, max_size=4))
DATA = st.one_of(
    NESTED,
    LISTS,
    st.lists(st.dictionaries(st.sampled_from("abc"), NESTED, max_size=3), max_size=3),
    st.dictionaries(st.sampled_from("abc"), LISTS, max_size=3),
    arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_dims=3, max_side=3)),
    st.lists(LISTS, min_size=1, max_size=3).map(
        lambda lists: pd.DataFrame({at: pd.Series(v, dtype=object) for at, v in enumerate(lists)})
    ),
    st.sampled_from(list(samples.COLUMNS)).map(lambda name: pd.DataFrame({"x": samples.COLUMNS[name]()})),
    st.integers(0, 10**6).map(samples.fuzzed),
)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@hypothesis.settings(
    max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.example([np.float32(0), np.datetime64("NaT", "ns")])
@hypothesis.example([{"a": []}, {"a": 0}])
@hypothesis.example({"a": [None], "b": [2**63, None]})
@hypothesis.example([[False], ""])
@hypothesis.given(DATA)
def test_what_was_inferred_from_data_takes_those_data(data: object) -> None:
    if data is None:
        return
    signature = infer_signature(data)
    enforce(data, signature)
    enforce(data, Signature.from_dict(signature.to_dict()))


ODD: list[object] = [
    *(
        True,
        0,
        2**31,
        2**53 + 1,
        2**63,
        1.5,
        float("nan"),
        float("inf"),
        "x",
        b"x",
        bytearray(b"y"),
        None,
        pd.NaT,
        pd.NA,
    ),
    *(dt.date(1, 1, 1), dt.datetime(9999, 12, 31), dt.datetime(2020, 1, 1, tzinfo=dt.UTC), pd.Timestamp(0), Decimal(1)),
    *(np.float32(0.5), np.uint8(3), np.int32(7), np.uint32(2**32 - 1), np.uint64(2**64 - 1), np.bool_(True), 1j),
    *(np.datetime64("2020-01-01"), np.datetime64("NaT", "ns"), [], [1], [None], {}, {"k": 1}, {"k": None}, (1, 2)),
    *(np.array([1, 2]), np.array([1.5], "float32"), np.array([])),
]


def test_any_two_values_beside_each_other_are_taken_by_what_they_show() -> None:
    for first, second in itertools.combinations_with_replacement(ODD, 2):
        values = [first, second]
        frame = pd.DataFrame({"a": pd.Series(values, dtype=object)})
        rows = [{"a": first}, {"a": second}]
        for data in (values, rows, {"a": {"k": values}}, frame):
            signature = infer_signature(data)
            enforce(data, Signature.from_dict(signature.to_dict()))


def test_numbers_beside_missing_ones_are_not_rounded() -> None:
    signature = Signature(Schema([ColSpec(DataType.long, "a", required=False)]))
    frame = pd.DataFrame({"a": pd.Series([2**53 + 1, None], dtype=object)})
    assert enforce(frame, signature)["a"].tolist() == [2**53 + 1, pd.NA]


@pytest.mark.parametrize("name", samples.COLUMNS)
def test_a_column_takes_what_it_was_inferred_from_and_does_not_touch_it(name: str) -> None:
    frame = pd.DataFrame({"x": samples.COLUMNS[name]()})
    before = frame.copy(deep=True)
    taken = enforce(frame, infer_signature(frame))
    pd.testing.assert_frame_equal(frame, before)
    assert len(taken) == len(frame)


@pytest.mark.parametrize("name", samples.DATA)
def test_data_of_every_form_are_taken_by_what_was_inferred_from_them(name: str) -> None:
    enforce(samples.DATA[name](), infer_signature(samples.DATA[name]()))


# -- tables ------------------------------------------------------------------------------------------


def test_columns_come_in_the_order_of_the_signature_and_others_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    frame = pd.DataFrame({"z": [1], "b": ["x"], "a": [1.5]}, index=[7])
    taken = enforce(frame, of(a=DataType.double, b=DataType.string))
    assert list(taken) == ["a", "b"]
    assert list(taken.index) == [7]
    assert "left out: ['z']" in caplog.text


def test_a_table_that_fits_is_not_copied() -> None:
    frame = pd.DataFrame({"a": [1.5], "b": ["x"]})
    assert enforce(frame, of(a=DataType.double, b=DataType.string)) is frame


def test_data_are_held_against_a_schema_alone() -> None:
    from toolkit.models import validate_schema

    schema = Schema([ColSpec(DataType.long, "a")])
    validate_schema(pd.DataFrame({"a": [1]}), schema)
    with pytest.raises(SchemaMismatch, match="'a': long was wanted, and str came"):
        validate_schema(pd.DataFrame({"a": ["x"]}), schema)


def test_a_missing_column_is_named_in_mlflows_words() -> None:
    problem = refusal(pd.DataFrame({"z": [1]}), of(a=DataType.double))
    assert str(problem) == (
        "Failed to enforce schema: Model is missing inputs ['a']. Note that there were extra inputs: ['z']."
    )
    assert problem.column == "a"


def test_an_optional_column_may_be_missing() -> None:
    schema = Schema([ColSpec(DataType.double, "a"), ColSpec(DataType.long, "b", required=False)])
    assert list(enforce(pd.DataFrame({"a": [1.5]}), Signature(schema))) == ["a"]


def test_a_refusal_names_the_column_what_came_what_was_wanted_and_the_row() -> None:
    problem = refusal(pd.DataFrame({"a": [1.0, 2.0, 2.5]}), of(a=DataType.long))
    assert str(problem) == (
        "Failed to enforce schema: column 'a': long was wanted, and float64 came; "
        "the first row that does not fit is row 2, counted from 0"
    )
    assert (problem.column, problem.came, problem.wanted, problem.row) == ("a", "float64", "long", 2)


def test_a_whole_column_with_missing_values_is_told_from_a_fraction() -> None:
    problem = refusal(pd.DataFrame({"a": [1, None]}), of(a=DataType.long))
    assert "float64 with missing values came" in str(problem)
    assert "declared double, or optional" in str(problem)
    assert problem.row == 1


def test_the_place_in_a_nested_value_is_told() -> None:
    kind = Object([Property("tags", Array(DataType.string)), Property("size", DataType.long)])
    rows = [{"tags": ["x"], "size": 1}, {"tags": ["x", 5], "size": 1}]
    problem = refusal(pd.DataFrame({"o": rows}), of(o=kind))
    assert "column 'o'.tags[1]: string was wanted, and int came" in str(problem)
    assert problem.row == 1


@pytest.mark.parametrize(
    ("data", "signature"),
    [
        (pd.DataFrame({"a": [SECRET]}), of(a=DataType.long)),
        (pd.DataFrame({"a": [SECRET, 5]}), of(a=DataType.double)),
        (pd.DataFrame({"a": [{"k": SECRET}]}), of(a=Object([Property("k", DataType.long)]))),
        (pd.DataFrame({"a": [[SECRET]]}), of(a=Array(DataType.double))),
        (pd.DataFrame({"a": [{"k": SECRET}]}), of(a=Map(DataType.datetime))),
        (pd.DataFrame({"a": pd.Series([SECRET, dt.date(2020, 1, 1)], dtype=object)}), of(a=DataType.datetime)),
        (SECRET, of(a=DataType.long)),
        ([SECRET], of(a=DataType.long, b=DataType.long)),
        ({"a": SECRET}, of(a=DataType.boolean)),
        (np.array([SECRET]), Signature(Schema([TensorSpec("float32", (-1,))]))),
        (pd.DataFrame({"t": [[SECRET]]}), Signature(Schema([TensorSpec("float32", (-1, 1), "t")]))),
        ({"a": [SECRET], "b": [SECRET, SECRET, 5]}, of(a=DataType.long, b=DataType.long)),
    ],
    ids=range(12),
)
def test_no_refusal_repeats_a_value(data: object, signature: Signature) -> None:
    problem = refusal(data, signature)
    assert SECRET not in str(problem)
    assert problem.__cause__ is None


@pytest.mark.parametrize(
    ("kind", "value", "becomes"),
    [
        (DataType.double, 2**53, float(2**53)),
        (DataType.double, -(2**53), -float(2**53)),
        (DataType.float, 1, 1.0),
    ],
)
def test_whole_numbers_become_floats_where_nothing_is_lost(kind: DataType, value: int, becomes: float) -> None:
    taken = enforce(pd.DataFrame({"a": np.array([0, value])}), of(a=kind))
    assert taken["a"].tolist() == [0.0, becomes]


def test_a_whole_number_that_no_double_holds_is_refused_with_its_row() -> None:
    problem = refusal(pd.DataFrame({"a": np.array([1, 2**53 + 1])}), of(a=DataType.double))
    assert problem.row == 1


def test_decimals_become_doubles() -> None:
    assert enforce(pd.DataFrame({"a": [Decimal("1.5")]}), of(a=DataType.double))["a"].dtype == "float64"


def test_categories_stay_categories_if_their_values_fit() -> None:
    frame = pd.DataFrame({"a": pd.Categorical(["x", None, "y"])})
    assert enforce(frame, of(a=DataType.string)) is frame
    assert refusal(frame, of(a=DataType.long)).row == 0


def test_dates_beyond_nanoseconds_and_with_zones_are_dates() -> None:
    far = pd.DataFrame({"a": np.array(["9999-01-01"], "datetime64[s]")})
    assert enforce(far, of(a=DataType.datetime))["a"].iloc[0].year == 9999
    zoned = pd.DataFrame({"a": pd.to_datetime(["2020-01-01"]).tz_localize("Asia/Tokyo").as_unit("s")})
    assert str(enforce(zoned, of(a=DataType.datetime))["a"].dtype) == "datetime64[ns, Asia/Tokyo]"


def test_columns_without_names_are_counted() -> None:
    signature = Signature(Schema([ColSpec(DataType.double), ColSpec(DataType.string)]))
    frame = pd.DataFrame({"p": [1.5], "q": ["x"], "r": [True]})
    assert list(enforce(frame, signature)) == ["p", "q"]
    assert "declares 2 inputs but the provided value only has 1" in str(refusal(frame[["p"]], signature))


def test_rows_and_columns_of_one_name_stay_apart() -> None:
    frame = pd.DataFrame([[1, 2.5, "x"], [3, 4.5, "y"]], columns=["p", "p", "q"], index=[7, 7])
    signature = Signature(Schema([ColSpec(DataType.double), ColSpec(DataType.double)]))
    taken = enforce(frame, signature)
    assert taken.to_numpy().tolist() == [[1.0, 2.5], [3.0, 4.5]]
    assert (list(taken), list(taken.index)) == (["p", "p"], [7, 7])


def test_two_columns_of_one_name_are_refused() -> None:
    assert "came more than once" in str(refusal(pd.DataFrame([[1, 2]], columns=["a", "a"]), of(a=DataType.long)))


@pytest.mark.parametrize(
    "data",
    [
        pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
        pa.table({"a": [1, 2], "b": ["x", "y"]}),
        {"a": [1, 2], "b": ["x", "y"]},
        [{"b": "x", "a": 1}, {"b": "y", "a": 2}],
        {"a": np.array([1, 2]), "b": np.array(["x", "y"])},
    ],
    ids=["polars", "arrow", "dict", "records", "arrays"],
)
def test_what_is_no_table_of_pandas_becomes_one(data: object) -> None:
    taken = enforce(data, of(a=DataType.long, b=DataType.string))
    assert taken.to_dict(orient="list") == {"a": [1, 2], "b": ["x", "y"]}


def test_an_array_is_the_one_column_that_a_signature_names() -> None:
    assert enforce(np.array([1.5, 2.5]), of(a=DataType.double)).to_dict(orient="list") == {"a": [1.5, 2.5]}
    assert "missing inputs" in str(refusal(np.array([1.5]), of(a=DataType.double, b=DataType.double)))


def test_nothing_is_no_table() -> None:
    assert str(refusal(None, of(a=DataType.long))).endswith("Expected input to be DataFrame. Found: None")


def test_numbers_of_python_have_no_width() -> None:
    signature = of(a=DataType.float, b=DataType.integer)
    taken = enforce({"a": 1.5, "b": 5}, signature)
    assert [str(each) for each in taken.dtypes] == ["float32", "int32"]
    assert refusal({"a": 1.5, "b": 2**31}, signature).column == "b"
    assert refusal(pd.DataFrame({"a": [1.5], "b": [5]}), signature).column == "a"


def test_without_a_signature_anything_is_taken() -> None:
    data = object()
    assert enforce(data, None) is data
    assert enforce(data, Signature(params=ParamSchema([ParamSpec("k", DataType.long, 1)]))) is data


def test_a_signature_of_anything_keeps_all_columns() -> None:
    frame = pd.DataFrame({"a": [1], "b": [2]})
    assert enforce(frame, Signature(Schema([ColSpec(AnyType())]))) is frame


# -- tensors -----------------------------------------------------------------------------------------


def test_tensors_keep_their_type_and_shape() -> None:
    signature = Signature(Schema([TensorSpec("float32", (-1, 2))]))
    data = np.zeros((3, 2), "float32")
    assert enforce(data, signature) is data
    assert "an array of float32 was wanted, and one of float64 came" in str(refusal(data.astype("float64"), signature))
    assert "shape [-1, 2] was wanted, and one of the shape [3, 3] came" in str(
        refusal(np.zeros((3, 3), "float32"), signature)
    )
    assert "list came" in str(refusal([[1, 2]], signature))
    matrix = sparse.csr_matrix(data)
    assert enforce(matrix, signature) is matrix


def test_tables_become_tensors_by_name() -> None:
    signature = Signature(Schema([TensorSpec("float32", (-1, 2), "a"), TensorSpec("int64", (-1,), "b")]))
    taken = enforce(pd.DataFrame({"b": [1, 2], "a": [[1, 2], [3, 4]]}), signature)
    assert taken["a"].dtype == np.float32
    assert taken["a"].tolist() == [[1, 2], [3, 4]]
    assert taken["b"].tolist() == [1, 2]
    ragged = refusal(pd.DataFrame({"b": [1, 2], "a": [[1, 2], [3]]}), signature)
    assert (ragged.column, ragged.row) == ("a", 1)
    assert "missing inputs ['b']" in str(refusal({"a": np.zeros((1, 2), "float32")}, signature))


def test_a_table_of_numbers_is_an_array_without_a_name() -> None:
    signature = Signature(Schema([TensorSpec("float64", (-1, 2))]))
    assert enforce(pd.DataFrame({"a": [1.0], "b": [2.0]}), signature).tolist() == [[1.0, 2.0]]
    assert "empty" in str(refusal(pd.DataFrame({"a": []}), signature))


# -- parameters --------------------------------------------------------------------------------------

PARAMS = Signature(
    params=ParamSchema(
        [
            ParamSpec("k", DataType.long, 3),
            ParamSpec("t", DataType.double, 0.5),
            ParamSpec("l", DataType.string, ["a"], (-1,)),
        ]
    )
)


def test_parameters_are_completed_and_unknown_ones_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert enforce_params({"t": 1, "zz": 5}, PARAMS) == {"k": 3, "t": 1.0, "l": ["a"]}
    assert "no parameters zz" in caplog.text
    assert enforce_params(None, PARAMS) == {"k": 3, "t": 0.5, "l": ["a"]}


def test_parameters_that_the_model_does_not_have_are_not_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert enforce_params({"k": 1}, of(a=DataType.long)) == {}
    assert "takes no parameters" in caplog.text


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"k": "5"}, "the parameter 'k': long was wanted, and str came"),
        ({"k": True}, "the parameter 'k': long was wanted, and bool came"),
        ({"t": "0.5"}, "the parameter 't': double was wanted, and str came"),
        ({"l": "a"}, "the parameter 'l': a list of string was wanted, and str came"),
        ([1], "Parameters must be a dictionary. Got type 'list'."),
    ],
    ids=range(5),
)
def test_parameters_that_do_not_fit(params: object, told: str) -> None:
    with pytest.raises(SchemaMismatch, match=told.replace("(", r"\(")):
        enforce_params(params, PARAMS)  # type: ignore[arg-type]
