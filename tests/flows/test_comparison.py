"""Two runs side by side: which differences are within a tolerance."""

from __future__ import annotations

import math

import pytest

from toolkit.errors import InvalidValue
from toolkit.flows.comparison import Results, compare, read_tolerance
from toolkit.tracking.records import ArtifactEntry


def results(label: str, files: dict[str, str] | None = None, **metrics: float) -> Results:
    entries = [ArtifactEntry(path=path, size=1, sha256=digest) for path, digest in (files or {}).items()]
    return Results(label=label, run_id="a" * 32, metrics=metrics, files=entries)


@pytest.mark.parametrize(
    ("texts", "old", "new", "within"),
    [
        ([], 0.5, 0.5, True),
        ([], 0.5, math.nextafter(0.5, 1), False),
        (["0.01"], 100.0, 100.9, True),
        (["0.01"], 100.0, 101.1, False),
        (["0.01"], 0.0, 0.005, True),
        (["1%"], 0.0, 0.005, False),
        (["1%"], -100.0, -100.9, True),
        (["rmse=0.1"], 1.0, 1.05, True),
        (["train.rmse=0.1"], 1.0, 1.05, True),
        (["other.rmse=0.1", "mae=1"], 1.0, 1.05, False),
        (["1", "train.rmse=0"], 1.0, 1.05, False),
        ([], math.nan, math.nan, True),
        (["1"], math.nan, 1.0, False),
        ([], math.inf, math.inf, True),
        (["1"], math.inf, -math.inf, False),
        (["100%"], 1.0, math.inf, False),
    ],
    ids=range(16),
)
def test_a_tolerance_holds_or_not(texts: list[str], old: float, new: float, within: bool) -> None:
    found = compare([results("train a=1", rmse=old)], [results("train a=1", rmse=new)], read_tolerance(texts))
    assert [row.within for row in found.metrics] == [within]
    assert found.same(outputs=True) is within


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf", "rmse=", "rmse=x%", "=1"])
def test_a_tolerance_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="--tolerance"):
        read_tolerance([text])


@pytest.mark.parametrize("texts", [["1", "2"], ["rmse=1", "rmse=2"]], ids=["general", "named"])
def test_two_tolerances_for_the_same_are_refused(texts: list[str]) -> None:
    with pytest.raises(InvalidValue, match="another one for the same"):
        read_tolerance(texts)


def test_what_is_on_one_side_only_is_a_difference() -> None:
    old = [
        results("a", {"model": "1", "logs/output.log": "1"}, rmse=1, mae=4, **{"system/cpu_seconds": 1}),
        results("b"),
    ]
    new = [
        results("a", {"model": "2", "logs/output.log": "2"}, rmse=3, r2=0, **{"system/cpu_seconds": 2}),
        results("c"),
    ]
    found = compare(old, new, read_tolerance(["9"]))
    assert [(row.metric, row.old, row.new, row.difference, row.relative, row.within) for row in found.metrics] == [
        ("mae", 4, None, None, None, False),
        ("r2", None, 0, None, None, False),
        ("rmse", 1, 3, 2, 2, True),
    ]
    assert [(row.path, row.same) for row in found.outputs] == [("model", False)]
    assert (found.only_old, found.only_new) == (["b"], ["c"])
    assert not found.same(outputs=False)


def test_files_count_where_that_is_asked_for() -> None:
    found = compare([results("a", {"m": "1"}, x=1)], [results("a", {"m": "2"}, x=1)], read_tolerance([]))
    assert (found.same(outputs=False), found.same(outputs=True)) == (True, False)
