"""What is measured of a scikit-learn model on the data that it was trained on: metrics and pictures.

The model predicts once for all of them.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.active.autolog import pictures
from toolkit.active.autolog.rows import count_of
from toolkit.active.autolog.training import Training

PREFIX = "training_"

_CURVE = 2_000
"""So many points of a curve are drawn at most."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Rows with what was to be predicted of them.

    Attributes:
        x: The rows.
        y: The targets; ``None`` where there are none.
        weight: How much each row counts; ``None``: all the same.
    """

    x: Any
    y: Any = None
    weight: Any = None

    def sample(self, most: int | None) -> Labelled:
        """Return the rows, or so many of them at most, evenly taken."""
        count = count_of(self.x)
        if most is None or count is None or count <= most:
            return self
        import numpy as np  # noqa: PLC0415 - scikit-learn is there, and so is this
        from sklearn.utils import _safe_indexing  # noqa: PLC0415 - a training with it is under way

        rows = np.linspace(0, count - 1, most).astype(int)
        parts = [None if part is None else _safe_indexing(part, rows) for part in (self.x, self.y, self.weight)]
        return Labelled(x=parts[0], y=parts[1], weight=parts[2])


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What a model says of rows.

    Attributes:
        labels: Its predictions.
        probabilities: One column a class, where it gives them.
        scores: Of a binary classifier, how much it holds each row for one of the second class, where it says so.
    """

    labels: Any
    probabilities: Any = None
    scores: Any = None


def is_classifier(estimator: object) -> bool:
    """Tell whether a model is a classifier."""
    from sklearn.base import is_classifier as asked  # noqa: PLC0415 - a training with it is under way

    return bool(asked(estimator))


def is_regressor(estimator: object) -> bool:
    """Tell whether a model is a regressor."""
    from sklearn.base import is_regressor as asked  # noqa: PLC0415 - a training with it is under way

    return bool(asked(estimator))


def predict(estimator: Any, rows: Labelled) -> Predicted:  # noqa: ANN401 - an estimator
    """Return what a model says of rows."""
    labels = estimator.predict(rows.x)
    probabilities = scores = None
    if is_classifier(estimator):
        if hasattr(estimator, "predict_proba"):
            probabilities = estimator.predict_proba(rows.x)
            two = getattr(probabilities, "ndim", 0) == 2 and probabilities.shape[1] == 2
            scores = probabilities[:, 1] if two else None
        elif len(_classes(estimator, rows.y)) == 2 and hasattr(estimator, "decision_function"):
            scores = estimator.decision_function(rows.x)
    return Predicted(labels=labels, probabilities=probabilities, scores=scores)


def measure(
    training: Training,
    estimator: Any,  # noqa: ANN401 - an estimator
    rows: Labelled,
    said: Predicted,
    pos_label: object = None,
) -> dict[str, float]:
    """Return the metrics of a model; one that cannot be computed is told and left out."""
    from sklearn import metrics  # noqa: PLC0415 - a training with it is under way

    if is_classifier(estimator):
        wanted = _of_classifier(metrics, estimator, rows, said, pos_label)
    elif is_regressor(estimator):
        wanted = _of_regressor(metrics, rows, said)
    else:
        wanted = {}
    wanted["score"] = lambda: _score(metrics, estimator, rows, said)
    found: dict[str, float] = {}
    for name, compute in wanted.items():
        with training.attempt(f"the metric {PREFIX}{name} is not logged"):
            value = compute()
            if value is not None:
                found[PREFIX + name] = float(value)
    return found


def draw(training: Training, estimator: Any, rows: Labelled, said: Predicted, folder: Path) -> None:  # noqa: ANN401 - an estimator
    """Draw the pictures of a classifier into a folder."""
    if not is_classifier(estimator) or not pictures.can_draw():
        return
    from sklearn import metrics  # noqa: PLC0415 - a training with it is under way

    classes = _classes(estimator, rows.y)
    if len(classes) == 0:
        return  # several outputs
    with training.attempt("the confusion matrix is not drawn"):
        shares = metrics.confusion_matrix(
            rows.y, said.labels, labels=classes, sample_weight=rows.weight, normalize="true"
        )
        pictures.draw_confusion(folder / f"{PREFIX}confusion_matrix.png", shares, list(classes))
    if len(classes) == 2 and said.scores is not None:
        with training.attempt("the ROC curve is not drawn"):
            _draw_roc(metrics, rows, said, classes[1], folder)
        with training.attempt("the precision-recall curve is not drawn"):
            _draw_precision_recall(metrics, rows, said, classes[1], folder)


def _of_classifier(
    metrics: Any,  # noqa: ANN401 - sklearn.metrics
    estimator: object,
    rows: Labelled,
    said: Predicted,
    pos_label: object,
) -> dict[str, Callable[[], Any]]:
    average = "weighted" if pos_label is None else "binary"
    asked = {"pos_label": pos_label, "average": average, "sample_weight": rows.weight, "zero_division": 0}
    wanted: dict[str, Callable[[], Any]] = {
        "precision_score": lambda: metrics.precision_score(rows.y, said.labels, **asked),
        "recall_score": lambda: metrics.recall_score(rows.y, said.labels, **asked),
        "f1_score": lambda: metrics.f1_score(rows.y, said.labels, **asked),
        "accuracy_score": lambda: metrics.accuracy_score(rows.y, said.labels, sample_weight=rows.weight),
    }
    if said.probabilities is not None:
        classes = _classes(estimator, rows.y)
        known = {"labels": classes} if len(classes) > 1 else {}
        wanted["log_loss"] = lambda: metrics.log_loss(rows.y, said.probabilities, sample_weight=rows.weight, **known)
        wanted["roc_auc"] = lambda: _roc_auc(metrics, rows, said)
    return wanted


def _roc_auc(metrics: Any, rows: Labelled, said: Predicted) -> float | None:  # noqa: ANN401 - sklearn.metrics
    scores = said.probabilities if said.scores is None else said.scores
    if len(_seen(rows.y)) < 2:
        return None  # there is none of one class
    return metrics.roc_auc_score(  # type: ignore[no-any-return]
        rows.y, scores, average="weighted", sample_weight=rows.weight, multi_class="ovo"
    )


def _of_regressor(metrics: Any, rows: Labelled, said: Predicted) -> dict[str, Callable[[], Any]]:  # noqa: ANN401 - sklearn.metrics
    asked = {"sample_weight": rows.weight}

    def squared() -> float:
        return float(metrics.mean_squared_error(rows.y, said.labels, **asked))

    return {
        "mean_squared_error": squared,
        "mean_absolute_error": lambda: metrics.mean_absolute_error(rows.y, said.labels, **asked),
        "r2_score": lambda: metrics.r2_score(rows.y, said.labels, **asked),
        "root_mean_squared_error": lambda: math.sqrt(squared()),
    }


def _score(metrics: Any, estimator: Any, rows: Labelled, said: Predicted) -> float | None:  # noqa: ANN401 - an estimator
    """Return the model's own score; where that is what a mixin of scikit-learn computes, from what it said already."""
    if not hasattr(estimator, "score"):
        return None
    from sklearn.base import ClassifierMixin, RegressorMixin  # noqa: PLC0415 - a training with it is under way

    own = getattr(type(estimator), "score", None)
    if own is ClassifierMixin.score:
        return float(metrics.accuracy_score(rows.y, said.labels, sample_weight=rows.weight))
    if own is RegressorMixin.score:
        return float(metrics.r2_score(rows.y, said.labels, sample_weight=rows.weight))
    takes_weight = "sample_weight" in inspect.signature(estimator.score).parameters
    weight = {"sample_weight": rows.weight} if takes_weight and rows.weight is not None else {}
    return float(estimator.score(rows.x, rows.y, **weight))


def _classes(estimator: object, y: object) -> Any:  # noqa: ANN401 - an array of NumPy
    """Return the classes of a classifier with one output; none for several outputs."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return _seen(y)
    return classes if getattr(classes, "ndim", 2) == 1 and getattr(y, "ndim", 1) == 1 else []


def _seen(y: object) -> Any:  # noqa: ANN401 - an array of NumPy
    import numpy as np  # noqa: PLC0415 - scikit-learn is there, and so is this

    values = np.asarray(y)
    return np.unique(values) if values.ndim == 1 else []


def _draw_roc(metrics: Any, rows: Labelled, said: Predicted, positive: object, folder: Path) -> None:  # noqa: ANN401 - sklearn.metrics
    away, found, _ = metrics.roc_curve(rows.y, said.scores, pos_label=positive, sample_weight=rows.weight)
    area = metrics.auc(away, found)
    pictures.draw_curve(
        folder / f"{PREFIX}roc_curve.png",
        *_thinned(away, found),
        title="ROC curve",
        x_label="False Positive Rate",
        y_label="True Positive Rate",
        legend=f"AUC = {area:.3f}",
    )


def _draw_precision_recall(
    metrics: Any,  # noqa: ANN401 - sklearn.metrics
    rows: Labelled,
    said: Predicted,
    positive: object,
    folder: Path,
) -> None:
    asked = {"pos_label": positive, "sample_weight": rows.weight}
    precision, recall, _ = metrics.precision_recall_curve(rows.y, said.scores, **asked)
    average = metrics.average_precision_score(rows.y, said.scores, **asked)
    pictures.draw_curve(
        folder / f"{PREFIX}precision_recall_curve.png",
        *_thinned(recall, precision),
        title="Precision recall curve",
        x_label="Recall",
        y_label="Precision",
        legend=f"AP = {average:.3f}",
    )


def _thinned(x: Any, y: Any) -> tuple[Any, Any]:  # noqa: ANN401 - arrays of NumPy
    step = max(1, len(x) // _CURVE)
    return x[::step], y[::step]
