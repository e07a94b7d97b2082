"""Samples that this project and MLflow are both asked about: nothing but pandas, NumPy and SciPy is imported here."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

KINDS = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")


def _s(values: object, dtype: object = None) -> pd.Series:
    return pd.Series(values, dtype=dtype)


DAY = dt.date(2020, 1, 2)
MOMENT = dt.datetime(2020, 1, 2, 3, 4, 5)

COLUMNS: Mapping[str, Callable[[], pd.Series]] = {
    "bool": lambda: _s([True, False]),
    **{name: lambda name=name: _s([5, 7], name) for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32")},  # type: ignore[misc]
    "int64": lambda: _s([5, 7]),
    "int64 of bits": lambda: _s([0, 1]),
    "int64 beyond doubles": lambda: _s([2**53 + 1, 0]),
    "uint64": lambda: _s([5, 7], "uint64"),
    "float16": lambda: _s([1.5, 2], "float16"),
    "float32": lambda: _s([1.5, 2], "float32"),
    "float64": lambda: _s([1.5, 2]),
    "float64 whole": lambda: _s([1.0, 2]),
    "float64 missing": lambda: _s([1.5, None]),
    "float64 whole missing": lambda: _s([1.0, None]),
    "float64 only missing": lambda: _s([None, None], "float64"),
    "complex": lambda: _s([1j]),
    "text": lambda: _s(["a", "b"]),
    "text missing": lambda: _s(["a", None]),
    "text as objects": lambda: _s(["a", "b"], object),
    "text as objects missing": lambda: _s(["a", None], object),
    "text of dates": lambda: _s(["2020-01-01", "2021-01-01"]),
    "text of dates as objects": lambda: _s(["2020-01-01", "2021-01-01"], object),
    "bytes": lambda: _s([b"a", b"bc"]),
    "bytes missing": lambda: _s([b"a", None]),
    "objects of bools": lambda: _s([True, False], object),
    "objects of bools missing": lambda: _s([True, None], object),
    "objects of ints": lambda: _s([5, 7], object),
    "objects of ints missing": lambda: _s([5, None], object),
    "objects of bits": lambda: _s([0, 1], object),
    "objects of floats": lambda: _s([1.5, 2.5], object),
    "decimals": lambda: _s([Decimal("1.5"), Decimal(2)]),
    "mixed": lambda: _s([1, "a"], object),
    "mixed numbers": lambda: _s([1, 2.5], object),
    "only None": lambda: _s([None, None], object),
    "no objects": lambda: _s([], object),
    "no floats": lambda: _s([], "float64"),
    "dates": lambda: _s([DAY, DAY]),
    "moments as objects": lambda: _s([MOMENT, MOMENT], object),
    "datetime64[ns]": lambda: _s([MOMENT, MOMENT], "datetime64[ns]"),
    "datetime64[s]": lambda: _s([MOMENT, MOMENT], "datetime64[s]"),
    "datetime64 missing": lambda: _s([MOMENT, None], "datetime64[us]"),
    "datetime64 of a zone": lambda: _s(pd.to_datetime([MOMENT, MOMENT]).tz_localize("Europe/Paris")),
    "timedelta": lambda: _s(pd.to_timedelta([1, 2])),
    "category of text": lambda: _s(["a", "b"], "category"),
    "category of text missing": lambda: _s(["a", None], "category"),
    "category of ints": lambda: _s([5, 7], "category"),
    "category of floats": lambda: _s([1.5, 7], "category"),
    "Int64": lambda: _s([5, 7], "Int64"),
    "Int64 missing": lambda: _s([5, None], "Int64"),
    "Int32": lambda: _s([5, 7], "Int32"),
    "Float64 missing": lambda: _s([1.5, None], "Float64"),
    "boolean": lambda: _s([True, False], "boolean"),
    "boolean missing": lambda: _s([True, None], "boolean"),
    "string[python]": lambda: _s(["a", None], pd.StringDtype("python")),
    "int64[pyarrow]": lambda: _s([5, 7], "int64[pyarrow]"),
    "string[pyarrow]": lambda: _s(["a", "b"], "string[pyarrow]"),
    "sparse floats": lambda: pd.Series(pd.arrays.SparseArray([0.0, 1.5])),
    "lists of ints": lambda: _s([[1, 2], [3]]),
    "lists of texts missing": lambda: _s([["a"], None]),
    "lists with missing": lambda: _s([["a", None], ["b"]]),
    "lists with empty ones": lambda: _s([[1], []]),
    "empty lists": lambda: _s([[], []]),
    "lists of lists": lambda: _s([[[1.5], [2.5]], [[1.5]]]),
    "lists of different types": lambda: _s([[1], ["a"]]),
    "arrays of float32": lambda: _s([np.array([1.5], "float32"), np.array([2.5], "float32")]),
    "dicts": lambda: _s([{"k": 1, "z": "a"}, {"k": 2, "z": "b"}]),
    "dicts with keys missing": lambda: _s([{"k": 1}, {"k": 2, "z": 1.5}]),
    "dicts with None": lambda: _s([{"k": 1}, {"k": None}]),
    "dicts of lists of dicts": lambda: _s([{"k": [{"q": 1}, {"q": 2, "r": "a"}]}]),
    "dicts of different types": lambda: _s([{"k": 1}, {"k": "a"}]),
    "empty dicts": lambda: _s([{}, {}]),
    "sets": lambda: _s([{1}, {2}]),
    "tuples": lambda: _s([(1, 2), (3, 4)]),
    "timestamps in lists": lambda: _s([[pd.Timestamp(MOMENT)]]),
    "moments in lists": lambda: _s([[MOMENT]]),
}

DATA: Mapping[str, Callable[[], Any]] = {
    "table": lambda: pd.DataFrame({"a": [1.5, 2], "b": ["x", None], "c": [True, False]}),
    "table with numbers for names": lambda: pd.DataFrame([[1.5, "a"], [2.5, "b"]]),
    "table with two columns of one name": lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "table with tuples for names": lambda: pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])
    ),
    "table without rows": lambda: pd.DataFrame({"a": _s([], "float64"), "b": _s([], object)}),
    "table without columns": lambda: pd.DataFrame(index=[0, 1]),
    "series": lambda: _s([1.5, 2.5]),
    "series with a name": lambda: _s([1.5, None]).rename("a"),
    "series with missing": lambda: _s([1.5, None]),
    "array": lambda: np.zeros((2, 3)),
    "array of ints": lambda: np.array([1, 2], "int32"),
    "array of texts": lambda: np.array(["a", "bcd"]),
    "array of bytes": lambda: np.array([b"a", b"bcd"]),
    "array of objects": lambda: np.array(["a", None], dtype=object),
    "array of dates": lambda: np.array(["2020-01-01"], "datetime64[D]"),
    "array of float32, deep": lambda: np.zeros((2, 3, 4, 1), "float32"),
    "array without dimensions": lambda: np.array(5),
    "array without rows": lambda: np.zeros((0, 3)),
    "array, big endian": lambda: np.zeros((2,), ">f8"),
    "csr": lambda: sparse.csr_matrix(np.eye(3, dtype="float32")),
    "csc": lambda: sparse.csc_matrix(np.eye(3)),
    "arrays by name": lambda: {"a": np.zeros((2, 3)), "b": np.array(["x", "y"])},
    "dict of scalars": lambda: {"a": 1, "b": 1.5, "c": "x", "d": True, "e": b"x"},
    "dict of None": lambda: {"a": None, "b": 1},
    "dict of lists": lambda: {"a": [1, 2], "b": ["x", "y"]},
    "dict of lists of texts": lambda: {"a": ["x", "y"]},
    "dict of lists with None": lambda: {"a": [1, None]},
    "dict of an empty list": lambda: {"a": [], "b": [1]},
    "dict of dicts": lambda: {"a": {"k": 1}, "b": [{"q": "x"}, {"q": "y", "r": 1}]},
    "dict of an empty dict": lambda: {"a": {}, "b": 1},
    "dict with numbers for names": lambda: {1: "a"},
    "empty dict": dict,
    "dict of an array and a list": lambda: {"a": np.array([1.5]), "b": [1]},
    "list of dicts": lambda: [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
    "list of dicts, keys missing": lambda: [{"a": 1}, {"a": 2, "b": "y"}],
    "list of dicts with None": lambda: [{"a": None, "b": 1.5}, {"a": "x", "b": 2.5}],
    "list of dicts of lists": lambda: [{"a": [1, 2]}, {"a": [3]}],
    "list of ints": lambda: [1, 2],
    "list of texts": lambda: ["a", "b"],
    "list with None": lambda: ["a", None],
    "list of lists": lambda: [[1, 2], [3, 4]],
    "list of mixed": lambda: [1, "a"],
    "list of None": lambda: [None],
    "empty list": list,
    "text": lambda: "a",
    "int": lambda: 5,
    "float": lambda: 1.5,
    "nan": lambda: float("nan"),
    "bool": lambda: True,
    "bytes": lambda: b"a",
    "moment": lambda: MOMENT,
    "NumPy's int32": lambda: np.int32(5),
    "NumPy's float32": lambda: np.float32(5),
    "set": lambda: {1, 2},
    "tuple": lambda: (1, 2),
    "object": lambda: object(),
}

PARAMS: Mapping[str, Callable[[], Any]] = {
    "bool": lambda: True,
    "int": lambda: 5,
    "float": lambda: 1.5,
    "text": lambda: "a",
    "NumPy's int32": lambda: np.int32(5),
    "NumPy's int64": lambda: np.int64(5),
    "NumPy's float32": lambda: np.float32(1.5),
    "NumPy's float64": lambda: np.float64(1.5),
    "NumPy's bool": lambda: np.bool_(True),
    "NumPy's text": lambda: np.str_("a"),
    "date": lambda: DAY,
    "moment": lambda: MOMENT,
    "datetime64": lambda: np.datetime64("2020-01-02"),
    "list of ints": lambda: [1, 2],
    "list of numbers": lambda: [1, 2.5],
    "list of texts": lambda: ["a", "b"],
    "list of bools": lambda: [True, False],
    "list of moments": lambda: [MOMENT, MOMENT],
    "empty list": list,
    "array": lambda: np.array([1.5, 2.5]),
    "array of ints": lambda: np.array([1, 2], "int32"),
    "dict": lambda: {"k": 1, "z": ["a"]},
    "nested dict": lambda: {"k": {"q": 1.5}},
    "list of lists": lambda: [[1]],
    "list of mixed": lambda: [1, "a"],
    "bytes": lambda: b"a",
    "None": lambda: None,
    "empty dict": dict,
    "tuple": lambda: (1, 2),
    "set": lambda: {1},
    "text of a date": lambda: "2020-01-02",
    "text of a month": lambda: "2020-01",
    "text of a moment": lambda: "2020-01-02T03:04:05.000678",
    "large int": lambda: 2**40,
    "whole float": lambda: 2.0,
}

_WORDS = ("a", "b", "c", "d")


def fuzzed(seed: int) -> Any:  # noqa: ANN401 - of many types
    """Return a sample that a number stands for: a table, columns of nested values, a dict or a list."""
    draw = random.Random(seed)
    names = draw.sample(_WORDS, draw.randint(1, 4))
    rows = draw.randint(1, 4)
    form = draw.randrange(5)
    if form == 0:
        return pd.DataFrame({name: draw.choice(list(COLUMNS.values()))().head(2) for name in names})
    if form == 1:
        return pd.DataFrame({name: pd.Series(_values(draw, rows)) for name in names})
    if form == 2:
        return {name: _value(draw, 2) for name in names}
    if form == 3:
        makers = {name: _shape(draw, 2) for name in names}
        return [{n: make(draw) for n, make in makers.items() if draw.random() > 0.2} for _ in range(rows)]
    return _values(draw, rows)


def _values(draw: random.Random, rows: int) -> list[Any]:
    make = _shape(draw, 2)
    return [make(draw) if draw.random() > 0.15 else draw.choice((None, float("nan"), make(draw))) for _ in range(rows)]


def _value(draw: random.Random, depth: int) -> object:
    return _shape(draw, depth)(draw)


def _shape(draw: random.Random, depth: int) -> Callable[[random.Random], Any]:
    """Return what makes values of one shape, some of which lack something."""
    form = draw.randrange(10 if depth else 7)
    scalars: list[Callable[[random.Random], Any]] = [
        lambda each: each.randint(-9, 9),
        lambda each: each.random(),
        lambda each: each.choice(_WORDS),
        lambda each: each.random() > 0.5,
        lambda each: each.choice((b"a", b"bc")),
        lambda each: MOMENT + dt.timedelta(days=each.randint(0, 9)),
        lambda each: np.float32(each.randint(0, 9)),
    ]
    if form < 7:
        return scalars[form]
    inner = _shape(draw, depth - 1)
    if form == 7:
        return lambda each: [inner(each) for _ in range(each.randint(0, 3))]
    names = draw.sample(_WORDS, draw.randint(1, 3))
    sure = draw.random() > 0.5
    makers = {name: _shape(draw, depth - 1) for name in names}
    return lambda each: {name: make(each) for name, make in makers.items() if sure or each.random() > 0.3}
