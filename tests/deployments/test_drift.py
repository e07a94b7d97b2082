"""Drift: inputs like the training data's are no news, others are, and a few rows prove nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

import toolkit
from toolkit.deployments.drift import ColumnDrift, Inputs, Verdict, references

RANDOM = np.random.default_rng(7)
ROWS = 4_000
TRAINED = pd.DataFrame(
    {
        "age": RANDOM.normal(40, 10, ROWS).round(),
        "income": RANDOM.lognormal(10, 1, ROWS),
        "colour": RANDOM.choice(["red", "green", "blue"], ROWS, p=[0.6, 0.3, 0.1]),
        "member": RANDOM.random(ROWS) < 0.3,
        "name": [f"person {number}" for number in range(ROWS)],
    }
)
PROFILE = toolkit.data.from_pandas(TRAINED).to_dict()["profile"]


def measured(rows: Iterable[Mapping[str, object]]) -> dict[str, ColumnDrift]:
    """Return the drift of rows by column."""
    inputs = Inputs(references(PROFILE).values(), ROWS)
    for row in rows:
        inputs.add(row)
    return {column.name: column for column in inputs.drift()}


def fresh(rows: int, seed: int = 1, **changed: Any) -> list[dict[str, object]]:  # noqa: ANN401 - columns
    """Return rows as the training data's are, some columns of them changed."""
    sample = TRAINED.sample(rows, random_state=seed, replace=True).assign(**changed)
    found: list[dict[str, object]] = json.loads(sample.to_json(orient="records"))
    return found


@pytest.mark.parametrize("rows", [60, 200, 2_000])
def test_rows_like_those_of_training_are_the_same(rows: int) -> None:
    """Whatever sample comes: the index of sixty rows is above 0.1 by chance alone, and that is no drift."""
    for seed in range(20):
        found = measured(fresh(rows, seed))
        assert {name: found[name].verdict for name in ("age", "income", "colour", "member")} == dict.fromkeys(
            ("age", "income", "colour", "member"), Verdict.SAME
        )
    assert found["name"].verdict is Verdict.UNKNOWN
    assert found["name"].index is None


@pytest.mark.parametrize("rows", [100, 2_000])
def test_what_changed_is_named_and_stands_first(rows: int) -> None:
    found = measured(fresh(rows, age=RANDOM.normal(60, 10, rows)))
    assert next(iter(found)) == "age"
    assert found["age"].verdict is Verdict.DRIFTED
    assert (found["age"].index or 0) > 0.25
    assert found["income"].verdict is found["colour"].verdict is Verdict.SAME


def test_the_index_is_what_the_formula_says() -> None:
    rows = [{"colour": "red"}] * 300 + [{"colour": "green"}] * 300 + [{"colour": "blue"}] * 400
    reference = references(PROFILE)["colour"].values or {}
    now = {"red": 0.3, "green": 0.3, "blue": 0.4}
    expected = sum((now[name] - share) * np.log(now[name] / share) for name, share in reference.items())
    assert measured(rows)["colour"].index == pytest.approx(expected, rel=0.05)


def test_missing_values_new_categories_and_values_out_of_range() -> None:
    rows = fresh(200)
    for row in rows[:60]:
        row["income"] = None
        row["colour"] = "purple"
        row["age"] = 500
        del row["member"]
    found = measured(rows)
    assert (found["income"].missing, found["income"].missing_before) == (0.3, 0.0)
    assert (found["colour"].outside, found["age"].outside) == (0.3, 0.3)
    assert found["member"].missing == 0.3
    assert {found[name].verdict for name in ("age", "income", "colour", "member")} == {Verdict.DRIFTED}


def test_a_few_rows_prove_nothing() -> None:
    assert {column.verdict for column in measured([{"age": 500}] * 10).values()} == {Verdict.FEW}
    assert {column.verdict for column in measured([]).values()} == {Verdict.FEW}


def test_odd_values_do_no_harm() -> None:
    odd: list[dict[str, object]] = [
        {"age": "forty", "colour": 5, "member": [1], "income": float("inf")},
        {"age": float("nan"), "colour": None, "member": {}, "income": -(10**400)},
        {"other": 1},
    ]
    inputs = Inputs(references(PROFILE).values(), ROWS)
    for row in odd * 100:
        inputs.add(row)
    assert {column.verdict for column in inputs.drift() if column.name != "name"} == {Verdict.DRIFTED}
    assert inputs.others == {"other"}


@pytest.mark.parametrize(
    "profile",
    [
        None,
        "",
        "no json",
        "[]",
        '{"num_rows": 3}',
        '{"columns": 3}',
        '{"columns": [3, null, {"name": "a", "edges": 1}]}',
    ],
)
def test_a_profile_of_somebody_else_says_nothing(profile: str | None) -> None:
    assert references(profile) == {}
