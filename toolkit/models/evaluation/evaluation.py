"""Evaluate a model on rows whose answer is known; nothing is logged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue
from toolkit.models.containers import is_array
from toolkit.models.evaluation import curve, plot
from toolkit.models.evaluation.examples import Examples, infer_model_type
from toolkit.models.evaluation.metric import metrics_of, per_class
from toolkit.models.evaluation.outcome import (
    CLASSIFIER,
    MODEL_TYPES,
    Classes,
    Numbers,
    Outcome,
    classes,
    numbers,
    plain_labels,
)
from toolkit.models.evaluation.result import EvaluationResult
from toolkit.models.evaluation.slices import Slices, read_slices, slice_metrics, slice_rows
from toolkit.models.evaluation.subject import Answers, Subject
from toolkit.models.evaluation.threshold import Threshold, checks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from toolkit.models.evaluation.curve import Curve
    from toolkit.models.evaluation.outcome import Array

Metric = Callable[["Array", "Array"], float]
"""A metric of one's own: given the right answers and the predictions, it returns a number."""

EVAL_TABLE = "eval_results_table"

_MOST_CURVES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How to evaluate.

    Attributes:
        model_type: ``classifier`` or ``regressor``; default: as the model says, else as the targets look.
        slices: Parts of the data to look at on their own; see `read_slices`.
        thresholds: What the metrics must be.
        label_list: All classes, where the data do not show them.
        pos_label: Of two classes, the one that is looked for; default: the second.
        average: How several classes become one number: weighted, macro, micro.
        calibration_bins: Bins of the calibration curve.
        extra_metrics: Metrics of one's own, by name.
        metric_prefix: What to put in front of each metric's name.
        params: What else the model's ``predict`` is given.
        table_rows: So many rows at most of the table of predictions.
    """

    model_type: str | None = None
    slices: Slices = None
    thresholds: Mapping[str, Sequence[Threshold]] = field(default_factory=dict)
    label_list: Sequence[object] | None = None
    pos_label: object | None = None
    average: str = "weighted"
    calibration_bins: int = 10
    extra_metrics: Mapping[str, Metric] = field(default_factory=dict)
    metric_prefix: str = ""
    params: Mapping[str, object] | None = None
    table_rows: int = 10_000


def evaluated(
    subject: Subject | None, examples: Examples, options: Options, baseline: Subject | None = None
) -> EvaluationResult:
    """Return how good a model is.

    Args:
        subject: The model; ``None``: the data bring predictions.
        examples: The rows.
        options: How to evaluate.
        baseline: A model that thresholds compare with.

    Raises:
        InvalidValue: The model, the data and the options do not fit together.
    """
    model_type = _model_type(subject, examples, options)
    needing = [name for name, wanted in options.thresholds.items() if any(each.needs_baseline for each in wanted)]
    if needing and baseline is None:
        raise InvalidValue(f"the threshold of {needing[0]} compares with a baseline: give one as baseline")
    slices = read_slices(options.slices, examples.data)
    outcome = _outcome(subject, examples, options, model_type)
    metrics = _metrics(subject, examples, options, outcome)
    rows = slice_rows(slices, outcome)
    metrics |= slice_metrics(rows)
    compared = None
    if baseline is not None:
        other = _outcome(baseline, examples, options, model_type)
        compared = _metrics(baseline, examples, options, other) | slice_metrics(slice_rows(slices, other))
    prefix = options.metric_prefix
    metrics = {f"{prefix}{name}": value for name, value in metrics.items()}
    if compared is not None:
        compared = {f"{prefix}{name}": value for name, value in compared.items()}
    curves = _curves(outcome, options)
    return EvaluationResult(
        model_type=model_type,
        metrics=metrics,
        tables=_tables(outcome, examples, options, rows, curves),
        figures=_figures(outcome, curves),
        baseline_metrics=compared,
        checks=checks(_prefixed(options.thresholds, prefix), metrics, compared),
        model_id=subject.model_id if subject else None,
    )


def _prefixed(thresholds: Mapping[str, Sequence[Threshold]], prefix: str) -> dict[str, Sequence[Threshold]]:
    """Return thresholds under the names of the metrics, whichever way the user has named them."""
    return {name if name.startswith(prefix) else f"{prefix}{name}": wanted for name, wanted in thresholds.items()}


def _model_type(subject: Subject | None, examples: Examples, options: Options) -> str:
    if options.model_type is not None:
        if options.model_type not in MODEL_TYPES:
            raise InvalidValue(f"model_type is {options.model_type!r}: wanted {' or '.join(MODEL_TYPES)}")
        return options.model_type
    return (subject.model_type if subject else None) or infer_model_type(examples.truth)


def _outcome(subject: Subject | None, examples: Examples, options: Options, model_type: str) -> Outcome:
    classify = model_type == CLASSIFIER
    if subject is None:
        if examples.predicted is None:
            raise InvalidValue("evaluate was given neither a model nor predictions: wanted one of them")
        answers = Answers(predicted=examples.predicted)
    else:
        answers = subject.answers(examples.features, options.params, classify=classify)
    if not classify:
        return numbers(examples.truth, answers.predicted, examples.weights)
    return classes(
        examples.truth,
        answers.predicted,
        answers.probabilities,
        labels=options.label_list,
        known=None if answers.known is None else answers.known,  # type: ignore[arg-type]  # an array is a sequence
        positive=options.pos_label,
        average=options.average,
        weights=examples.weights,
    )


def _metrics(subject: Subject | None, examples: Examples, options: Options, outcome: Outcome) -> dict[str, float]:
    found = metrics_of(outcome)
    score = subject.score(examples.features, examples.truth, outcome.weights, found) if subject else None
    if score is not None:
        found = {"score": score, **found}
    for name, metric in options.extra_metrics.items():
        truth, predicted = _answers(outcome)
        value = metric(truth, predicted)
        try:
            found[name] = float(value)
        except (TypeError, ValueError):
            raise InvalidValue(f"the metric {name!r} returned {value!r}: wanted a number") from None
    return found


def _answers(outcome: Outcome) -> tuple[Array, Array]:
    """Return the right answers and the predictions as the user knows them."""
    if isinstance(outcome, Numbers):
        return outcome.truth, outcome.predicted
    return outcome.labels[outcome.truth], outcome.labels[outcome.predicted]


def _curves(outcome: Outcome, options: Options) -> dict[str, dict[str, Curve]]:
    """Return the curves of a classifier that tells probabilities, by kind and then by class."""
    if isinstance(outcome, Numbers) or outcome.probabilities is None:
        return {}
    labels = plain_labels(outcome.labels)
    places = range(len(labels)) if outcome.positive is None else [outcome.positive]
    if len(places) > _MOST_CURVES:
        return {}
    makers: dict[str, Callable[..., Curve]] = {
        "roc_curve": curve.roc,
        "precision_recall_curve": curve.precision_recall,
        "calibration_curve": partial(curve.calibration, bins=options.calibration_bins),
    }
    if outcome.positive is not None:
        makers["lift_curve"] = curve.lift
    found = {
        kind: {
            str(labels[place]): make(outcome.truth == place, outcome.probabilities[:, place], outcome.weights)
            for place in places
        }
        for kind, make in makers.items()
    }
    there = {
        kind: {name: each.thinned() for name, each in named.items() if len(each.x)} for kind, named in found.items()
    }
    return {kind: named for kind, named in there.items() if named}


_LOOKS: Mapping[str, Mapping[str, Any]] = {
    "roc_curve": {
        "title": "ROC curve",
        "x": "False positive rate",
        "y": "True positive rate",
        "area": "AUC",
        "line": ((0, 0), (1, 1)),
    },
    "precision_recall_curve": {"title": "Precision-recall curve", "x": "Recall", "y": "Precision", "area": "AP"},
    "calibration_curve": {
        "title": "Calibration curve",
        "x": "Mean predicted probability",
        "y": "Fraction of positives",
        "area": "ECE",
        "line": ((0, 0), (1, 1)),
    },
    "lift_curve": {"title": "Lift curve", "x": "Share of rows", "y": "Lift", "line": ((0, 1), (1, 1))},
}


def _figures(outcome: Outcome, curves: Mapping[str, Mapping[str, Curve]]) -> dict[str, Callable[[], Figure]]:
    if isinstance(outcome, Numbers):
        return {
            "residuals_plot": partial(plot.residuals_plot, outcome),
            "predicted_plot": partial(plot.predicted_plot, outcome),
        }
    found: dict[str, Callable[[], Figure]] = {
        f"{kind}_plot": partial(plot.curves_plot, named, **_LOOKS[kind]) for kind, named in curves.items()
    }
    return {**found, "confusion_matrix": partial(plot.confusion_plot, outcome)}


def _tables(
    outcome: Outcome,
    examples: Examples,
    options: Options,
    rows: Sequence[Mapping[str, object]],
    curves: Mapping[str, Mapping[str, Curve]],
) -> dict[str, Any]:
    import pandas as pd  # noqa: PLC0415 - heavy

    _, predicted = _answers(outcome)
    most = options.table_rows
    truth, _ = _answers(outcome)
    rows_of = examples.data if is_array(examples.features) else examples.features
    shown = rows_of.head(most).assign(**{examples.target: truth[:most], "outputs": predicted[:most]})
    found = {EVAL_TABLE: shown}
    if rows:
        found["slices"] = pd.DataFrame(rows)
    if isinstance(outcome, Classes) and outcome.positive is None:
        found["per_class_metrics"] = pd.DataFrame(per_class(outcome))
    for kind, named in curves.items():
        parts = [pd.DataFrame({"class": name, "x": each.x, "y": each.y}) for name, each in named.items()]
        found[kind] = pd.concat(parts, ignore_index=True)
    return found
