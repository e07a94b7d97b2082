"""Metrics, curves, slices and thresholds: held against scikit-learn's, whose definitions they have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from toolkit.errors import InvalidValue
from toolkit.models.evaluation import curve
from toolkit.models.evaluation.examples import infer_model_type, read_examples
from toolkit.models.evaluation.metric import metrics_of, per_class
from toolkit.models.evaluation.outcome import classes, numbers
from toolkit.models.evaluation.slices import read_slices, slice_metrics, slice_rows
from toolkit.models.evaluation.threshold import MetricThreshold, Threshold, checks, read_threshold, read_thresholds

ROWS = 300


def made(count: int, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """Return targets, predictions, probabilities with ties, and weights."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, count, ROWS)
    shares = (rng.dirichlet(np.ones(count), ROWS) + np.eye(count)[truth] * 0.3).round(2)
    shares /= shares.sum(axis=1, keepdims=True)
    return truth, shares.argmax(axis=1), shares, rng.random(ROWS)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_two_classes_are_measured_as_scikit_learn_does(weighted: bool) -> None:
    truth, predicted, shares, weights = made(2)
    by = weights if weighted else None
    found = metrics_of(classes(truth, predicted, shares, weights=by))
    scores = shares[:, 1]
    assert found == pytest.approx(
        {
            **dict(zip(("true_negatives", "false_positives", "false_negatives", "true_positives"),
                       sk.confusion_matrix(truth, predicted).ravel(), strict=True)),
            "example_count": ROWS,
            "accuracy_score": sk.accuracy_score(truth, predicted, sample_weight=by),
            "recall_score": sk.recall_score(truth, predicted, sample_weight=by),
            "precision_score": sk.precision_score(truth, predicted, sample_weight=by),
            "f1_score": sk.f1_score(truth, predicted, sample_weight=by),
            "log_loss": sk.log_loss(truth, shares, sample_weight=by),
            "roc_auc": sk.roc_auc_score(truth, scores, sample_weight=by),
            "precision_recall_auc": sk.average_precision_score(truth, scores, sample_weight=by),
        }
    )  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("average", ["weighted", "macro", "micro"])
def test_several_classes_are_measured_as_scikit_learn_does(average: str, weighted: bool) -> None:
    truth, predicted, shares, weights = made(4)
    by = weights if weighted else None
    names = np.array(["ant", "bee", "cat", "dog"])
    outcome = classes(names[truth], names[predicted], shares, weights=by, average=average)
    found = metrics_of(outcome)
    wanted = {
        "example_count": ROWS,
        "accuracy_score": sk.accuracy_score(truth, predicted, sample_weight=by),
        "recall_score": sk.recall_score(truth, predicted, average=average, sample_weight=by),
        "precision_score": sk.precision_score(truth, predicted, average=average, sample_weight=by),
        "f1_score": sk.f1_score(truth, predicted, average=average, sample_weight=by),
        "log_loss": sk.log_loss(truth, shares, sample_weight=by),
    }
    if average != "micro":
        wanted["roc_auc"] = sk.roc_auc_score(truth, shares, multi_class="ovr", average=average, sample_weight=by)
    assert found == pytest.approx(wanted)
    rows = {row["positive_class"]: row for row in per_class(outcome)}
    bees = rows["bee"]
    assert bees["f1_score"] == pytest.approx(sk.f1_score(truth == 1, predicted == 1, sample_weight=by))
    assert bees["accuracy_score"] == pytest.approx(sk.accuracy_score(truth == 1, predicted == 1, sample_weight=by))
    assert bees["true_positives"] == ((truth == 1) & (predicted == 1)).sum()


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_numbers_are_measured_as_scikit_learn_does(weighted: bool) -> None:
    rng = np.random.default_rng(1)
    truth, weights = rng.normal(size=ROWS), rng.random(ROWS)
    predicted = truth + rng.normal(size=ROWS)
    by = weights if weighted else None
    total = (truth * weights).sum() if weighted else truth.sum()
    assert metrics_of(numbers(truth, predicted, by)) == pytest.approx(
        {
            "example_count": ROWS,
            "mean_absolute_error": sk.mean_absolute_error(truth, predicted, sample_weight=by),
            "mean_squared_error": sk.mean_squared_error(truth, predicted, sample_weight=by),
            "root_mean_squared_error": sk.root_mean_squared_error(truth, predicted, sample_weight=by),
            "sum_on_target": total,
            "mean_on_target": total / ROWS,
            "r2_score": sk.r2_score(truth, predicted, sample_weight=by),
            "max_error": sk.max_error(truth, predicted),
            "mean_absolute_percentage_error": sk.mean_absolute_percentage_error(truth, predicted, sample_weight=by),
        }
    )


def test_curves_have_the_points_of_scikit_learn() -> None:
    truth, _, shares, weights = made(2)
    scores = shares[:, 1]
    x, y, _ = sk.roc_curve(truth, scores, sample_weight=weights, drop_intermediate=False)
    ours = curve.roc(truth == 1, scores, weights)
    assert np.allclose(ours.x, x)
    assert np.allclose(ours.y, y)
    precision, recall, _ = sk.precision_recall_curve(truth, scores, sample_weight=weights)
    ours = curve.precision_recall(truth == 1, scores, weights)
    assert np.allclose(ours.x, recall[::-1])
    assert np.allclose(ours.y, precision[::-1])
    held, were = curve.calibration(truth == 1, scores).x, curve.calibration(truth == 1, scores).y
    fractions, means = calibration_curve(truth, scores, n_bins=10)
    assert np.allclose(held, means)
    assert np.allclose(were, fractions)
    lift = curve.lift(truth == 1, scores)
    assert (lift.x[-1], lift.y[-1]) == (1.0, 1.0)
    tenth = np.argsort(-scores, kind="stable")[:30]
    assert lift.y[np.searchsorted(lift.x, 0.1)] == pytest.approx(truth[tenth].mean() / truth.mean(), abs=0.1)


def test_long_curves_are_thinned_where_they_are_drawn_and_told() -> None:
    rng = np.random.default_rng(3)
    scores = rng.random(40_000)
    whole = curve.roc(rng.random(40_000) < scores, scores)
    thin = whole.thinned(1_000)
    assert len(thin.x) == 1_000
    assert (thin.x[0], thin.x[-1], thin.area) == (0.0, 1.0, whole.area)


def test_what_is_not_defined_is_left_out() -> None:
    one = metrics_of(classes(np.ones(5, int), np.ones(5, int), np.full((5, 2), 0.5), labels=[0, 1]))
    assert "roc_auc" not in one
    assert one["accuracy_score"] == 1.0
    assert one["log_loss"] == pytest.approx(math.log(2))
    assert "r2_score" not in metrics_of(numbers(np.ones(1), np.ones(1)))


def test_a_class_that_the_data_lack_is_still_known() -> None:
    found = classes(np.array([0, 1, 0]), np.array([0, 1, 1]), np.full((3, 3), 1 / 3), known=[0, 1, 2])
    assert found.positive is None
    assert metrics_of(found)["log_loss"] == pytest.approx(math.log(3))


def test_networks_that_answer_with_probabilities_are_classifiers() -> None:
    truth = np.array(["a", "b", "c"])
    shares = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]], dtype="float32")
    assert metrics_of(classes(truth, shares))["accuracy_score"] == pytest.approx(2 / 3)
    chance = np.array([[0.9], [0.2], [0.6]])
    found = metrics_of(classes(np.array([1, 0, 0]), chance))
    assert found["accuracy_score"] == pytest.approx(2 / 3)
    assert found["roc_auc"] == 1.0
    backwards = classes(truth, shares, labels=["c", "b", "a"])
    assert backwards.labels[backwards.predicted].tolist() == ["c", "b", "c"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: classes(np.array([0, 1]), np.array(["a", "b"])), "types that do not go together: int and str"),
        (lambda: classes(np.array([0, 1]), np.array([0])), "2 targets and 1 predictions"),
        (lambda: classes(np.array([1, 1]), np.array([1, 1])), "at least two classes"),
        (lambda: classes(np.array(["a", None], object), np.array(["a", "b"])), "target of row 2 is missing"),
        (lambda: classes(np.array([1, pd.NA], object), np.array([0, 1])), "target of row 2 is missing"),
        (lambda: classes(np.array([0, 2]), np.array([0, 1]), labels=[0, 1]), "row 2 is 2: wanted one of 0, 1"),
        (lambda: classes(np.array([0, 1]), np.array([0, 1]), positive=7), "pos_label is 7"),
        (lambda: numbers(np.array([1.0, math.nan]), np.zeros(2)), "target of row 2 is nan"),
        (lambda: numbers(np.array([1.0, 2.0]), np.array([1, "x"], object)), "prediction of row 2 is 'x'"),
        (lambda: numbers(np.ones(2), np.ones((2, 3))), "shape (2, 3): wanted one a row"),
        (lambda: numbers(np.ones(0), np.ones(0)), "no rows"),
        (lambda: numbers(np.ones(2), np.ones(2), np.array([-1.0, 1.0])), "sample weights are negative"),
        (lambda: read_examples({"a": [1]}, "b"), "no such column, but a"),
        (lambda: read_examples({"a": [1]}, None), "no targets"),
        (lambda: read_examples({"a": [1]}, [1, 2]), "targets has 2 values: wanted one for each of the 1 rows"),
    ],
    ids=(
        "types counts one-class missing absent unknown positive nan text shape empty weights column no-targets length"
    ).split(),
)  # fmt: skip
def test_bad_input_is_told_in_one_line(call: Callable[[], object], said: str) -> None:
    with pytest.raises(InvalidValue) as told:
        call()
    assert said in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("truth", "kind"),
    [
        (np.array(["a", "b"]), "classifier"),
        (np.array([True, False]), "classifier"),
        (np.array([0, 1, 1, 0]), "classifier"),
        (np.array([1.0, 0.0, 1.0, 1.0]), "classifier"),
        (np.array([1.5, 0.0]), "regressor"),
        (np.arange(100), "regressor"),
    ],
    ids="text boolean zero-one whole-floats floats many".split(),
)
def test_the_type_of_model_is_seen_from_the_targets(truth: NDArray[Any], kind: str) -> None:
    assert infer_model_type(truth) == kind


# -- slices ----------------------------------------------------------------------------------------


def test_slices_are_values_quarters_and_masks() -> None:
    data = pd.DataFrame(
        {
            "region": ["north", "south", None, "north"] * 25,
            "age": np.arange(100.0),
            "code": [f"c{n}" for n in range(100)],
        }
    )
    outcome = numbers(np.arange(100.0), np.arange(100.0) + (data["region"] == "north").to_numpy())
    rows = slice_rows(read_slices(["region", "age"], data), outcome)
    told = {row["slice"]: (row["rows"], row.get("mean_absolute_error")) for row in rows}
    assert told["region/north"] == (50, 1.0)
    assert told["region/south"] == (25, 0.0)
    assert told["region/missing"] == (25, 0.0)
    assert [name for name in told if str(name).startswith("age")] == [
        "age/0 to 24.75", "age/24.75 to 49.5", "age/49.5 to 74.25", "age/74.25 to 99",
    ]  # fmt: skip
    assert slice_metrics(rows)["slices/region/north/mean_absolute_error"] == 1.0
    old = read_slices({"old": "age >= 90", "young": lambda table: table["age"] < 5, "no:body": [False] * 100}, data)
    assert [(each.name, int(each.mask.sum())) for each in old] == [("old", 10), ("young", 5), ("no_body", 0)]
    assert "mean_absolute_error" not in slice_rows(old, outcome)[2]
    assert [row["rows"] for row in slice_rows(read_slices("code", data), outcome)] == [1] * 20 + [80]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("colour", "no column 'colour' to slice by: there are a"),
        ({"x": "b > 1"}, "slice 'x' is no query"),
        ({"x": [True]}, "wanted a boolean for each of 2 rows"),
        ({"x": [1.0, 2.0]}, "wanted a boolean"),
    ],
    ids="column query length type".split(),
)
def test_bad_slices_are_told(given: str | Mapping[str, object], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        read_slices(given, pd.DataFrame({"a": [1, 2]}))


# -- thresholds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "metric", "threshold"),
    [
        ("f1_score>=0.9", "f1_score", Threshold(min=0.9)),
        ("accuracy >= .9", "accuracy_score", Threshold(min=0.9)),
        ("rmse<=1e-3", "root_mean_squared_error", Threshold(max=1e-3)),
        ("slices/a/x y/f1_score>=0.5", "slices/a/x y/f1_score", Threshold(min=0.5)),
        ("f1>=baseline", "f1_score", Threshold(better_than_baseline_by=0.0, greater_is_better=True)),
        ("f1>=baseline+0.01", "f1_score", Threshold(better_than_baseline_by=0.01, greater_is_better=True)),
        ("mae<=baseline-2", "mean_absolute_error", Threshold(better_than_baseline_by=2.0, greater_is_better=False)),
        ("mae<=baseline+2", "mean_absolute_error", Threshold(better_than_baseline_by=-2.0, greater_is_better=False)),
        ("f1>=baseline-5%", "f1_score", Threshold(better_than_baseline_by_share=-0.05, greater_is_better=True)),
    ],
)
def test_thresholds_are_read_from_text(text: str, metric: str, threshold: Threshold) -> None:
    assert read_threshold(text) == (metric, threshold)


@pytest.mark.parametrize("text", ["f1", "f1>0.9", "f1>=x", ">=1", "f1>=1.2.3", "f1>=baseline+", "f1>=nan", "f1=>1", ""])
def test_other_text_is_no_threshold(text: str) -> None:
    with pytest.raises(InvalidValue, match="threshold"):
        read_threshold(text)


def test_thresholds_say_by_how_much_they_are_missed() -> None:
    wanted = read_thresholds({"accuracy": {"min": 0.9, "better_than_baseline_by": 0.01}, "mae": 2, "mine": {"max": 1}})
    found = checks(wanted, {"accuracy_score": 0.86, "mean_absolute_error": 1.5}, {"accuracy_score": 0.855})
    assert [(each.metric, each.passed) for each in found] == [
        ("accuracy_score", False), ("accuracy_score", False), ("mean_absolute_error", True), ("mine", False),
    ]  # fmt: skip
    assert [str(each) for each in found] == [
        "accuracy_score is 0.86: wanted at least 0.9 (0.04 short)",
        "accuracy_score is 0.86: wanted at least 0.865, 0.01 better than the baseline's 0.855 (0.005 short)",
        "mean_absolute_error is 1.5: at most 2",
        "mine was not measured: wanted at most 1",
    ]


def test_mlflows_thresholds_are_taken() -> None:
    given = {
        "accuracy_score": MetricThreshold(threshold=0.9, min_absolute_change=0.01, greater_is_better=True),
        "log_loss": MetricThreshold(threshold=0.5, min_relative_change=0.1, greater_is_better=False),
    }
    measured, before = {"accuracy_score": 0.95, "log_loss": 0.48}, {"accuracy_score": 0.9, "log_loss": 0.5}
    found = checks(read_thresholds(given), measured, before)
    assert [str(each) for each in found] == [
        "accuracy_score is 0.95: at least 0.9",
        "accuracy_score is 0.95: at least 0.91, 0.01 better than the baseline's 0.9",
        "log_loss is 0.48: at most 0.5",
        "log_loss is 0.48: wanted at most 0.45, 10 % better than the baseline's 0.5 (0.03 short)",
    ]


def test_decimal_sums_are_met() -> None:
    found = checks(read_thresholds(["f1>=baseline+0.01"]), {"f1_score": 0.86}, {"f1_score": 0.85})
    assert [each.passed for each in found] == [True]  # 0.85 + 0.01 is a little more than 0.86 in binary


def test_a_baseline_that_has_less_is_no_yes() -> None:
    found = checks(read_thresholds(["f1>=baseline"]), {"f1_score": 0.86}, {})
    assert str(found[0]) == "f1_score is 0.86: wanted the baseline to have it, too"
    with pytest.raises(InvalidValue, match="compares with a baseline: give one"):
        checks(read_thresholds(["f1>=baseline"]), {"f1_score": 0.86})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"f1": {"mn": 1}}, "has 'mn': wanted some of min, max"),
        ({"f1": {}}, "wants nothing"),
        ({"f1": {"min": "1"}}, "min='1': wanted a finite number"),
        ({"f1": True}, "is True: wanted a number"),
        ({"mine": 3}, "not known whether more or less of mine is better"),
        ({"mine": {"better_than_baseline_by": 3}}, "not known whether more or less of mine is better"),
    ],
    ids="name empty text boolean direction baseline".split(),
)
def test_bad_thresholds_are_told(given: Mapping[str, object], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        read_thresholds(given)
