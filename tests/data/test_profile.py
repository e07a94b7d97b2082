"""What a dataset's profile says of its columns: enough to tell later data from these, and no more than fits."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import toolkit
from toolkit.data import profile


def columns_of(dataset: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - a dataset of any kind
    """Return the columns of a dataset's profile by name, as they are kept."""
    return {column["name"]: column for column in json.loads(dataset.to_dict()["profile"])["columns"]}


def test_numbers_are_cut_into_parts_of_like_weight() -> None:
    values = np.random.default_rng(1).normal(10, 2, 5_000)
    values[:50] = np.nan
    column = columns_of(toolkit.data.from_pandas(pd.DataFrame({"x": values})))["x"]
    assert column["missing"] == 0.01
    assert (column["min"], column["max"]) == (np.nanmin(values), np.nanmax(values))
    assert len(column["edges"]) == 9
    assert column["shares"] == pytest.approx([0.1] * 10, abs=0.001)


@pytest.mark.parametrize(
    ("values", "edges", "shares"),
    [
        ([0, 1, 1, 1], [0], [0.25, 0.75]),
        ([0] * 99 + [7], [0], [0.99, 0.01]),
        ([5, 5, 5], [], [1.0]),
        ([1.0, None, 3.0, float("inf")], [1.0], [0.5, 0.5]),
    ],
    ids=["two values", "hardly any other", "one value", "missing and infinite"],
)
def test_numbers_of_few_values(values: list[Any], edges: list[float], shares: list[float]) -> None:
    column = columns_of(toolkit.data.from_pandas(pd.DataFrame({"x": values})))["x"]
    assert (column["edges"], column["shares"]) == (edges, shares)


def test_categories_have_shares_and_texts_have_none() -> None:
    frame = pd.DataFrame(
        {
            "colour": ["red", "red", "blue", None],
            "flag": [True, False, False, False],
            "name": ["Ada", "Bob", "Cyd", "Dan"],
            "prose": ["x" * 100] * 4,
            "when": pd.to_datetime(["2024-01-01"] * 4),
            "list": [[1]] * 4,
        }
    )
    columns = columns_of(toolkit.data.from_pandas(frame))
    assert columns["colour"] == {"name": "colour", "missing": 0.25, "values": {"red": 0.666667, "blue": 0.333333}}
    assert columns["flag"]["values"] == {"false": 0.75, "true": 0.25}
    for name in ("name", "prose", "when", "list"):  # nothing that a person could be known by
        assert columns[name] == {"name": name, "missing": 0.0}


def test_polars_and_arrays_say_the_same() -> None:
    frame = pd.DataFrame({"0": [1.0, 2.0, 3.0, 4.0], "1": [1.0, 1.0, 0.0, 1.0]})
    told = columns_of(toolkit.data.from_pandas(frame))
    assert columns_of(toolkit.data.from_polars(pl.DataFrame(frame.to_dict("list")))) == told
    assert columns_of(toolkit.data.from_numpy(frame.to_numpy())) == told
    texts = columns_of(toolkit.data.from_polars(pl.DataFrame({"s": ["a", "a", None], "b": [True, None, True]})))
    assert texts["s"] == {"name": "s", "missing": 0.333333, "values": {"a": 1.0}}
    assert texts["b"]["values"] == {"true": 1.0}


def test_what_is_kept_is_bounded() -> None:
    wide = toolkit.data.from_pandas(pd.DataFrame(np.random.default_rng(1).normal(size=(30, 5_000))))
    assert len(columns_of(wide)) <= profile.COLUMNS
    assert len(str(wide.to_dict()["profile"])) < 70_000
    long = toolkit.data.from_pandas(pd.DataFrame({"x": np.arange(1_000_000)}))
    assert columns_of(long)["x"]["shares"] == pytest.approx([0.1] * 10, abs=0.001)
    assert "columns" not in (toolkit.data.from_pandas(pd.DataFrame({"a": []})).profile or {})
    assert "columns" not in (toolkit.data.from_numpy(np.zeros((4, 3, 3))).profile or {})
