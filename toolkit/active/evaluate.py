"""The verb that measures a model on data, logs what comes of it, and refuses one that does not show what it must."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.active.connected import Connected
from toolkit.active.files import log_saved
from toolkit.active.models import load_model
from toolkit.active.session import open_run, run_to_log_to, start_run
from toolkit.active.tables import store_table
from toolkit.data.arrays import from_numpy
from toolkit.data.dataset import Dataset
from toolkit.data.frames import from_pandas
from toolkit.data.input import recorded
from toolkit.errors import InvalidValue, NotFound, ThresholdFailed
from toolkit.ids import now_ms
from toolkit.models.containers import is_array
from toolkit.models.evaluation.evaluation import EVAL_TABLE, Metric, Options, evaluated
from toolkit.models.evaluation.examples import Examples, read_examples
from toolkit.models.evaluation.result import EvaluationResult
from toolkit.models.evaluation.slices import Slices
from toolkit.models.evaluation.subject import Subject
from toolkit.models.evaluation.threshold import Check, checks, read_thresholds
from toolkit.recording.run import RecordedRun
from toolkit.tracking import records
from toolkit.tracking.logged_models import DatasetRef, ModelMetric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

CONTEXT = "evaluation"
"""What the run is said to use the data for."""

_CONFIG = {
    "label_list": "label_list",
    "pos_label": "pos_label",
    "sample_weights": "sample_weights",
    "average": "average",
    "metric_prefix": "metric_prefix",
    "calibration_n_bins": "calibration_bins",
}
_OF_EXPLAINERS = ("log_model_explainability", "explainability_", "log_explainer", "max_classes_for_multiclass_roc_pr")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Data:
    """The data that a model is measured on, as rows and as an input of the run."""

    examples: Examples
    dataset: records.DatasetInput

    @property
    def ref(self) -> DatasetRef:
        return DatasetRef(name=self.dataset.dataset.name, digest=self.dataset.dataset.digest)


def evaluate(
    model: object = None,
    data: object = None,
    targets: object = None,
    *,
    model_type: str | None = None,
    predictions: object = None,
    slices: Slices = None,
    thresholds: Mapping[str, object] | Iterable[str] | None = None,
    baseline: object = None,
    name: str | None = None,
    sample_weights: object = None,
    label_list: Sequence[object] | None = None,
    pos_label: object = None,
    average: str = "weighted",
    extra_metrics: Mapping[str, Metric] | Sequence[Metric] | None = None,
    metric_prefix: str = "",
    params: Mapping[str, object] | None = None,
    inference_params: Mapping[str, object] | None = None,
    evaluator_config: Mapping[str, Any] | None = None,
    model_config: Mapping[str, Any] | None = None,
    trust: bool = False,
    log: bool = True,
) -> EvaluationResult:
    """Measure a model on data whose answers are known, and log metrics, curves, pictures and tables.

    All goes to the active run, or to one of its own; metrics go onto the logged model, too, if it is one.

    Args:
        model: A URI, what `load_model` gave, an object with ``predict``, or a function; with ``predictions`` none.
        data: A table of pandas or Polars, a dataset of `toolkit.data`, an array, or columns by name.
        targets: The right answers: a column's name, or one a row.
        model_type: ``classifier`` or ``regressor``; default: as the model says, else as the targets look.
        predictions: What was predicted already: a column's name, or one a row.
        slices: Parts of the data to measure on their own: columns' names, or masks by name (booleans, a function of the
            data, or a query of pandas such as ``age > 60``).
        thresholds: What must hold: by metric a number, a `Threshold`, or its fields by name, such as
            ``{"accuracy_score": {"min": 0.9, "better_than_baseline_by": 0.01}}``; or lines such as ``f1_score>=0.9``.
        baseline: A model, as ``model``, that thresholds compare with, on the same data.
        name: What the data are called; default: as the dataset says.
        sample_weights: How much each row counts: a column's name, or one a row.
        label_list: All classes, where the data do not show them; for a model that gives probabilities, in its order.
        pos_label: Of two classes, the one that is looked for; default: the second.
        average: How several classes become one number: ``weighted``, ``macro`` or ``micro``.
        extra_metrics: Metrics of your own, by name: functions of the right answers and of the predictions.
        metric_prefix: What to put in front of the names of metrics and artifacts.
        params: What else the model's ``predict`` is given.
        inference_params: MLflow's word for ``params``.
        evaluator_config: MLflow's way to give ``label_list``, ``pos_label``, ``sample_weights``, ``average``,
            ``metric_prefix`` and ``calibration_n_bins``.
        model_config: What a model that is loaded here is to find as its configuration.
        trust: Load models though they can run any code.
        log: Whether to log anything.

    Returns:
        Metrics, tables, what came of each threshold, and where everything was logged.

    Raises:
        InvalidValue: The model, the data or an argument cannot be used.
        NotFound: There is no such model.
        ThresholdFailed: A threshold is not met; everything has been logged. Its ``result`` is what would be returned.
    """
    config = _config(evaluator_config)
    measured = _data(data, targets, config.pop("sample_weights", sample_weights), predictions, name)
    given: dict[str, Any] = {
        "label_list": label_list,
        "pos_label": pos_label,
        "average": average,
        "metric_prefix": metric_prefix,
        **config,
    }
    options = Options(
        model_type=model_type,
        slices=slices,
        thresholds=read_thresholds(thresholds),
        extra_metrics=_named(extra_metrics),
        params=params or inference_params,
        **given,
    )
    subject = (
        None if model is None and measured.examples.predicted is not None else _subject(model, trust, model_config)
    )
    against = None if baseline is None else _subject(baseline, trust, model_config)
    result = evaluated(subject, measured.examples, options, against)
    ref = measured.ref
    result = replace(result, dataset_name=ref.name, dataset_digest=ref.digest)
    if log:
        with _run(name) as run:
            result = _logged(run, result, measured, options.metric_prefix)
    require(result.failed, result)
    return result


def validate_evaluation_results(
    validation_thresholds: Mapping[str, object],
    candidate_result: EvaluationResult,
    baseline_result: EvaluationResult | None = None,
) -> None:
    """Hold what `evaluate` returned against thresholds; MLflow's verb.

    Args:
        validation_thresholds: As in `evaluate`.
        candidate_result: What was measured.
        baseline_result: The same of a baseline.

    Raises:
        InvalidValue: A threshold cannot be used.
        ThresholdFailed: One is not met.
    """
    compared = baseline_result.metrics if baseline_result is not None else candidate_result.baseline_metrics
    found = checks(read_thresholds(validation_thresholds), candidate_result.metrics, compared)
    require([check for check in found if not check.passed], candidate_result)


def require(failed: Sequence[Check], result: EvaluationResult) -> None:
    """Raise if thresholds are not met.

    Raises:
        ThresholdFailed: Some are not.
    """
    if failed:
        count = f"{len(failed)} thresholds" if len(failed) > 1 else "a threshold"
        raise ThresholdFailed(f"the model misses {count}: {'; '.join(map(str, failed))}", result=result)


def _subject(model: object, trust: bool, config: Mapping[str, Any] | None) -> Subject:
    if model is None:
        raise InvalidValue("evaluate was given neither a model nor predictions: wanted one of them")
    if isinstance(model, str | os.PathLike):
        model = load_model(os.fspath(model), trust=trust, model_config=config)
    return Subject(model)


def _data(data: Any, targets: object, weights: object, predictions: object, name: str | None) -> _Data:  # noqa: ANN401 - of any library
    if data is None:
        raise InvalidValue("evaluate was given no data: wanted a table, a dataset, or an array")
    examples = read_examples(data, targets, weights=weights, predictions=predictions)
    if hasattr(data, "digest"):
        return _Data(examples=examples, dataset=_renamed(recorded(data, context=CONTEXT), name))
    if is_array(data):
        return _Data(
            examples=examples, dataset=recorded(from_numpy(data, targets=examples.truth, name=name), context=CONTEXT)
        )
    table = examples.data
    if examples.target not in table.columns:
        table = table.assign(**{examples.target: examples.truth})  # other answers are other data
    dataset: Dataset = from_pandas(table, targets=examples.target, name=name)
    return _Data(examples=examples, dataset=recorded(dataset, context=CONTEXT))


def _renamed(dataset: records.DatasetInput, name: str | None) -> records.DatasetInput:
    return replace(dataset, dataset=replace(dataset.dataset, name=name)) if name else dataset


def _config(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return MLflow's options under our names.

    Raises:
        InvalidValue: One is not known.
    """
    found = {}
    for name, value in (given or {}).items():
        if name in _CONFIG:
            found[_CONFIG[name]] = value
        elif not name.startswith(_OF_EXPLAINERS):
            raise InvalidValue(f"evaluator_config has {name!r}: wanted some of {', '.join(_CONFIG)}")
    return found


def _named(metrics: Mapping[str, Metric] | Sequence[Metric] | None) -> dict[str, Metric]:
    if metrics is None or isinstance(metrics, Mapping):
        return dict(metrics or {})
    return {getattr(metric, "__name__", str(metric)): metric for metric in metrics}


@contextmanager
def _run(name: str | None) -> Iterator[RecordedRun]:
    """Give the run to log to: the active one, or one that ends with the block."""
    if open_run() is not None:
        yield run_to_log_to()
        return
    with start_run(run_name=f"evaluate {name}" if name else "evaluate"):
        yield run_to_log_to()


def _logged(run: RecordedRun, result: EvaluationResult, data: _Data, prefix: str) -> EvaluationResult:
    run.log_inputs([data.dataset])
    moment = now_ms()
    run.log_metrics(result.metrics, timestamp=moment)
    if result.model_id is not None:
        _log_to_model(run, result, data.ref, moment)
    artifacts = _tables(run, result, prefix) | _pictures(run, result.figures, prefix)
    done = replace(result, run_id=run.run_id, artifacts=artifacts)
    path = f"{prefix}evaluation.json"
    told = json.dumps(done.to_dict())
    run.log_json(json.loads(told, parse_constant=lambda _: None), path)  # JSON has neither NaN nor infinities
    return replace(done, artifacts={**artifacts, "evaluation": _uri(run, path)})


def _log_to_model(run: RecordedRun, result: EvaluationResult, ref: DatasetRef, moment: int) -> None:
    assert result.model_id is not None
    points = [
        ModelMetric(
            metric=records.Metric(key=key, value=value, timestamp=moment, step=0),
            model_id=result.model_id,
            run_id=run.run_id,
            dataset=ref,
        )
        for key, value in result.metrics.items()
    ]
    logged = Connected()._catalog.logged
    try:
        logged.get_model(result.model_id)
    except NotFound:  # a folder from elsewhere says which model it was there
        logger.info("the model %s is not in this store: its metrics are the run's only", result.model_id)
        return
    logged.log_metrics(points)
    logged.log_inputs(run.run_id, [result.model_id])


def _tables(run: RecordedRun, result: EvaluationResult, prefix: str) -> dict[str, str]:
    found = {}
    for name, table in result.tables.items():
        path = f"{prefix}{name}.{'json' if name == EVAL_TABLE else 'csv'}"
        if name == EVAL_TABLE:
            store_table(run, table, path)
        else:
            log_saved(run, path, lambda target, table=table: table.to_csv(target, index=False))  # type: ignore[misc]
        found[name] = _uri(run, path)
    return found


def _pictures(run: RecordedRun, figures: Mapping[str, Callable[[], Figure]], prefix: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, draw in figures.items():
        try:
            figure = draw()
        except ImportError:
            warnings.warn("no pictures were drawn: pip install matplotlib", stacklevel=5)
            return found
        path = f"{prefix}{name}.png"
        log_saved(run, path, figure.savefig)
        found[name] = _uri(run, path)
    return found


def _uri(run: RecordedRun, path: str) -> str:
    return f"runs:/{run.run_id}/{Path(path).as_posix()}"
