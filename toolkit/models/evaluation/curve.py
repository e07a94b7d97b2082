"""Curves of a classifier, as points: ROC, precision and recall, calibration, lift. All take one class against the rest.

The definitions are those of scikit-learn, which a user may not have: a point for each distinct probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.models.evaluation.outcome import numpy

if TYPE_CHECKING:
    from toolkit.models.evaluation.outcome import Array


MOST_POINTS = 5_000


def picked(x: Array, y: Array, most: int = MOST_POINTS) -> tuple[Array, Array]:
    """Return so many of points at most, evenly spread over them, with the first and the last."""
    np = numpy()
    if len(x) <= most:
        return x, y
    places = np.unique(np.linspace(0, len(x) - 1, most).astype(int))
    return x[places], y[places]


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """Points of a curve.

    Attributes:
        x: Where each point is.
        y: How high.
        area: What sums the curve up in a number; NaN where it has none.
    """

    x: Array
    y: Array
    area: float = float("nan")

    def thinned(self, most: int = MOST_POINTS) -> Curve:
        """Return the curve with so many points as can be seen, evenly picked, with the first and the last."""
        return Curve(**dict(zip(("x", "y"), picked(self.x, self.y, most), strict=True)), area=self.area)


def roc(truth: Array, scores: Array, weights: Array | None = None) -> Curve:
    """Return the ROC curve: true positive rate over false positive rate, and the area below it.

    Args:
        truth: Whether a row is of the class.
        scores: How likely the model held that.
        weights: How much each row counts.

    Returns:
        The curve; its area is NaN if all rows are, or none is, of the class.
    """
    np = numpy()
    hits, misses = _counts(truth, scores, weights)
    if not hits[-1] or not misses[-1]:
        return Curve(x=np.zeros(0), y=np.zeros(0))
    x, y = np.append(0.0, misses / misses[-1]), np.append(0.0, hits / hits[-1])
    return Curve(x=x, y=y, area=float(np.trapezoid(y, x)))


def precision_recall(truth: Array, scores: Array, weights: Array | None = None) -> Curve:
    """Return precision over recall, and the average precision; arguments as in `roc`.

    Returns:
        The curve from recall 0 on; its area is NaN if no row is of the class.
    """
    np = numpy()
    hits, misses = _counts(truth, scores, weights)
    if not hits[-1]:
        return Curve(x=np.zeros(0), y=np.zeros(0))
    found = hits + misses
    precision = np.divide(hits, found, out=np.zeros_like(hits), where=found != 0)
    recall = hits / hits[-1]
    area = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    return Curve(x=np.append(0.0, recall), y=np.append(1.0, precision), area=area)


def calibration(truth: Array, scores: Array, weights: Array | None = None, *, bins: int = 10) -> Curve:
    """Return how often rows are of the class, over how likely the model held that, in bins of equal width.

    Args:
        truth: Whether a row is of the class.
        scores: How likely the model held that, 0 to 1.
        weights: How much each row counts.
        bins: How many bins; an empty one has no point.

    Returns:
        The curve; its area is the expected calibration error: how far it is off, weighted by the rows of each bin.
    """
    np = numpy()
    counted = np.ones(len(truth)) if weights is None else weights
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], scores)
    rows = np.bincount(place, weights=counted, minlength=bins)
    held = np.bincount(place, weights=counted * scores, minlength=bins)
    were = np.bincount(place, weights=counted * truth, minlength=bins)
    there = rows > 0
    x, y = held[there] / rows[there], were[there] / rows[there]
    return Curve(x=x, y=y, area=float(np.average(np.abs(x - y), weights=rows[there])))


def lift(truth: Array, scores: Array, weights: Array | None = None) -> Curve:
    """Return how many times more often rows are of the class among the likeliest ones than among all.

    Args and points: as in `roc`; x is the share of the rows that are taken.
    """
    np = numpy()
    hits, misses = _counts(truth, scores, weights)
    if not hits[-1]:
        return Curve(x=np.zeros(0), y=np.zeros(0))
    share = (hits + misses) / (hits[-1] + misses[-1])
    taken = share > 0
    return Curve(x=share[taken], y=(hits / hits[-1])[taken] / share[taken])


def _counts(truth: Array, scores: Array, weights: Array | None) -> tuple[Array, Array]:
    """Return how many rows of the class, and of the others, have at least each score, from the highest score on."""
    np = numpy()
    order = np.argsort(scores, kind="stable")[::-1]
    ordered = scores[order]
    counted = np.ones(len(order)) if weights is None else weights[order]
    of_class = truth[order].astype(float)
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    return np.cumsum(of_class * counted)[last], np.cumsum((1 - of_class) * counted)[last]
