"""What a function was given and gave back, told by type."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from toolkit.recording.capture import argument_params, log_result
from toolkit.recording.run import RecordedRun


def logged(run: RecordedRun, function: Callable[..., object]) -> tuple[dict[str, float], dict[str, str]]:
    """Log a function's result; return the metrics, and the artifacts with their texts (binary ones cut short)."""
    log_result(run, function, function())
    artifacts = {}
    for entry in run.stores.runs.list_artifacts(run.run_id).items:
        local = run.local_path(entry.path)
        assert local is not None
        artifacts[entry.path] = local.read_bytes()[:2000].decode("utf-8", "replace")
    return dict(run.read().data.metrics), artifacts


# -- arguments ---------------------------------------------------------------------------------------


def params(*args: object, **kwargs: object) -> dict[str, str]:
    def function(first: object, second: object = 0.5, *rest: object, option: object = None, **more: object) -> None: ...

    return argument_params(function, args, kwargs)


def test_arguments_become_parameters_with_their_defaults() -> None:
    assert params("x", option=Path("a/b")) == {
        "first": "x",
        "second": "0.5",
        "rest": "[]",
        "option": "a/b",
        "more": "{}",
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "True"),
        (1e-5, "1e-05"),
        ([1, 2], "[1, 2]"),
        ({"a": 1}, '{"a": 1}'),
        ({"b", "a"}, '["a", "b"]'),
        (Decimal("1.50"), "1.50"),
        (list(range(1000)), "<list of 1000>"),
        ([object()], "<list of 1>"),
        (np.float64(0.25), "0.25"),
        (np.zeros((3, 4)), "<ndarray 3x4>"),
        (pd.DataFrame({"a": [1, 2]}), "<DataFrame 2x1>"),
        (LogisticRegression(), "<LogisticRegression>"),
    ],
)
def test_values_are_written_out_or_described(value: object, text: str) -> None:
    assert params(value)["first"] == text


def test_a_long_text_is_cut_to_what_a_parameter_holds() -> None:
    assert len(params("x" * 100_000)["first"]) == 6000


def test_self_is_no_parameter() -> None:
    class Model:
        def fit(self, rate: float) -> None: ...

    assert argument_params(Model.fit, (Model(), 0.5), {}) == {"rate": "0.5"}


# -- results -----------------------------------------------------------------------------------------


def test_a_number_is_a_metric_by_the_functions_name(run: RecordedRun) -> None:
    def score() -> int:
        return 3

    assert logged(run, score) == ({"score": 3.0}, {})


@pytest.mark.parametrize("value", [np.float32(0.5), np.array(0.5), Fraction(1, 2), Decimal("0.5")])
def test_numbers_of_other_libraries_are_numbers(run: RecordedRun, value: object) -> None:
    def score() -> object:
        return value

    assert logged(run, score)[0] == {"score": 0.5}


@pytest.mark.parametrize("value", [None, True, "text", [1, 2], 1j, object(), np.zeros(3), LogisticRegression])
def test_what_is_no_number_and_no_file_is_not_logged(run: RecordedRun, value: object) -> None:
    def score() -> object:
        return value

    assert logged(run, score) == ({}, {})


def test_an_annotation_names_the_result(run: RecordedRun) -> None:
    def score() -> Annotated[float, "rmse"]:
        return 0.5

    assert logged(run, score)[0] == {"rmse": 0.5}


def test_a_mapping_has_names(run: RecordedRun) -> None:
    def score() -> dict[str, object]:
        return {"rmse": 0.5, "name": "x", "count": 3}

    assert logged(run, score)[0] == {"rmse": 0.5, "count": 3.0}


def test_parts_of_a_tuple_are_named_by_annotation_else_numbered(run: RecordedRun) -> None:
    def score() -> tuple[float, Annotated[float, "r2"]]:
        return 0.5, 0.9

    assert logged(run, score)[0] == {"score.0": 0.5, "r2": 0.9}


def test_named_tuples_and_dataclasses_have_names(run: RecordedRun) -> None:
    class Pair(NamedTuple):
        rmse: float
        note: str

    @dataclasses.dataclass
    class Scores:
        r2: float
        note: str

    def pair() -> Pair:
        return Pair(0.5, "x")

    def scores() -> Scores:
        return Scores(0.9, "x")

    logged(run, pair)
    assert logged(run, scores)[0] == {"rmse": 0.5, "r2": 0.9}


def test_an_annotation_that_cannot_be_read_is_no_harm(run: RecordedRun) -> None:
    def score() -> float:
        return 0.5

    score.__annotations__["return"] = "NotThereAtAll"
    assert logged(run, score)[0] == {"score": 0.5}


def test_an_argument_that_only_a_type_checker_knows_does_not_hide_the_results_name(run: RecordedRun) -> None:
    def score(table: object = None) -> Annotated[float, "rmse"]:
        return 0.5

    score.__annotations__["table"] = "NotThereAtAll"
    assert logged(run, score)[0] == {"rmse": 0.5}


def test_a_result_that_cannot_be_logged_does_no_harm(run: RecordedRun, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def savefig(self, path: str) -> None:
            raise RuntimeError(f"no display for {Path(path).suffix}")

    Broken.__module__ = "matplotlib.figure"

    def work() -> dict[str, object]:
        return {"curve": Broken(), "accuracy in %": 0.5}

    assert logged(run, work) == ({"accuracy in _": 0.5}, {})
    assert "'curve' was not logged: no display for .png" in caplog.text


def test_a_lambda_has_a_name_that_can_be_logged(run: RecordedRun) -> None:
    assert logged(run, lambda: 0.5)[0] == {"_lambda_": 0.5}


def test_files_and_folders_become_artifacts(run: RecordedRun, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w.txt").write_text("w")
    (tmp_path / "report.md").write_text("report")

    def work() -> dict[str, Path]:
        return {"a": tmp_path / "report.md", "b": tmp_path / "model", "c": tmp_path / "nowhere"}

    assert logged(run, work) == ({}, {"model/w.txt": "w", "report.md": "report"})


def test_a_frame_becomes_a_table(run: RecordedRun) -> None:
    def table() -> pd.DataFrame:
        return pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})

    assert [line.split(",")[-2:] for line in logged(run, table)[1]["table.csv"].split()] == [
        ["a", "b"],
        ["1", "x"],
        ["2", "y"],
    ]


def test_a_figure_becomes_a_picture(run: RecordedRun) -> None:
    class Figure:
        def savefig(self, path: str) -> None:
            Path(path).write_text("picture")

    Figure.__module__ = "matplotlib.figure"

    def curve() -> Annotated[object, "roc/curve"]:
        return Figure()

    assert logged(run, curve)[1] == {"roc/curve.png": "picture"}


def test_an_estimator_leaves_its_class_and_parameters(run: RecordedRun) -> None:
    def train() -> LogisticRegression:
        return LogisticRegression(C=0.5)

    description = json.loads(logged(run, train)[1]["train.estimator.json"])
    assert description["class"].endswith("LogisticRegression")
    assert description["parameters"]["C"] == "0.5"
