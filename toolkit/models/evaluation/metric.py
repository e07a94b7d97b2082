"""The metrics of an outcome, under the names that MLflow's evaluation gives them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from toolkit.models.evaluation.curve import precision_recall, roc
from toolkit.models.evaluation.outcome import Classes, Numbers, Outcome, numpy

if TYPE_CHECKING:
    from toolkit.models.evaluation.outcome import Array

ALIASES = {
    "accuracy": "accuracy_score",
    "precision": "precision_score",
    "recall": "recall_score",
    "f1": "f1_score",
    "auc": "roc_auc",
    "mae": "mean_absolute_error",
    "mse": "mean_squared_error",
    "rmse": "root_mean_squared_error",
    "mape": "mean_absolute_percentage_error",
    "r2": "r2_score",
}
"""What people call metrics, where a threshold names one."""

GREATER_IS_BETTER = {
    **dict.fromkeys(
        "accuracy_score precision_score recall_score f1_score roc_auc precision_recall_auc r2_score score "
        "true_positives true_negatives".split(),
        True,
    ),
    **dict.fromkeys(
        "log_loss mean_absolute_error mean_squared_error root_mean_squared_error max_error "
        "mean_absolute_percentage_error false_positives false_negatives".split(),
        False,
    ),
}
"""Whether more of a metric is better; of others it is not known."""


def metrics_of(outcome: Outcome) -> dict[str, float]:
    """Return the metrics of an outcome by name. What is not defined for its rows is left out."""
    if outcome.weights is not None and not outcome.weights.any():
        return {"example_count": float(len(outcome))}  # rows that do not count
    found = of_numbers(outcome) if isinstance(outcome, Numbers) else of_classes(outcome)
    return {name: value for name, value in found.items() if not math.isnan(value)}


def of_numbers(outcome: Numbers) -> dict[str, float]:
    """Return the metrics of a regressor; NaN for one that is not defined."""
    np = numpy()
    truth, weights = outcome.truth, outcome.weights
    error = outcome.predicted - truth
    squared = float(np.average(error**2, weights=weights))
    total = float(truth.sum() if weights is None else (truth * weights).sum())
    relative = np.abs(error) / np.maximum(np.abs(truth), np.finfo(float).eps)
    return {
        "example_count": float(len(truth)),
        "mean_absolute_error": float(np.average(np.abs(error), weights=weights)),
        "mean_squared_error": squared,
        "root_mean_squared_error": math.sqrt(squared),
        "sum_on_target": total,
        "mean_on_target": total / len(truth),
        "r2_score": _r2(outcome),
        "max_error": float(np.abs(error).max()),
        "mean_absolute_percentage_error": float(np.average(relative, weights=weights)),
    }


def _r2(outcome: Numbers) -> float:
    """Return the share of the targets' variance that is explained; of targets that are all the same, 1 or 0."""
    np = numpy()
    if len(outcome) < 2:
        return math.nan
    weights = np.ones(len(outcome)) if outcome.weights is None else outcome.weights
    left = float((weights * (outcome.truth - outcome.predicted) ** 2).sum())
    whole = float((weights * (outcome.truth - np.average(outcome.truth, weights=weights)) ** 2).sum())
    if whole == 0:
        return 1.0 if left == 0 else 0.0
    return 1 - left / whole


def of_classes(outcome: Classes) -> dict[str, float]:
    """Return the metrics of a classifier; NaN for one that is not defined."""
    found: dict[str, float] = {}
    weighted = confusion(outcome)
    if outcome.positive is not None:
        counted = weighted if outcome.weights is None else confusion(outcome, weights=None)
        found |= _counted(counted, outcome.positive)
    found["example_count"] = float(len(outcome))
    found["accuracy_score"] = float(weighted.trace() / weighted.sum())
    found |= _averaged(weighted, outcome)
    if outcome.probabilities is not None:
        found["log_loss"] = _log_loss(outcome, outcome.probabilities)
        found |= _areas(outcome, outcome.probabilities)
    return found


def confusion(outcome: Classes, *, weights: Array | str | None = "own") -> Array:
    """Return how many rows of each class (down) were held for each class (across).

    Args:
        outcome: What the classifier said.
        weights: How much each row counts; default: as the outcome has it; ``None``: one.
    """
    np = numpy()
    count = len(outcome.labels)
    counted = outcome.weights if isinstance(weights, str) else weights
    places = outcome.truth * count + outcome.predicted
    counts: Array = np.bincount(places, weights=counted, minlength=count * count).reshape(count, count)
    return counts.astype(float)


def per_class(outcome: Classes) -> list[dict[str, object]]:
    """Return the metrics of each class against the rest, a row each, in MLflow's columns."""
    counted = confusion(outcome, weights=None)
    weighted = confusion(outcome)
    rows: list[dict[str, object]] = []
    for place, label in enumerate(outcome.labels):
        precision, recall, f1 = (float(each[place]) for each in _by_class(weighted))
        wrong = weighted[place].sum() + weighted[:, place].sum() - 2 * weighted[place, place]
        row: dict[str, object] = {"positive_class": label, **_counted(counted, place)}
        row |= {"example_count": len(outcome), "accuracy_score": float(1 - wrong / weighted.sum())}
        row |= {"recall_score": recall, "precision_score": precision, "f1_score": f1}
        if outcome.probabilities is not None:
            of_class, scores = outcome.truth == place, outcome.probabilities[:, place]
            row["roc_auc"] = roc(of_class, scores, outcome.weights).area
            row["precision_recall_auc"] = precision_recall(of_class, scores, outcome.weights).area
        rows.append(row)
    return rows


def _counted(counts: Array, positive: int) -> dict[str, float]:
    hits = float(counts[positive, positive])
    found, there = float(counts[:, positive].sum()), float(counts[positive].sum())
    return {
        "true_negatives": float(counts.sum()) - found - there + hits,
        "false_positives": found - hits,
        "false_negatives": there - hits,
        "true_positives": hits,
    }


def _by_class(counts: Array) -> tuple[Array, Array, Array]:
    """Return precision, recall and F1 of each class; 0 where there is nothing to divide by."""
    np = numpy()
    hits, found, there = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)

    def share(part: Array, whole: Array) -> Array:
        found: Array = np.divide(part, whole, out=np.zeros(len(hits)), where=whole != 0)
        return found

    return share(hits, found), share(hits, there), share(2 * hits, found + there)


def _averaged(counts: Array, outcome: Classes) -> dict[str, float]:
    """Return recall, precision and F1 as one number each: of the positive class, or over all classes."""
    np = numpy()
    precision, recall, f1 = _by_class(counts)
    there = counts.sum(axis=1)
    if outcome.positive is not None:
        values = [each[outcome.positive] for each in (recall, precision, f1)]
    elif outcome.average == "micro":
        values = [counts.trace() / counts.sum()] * 3
    else:
        occurs = (there + counts.sum(axis=0)) > 0
        by = there if outcome.average == "weighted" else occurs.astype(float)
        values = [np.average(each, weights=by) for each in (recall, precision, f1)]
    return dict(zip(("recall_score", "precision_score", "f1_score"), map(float, values), strict=True))


def _log_loss(outcome: Classes, probabilities: Array) -> float:
    np = numpy()
    held = probabilities[np.arange(len(outcome)), outcome.truth]
    kind = held.dtype if held.dtype.kind == "f" else np.dtype(float)
    small = np.finfo(kind).eps
    return float(np.average(-np.log(np.clip(held, small, 1 - small)), weights=outcome.weights))


def _areas(outcome: Classes, probabilities: Array) -> dict[str, float]:
    """Return the areas below the curves: of the positive class, or of ROC over all classes that occur."""
    np = numpy()
    if outcome.positive is not None:
        of_class, scores = outcome.truth == outcome.positive, probabilities[:, outcome.positive]
        return {
            "roc_auc": roc(of_class, scores, outcome.weights).area,
            "precision_recall_auc": precision_recall(of_class, scores, outcome.weights).area,
        }
    if outcome.average == "micro":
        return {}
    areas = np.array(
        [roc(outcome.truth == place, column, outcome.weights).area for place, column in enumerate(probabilities.T)]
    )
    there = np.bincount(outcome.truth, weights=outcome.weights, minlength=len(areas)).astype(float)
    defined = ~np.isnan(areas)
    if not defined.any():
        return {}
    by = there[defined] if outcome.average == "weighted" else None
    return {"roc_auc": float(np.average(areas[defined], weights=by))}
