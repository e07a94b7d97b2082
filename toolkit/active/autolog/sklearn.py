"""Autolog of scikit-learn: estimators, pipelines, and searches with child runs for their best candidates.

What estimators, methods and metrics there are is found out as the parts of scikit-learn are imported: none is imported
for it.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from toolkit.active.autolog import nesting, sklearn_after, sklearn_measures, sklearn_search
from toolkit.active.autolog.options import Options
from toolkit.active.autolog.rows import count_of, dataset_of, first_rows
from toolkit.active.autolog.sklearn_after import EstimatorIntegration
from toolkit.active.autolog.sklearn_measures import Labelled
from toolkit.active.autolog.trained import log_trained
from toolkit.active.autolog.training import Training
from toolkit.data.input import recorded
from toolkit.errors import InvalidValue
from toolkit.tracking.records import DatasetInput

Call = Callable[..., Any]

_TRAINS = ("fit", "fit_transform", "fit_predict")
_PREPARING = (
    "sklearn.preprocessing",
    "sklearn.impute",
    "sklearn.feature_extraction",
    "sklearn.feature_selection",
    "sklearn.compose._column_transformer",
)
"""Modules whose estimators prepare data: a fit of theirs is a training only as a part of one."""

_VALIDATION = "sklearn.model_selection._validation"
"""Module of ``cross_val_score`` and its like. The fits of their workers are no trainings: they measure a method."""

_OVERWRITES = ("copy_X", "copy_x", "copy")
"""Parameters that say, if they are false, that a fit writes into its data."""


@dataclass(frozen=True, kw_only=True)
class SklearnOptions(Options):
    """How trainings with scikit-learn are logged.

    Attributes:
        max_tuning_runs: So many candidates of a search become child runs; ``None``: all.
        log_post_training_metrics: Log what the script measures of a model later, too.
        serialization_format: How models are saved; ``None``: as `toolkit.sklearn.log_model` does.
        pos_label: The class that binary metrics are of; ``None``: the mean of all classes.
        max_metric_rows: Metrics and pictures are of so many rows at most; ``None``: of all.
    """

    max_tuning_runs: int | None = 5
    log_post_training_metrics: bool = True
    serialization_format: str | None = None
    pos_label: object = None
    max_metric_rows: int | None = 100_000


class SklearnIntegration(EstimatorIntegration[SklearnOptions]):
    """Watches scikit-learn."""

    flavor: ClassVar[str] = "sklearn"
    packages: ClassVar[tuple[str, ...]] = ("scikit-learn",)
    oldest: ClassVar[str] = "1.4"
    modules: ClassVar[tuple[str, ...]] = ("sklearn", "joblib")
    kind = SklearnOptions

    def patch(self, module: ModuleType) -> None:
        """Replace the methods of the estimators that a module defines, and the metrics, if it is that one."""
        name = module.__name__
        if name == "joblib.parallel":
            self.replace(vars(module).get("Parallel"), "__call__", _parallel)
        elif name.startswith("sklearn."):
            for each in list(vars(module).values()):
                if isinstance(each, type) and each.__module__ == name and _may_train(each):
                    self._patch_class(each)

    def _patch_class(self, kind: type) -> None:
        for method in _TRAINS:
            self.replace(kind, method, self._fitting)
        if kind.__module__ != "sklearn.base":  # whose mixins are watched for other libraries, too
            self.patch_measures(kind)

    def _fitting(self, original: Call, estimator: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - of any kind
        options = self.options
        if options is None or nesting.inside() is not None:
            return original(estimator, *args, **kwargs)
        of = _nearest(type(estimator))
        if of is not None and of.startswith(_PREPARING):
            with nesting.entered(self):  # what it fits on its way is no training, either
                return original(estimator, *args, **kwargs)
        training = None if of is None else self.begin()
        if training is None:
            return original(estimator, *args, **kwargs)
        with training:
            watched = _Fit(training, options, estimator)
            watched.before(original, args, kwargs)
            result = original(estimator, *args, **kwargs)
            with training.attempt("what came out of the training is not logged"):
                watched.after()
        return result


@dataclass
class _Fit:
    """One fit that is logged."""

    training: Training
    options: SklearnOptions
    estimator: Any
    rows: Labelled | None = None
    example: Any = None
    inputs: list[DatasetInput] = field(default_factory=list)

    def before(self, original: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Log what is known before the fit, and keep what it may change."""
        training, estimator = self.training, self.estimator
        search = sklearn_search.is_search(estimator)
        with training.attempt("the parameters are not logged"):
            params = estimator.get_params(deep=not search)
            training.log_params(params)
            training.set_tags(_tags(estimator))
            with training.attempt("the training data are not known"):
                rows = _rows(original, estimator, args, kwargs)
                self.example = first_rows(rows.x)
                self.rows = _kept(rows, params)
        if self.rows is not None and self.options.log_datasets:
            with training.attempt("the training data are no input of the run"):
                dataset = dataset_of(self.rows.x, self.rows.y)
                self.inputs = [] if dataset is None else [recorded(dataset, context="train")]
                if self.inputs:
                    training.run.log_inputs(self.inputs)

    def after(self) -> None:
        """Log what came out of the fit."""
        training, estimator = self.training, self.estimator
        search = sklearn_search.is_search(estimator)
        with training.attempt("the files of the training are not logged"), training.files() as folder:
            with training.attempt("the metrics of the training are not logged"):
                self._measure(folder)
            with training.attempt("the picture of the estimator is not logged"):
                _write_html(estimator, folder)
            if search and hasattr(estimator, "cv_results_"):
                with training.attempt("the search's table is not logged"):
                    sklearn_search.write_results(estimator, folder)
        if search:
            self._log_search()
        self._log_model(estimator, "model", register=True)
        if search and hasattr(estimator, "best_estimator_"):
            self._log_model(estimator.best_estimator_, "best_estimator", register=False)
        if self.options.log_post_training_metrics:
            with training.attempt("what is measured of the model later is not logged"):
                sklearn_after.remember(training, estimator)

    def _measure(self, folder: Path) -> None:
        estimator = self.estimator
        if self.rows is None or self.rows.y is None or not hasattr(estimator, "predict"):
            return
        rows = self.rows.sample(self.options.max_metric_rows)
        if rows is not self.rows:
            self.training.set_tags({"toolkit.autolog.metricRows": count_of(rows.x)})
        said = sklearn_measures.predict(estimator, rows)
        self.training.log_metrics(
            sklearn_measures.measure(self.training, estimator, rows, said, self.options.pos_label)
        )
        sklearn_measures.draw(self.training, estimator, rows, said, folder)

    def _log_search(self) -> None:
        training, search = self.training, self.estimator
        with training.attempt("what the search found is not logged"):
            training.log_params(sklearn_search.best_params(search))
            if hasattr(search, "best_score_"):
                training.log_metrics({"best_cv_score": search.best_score_})
            if hasattr(search, "cv_results_"):
                sklearn_search.log_candidates(
                    training,
                    search,
                    most=self.options.max_tuning_runs,
                    tags=_tags(search.estimator),
                    inputs=self.inputs,
                )

    def _log_model(self, model: Any, name: str, *, register: bool) -> None:  # noqa: ANN401 - an estimator
        saved = self.options.serialization_format
        log_trained(
            self.training,
            model,
            flavor="sklearn",
            example=self.example,
            predict=getattr(model, "predict", None) or getattr(model, "transform", None),
            name=name,
            register=register,
            options={} if saved is None else {"serialization_format": saved},
            else_options={"serialization_format": "cloudpickle"} if saved is None else None,
        )


def _may_train(kind: type) -> bool:
    """Tell whether a class is an estimator, or a base that lends its methods to estimators."""
    return any(each.__module__ == "sklearn.base" for each in kind.__mro__)


def _nearest(kind: type) -> str | None:
    """Return the module of scikit-learn that a class or its nearest base is from; ``None``: it is another's."""
    modules = (each.__module__ for each in kind.__mro__ if each.__module__ != "sklearn.base")
    return next((module for module in modules if module.startswith("sklearn.")), None)


def _tags(estimator: object) -> dict[str, str]:
    kind = type(estimator)
    return {"estimator_name": kind.__name__, "estimator_class": f"{kind.__module__}.{kind.__name__}"}


def _rows(original: Call, estimator: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Labelled:
    """Return the data that a fit is called with: its first two arguments, and the weights of the rows."""
    signature = inspect.signature(original)
    given = signature.bind_partial(estimator, *args, **kwargs).arguments
    names = list(signature.parameters)[1:3]
    x, y = (given.get(name) for name in (*names, *[""] * (2 - len(names))))
    return Labelled(
        x=x, y=None if "y" not in names[1:] and "Y" not in names[1:] else y, weight=given.get("sample_weight")
    )


def _kept(rows: Labelled, params: Mapping[str, object]) -> Labelled | None:
    """Return the data as they are before the fit, copied if that may write into them; ``None`` for streams."""
    if count_of(rows.x) is None:
        return None
    if any(value is False and name.rpartition("__")[2] in _OVERWRITES for name, value in params.items()):
        return copy.deepcopy(rows)
    return rows


def _write_html(estimator: Any, folder: Path) -> None:  # noqa: ANN401 - an estimator
    from sklearn.utils import estimator_html_repr  # noqa: PLC0415 - a training with it is under way

    page = '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="UTF-8"/></head>\n<body>\n{}\n</body>\n</html>\n'
    (folder / "estimator.html").write_text(page.format(estimator_html_repr(estimator)), encoding="utf-8")


def _parallel(original: Call, parallel: object, tasks: Any) -> Any:  # noqa: ANN401 - what the tasks return
    """Let the workers of a training know that their fits are a part of it."""
    wanted = _always if nesting.inside() is not None else _validates
    carried = nesting.carried(tasks, wanted)
    return original(parallel, list(carried) if hasattr(tasks, "__len__") else carried)


def _always(function: Call) -> bool:  # noqa: ARG001 - the form of what `carried` asks
    return True


def _validates(function: Any) -> bool:  # noqa: ANN401 - a function, or what scikit-learn wraps it in
    return getattr(getattr(function, "function", function), "__module__", None) == _VALIDATION


def autolog(
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    max_tuning_runs: int | None = 5,
    log_post_training_metrics: bool = True,
    serialization_format: str | None = None,
    registered_model_name: str | None = None,
    pos_label: object = None,
    extra_tags: Mapping[str, str] | None = None,
    *,
    max_metric_rows: int | None = 100_000,
) -> None:
    """Log trainings with scikit-learn by themselves: each ``fit`` of a model, a pipeline or a search.

    Args:
        log_input_examples: Keep the first rows of the training data with the model.
        log_model_signatures: Keep with the model what it takes and gives.
        log_models: Log the trained model.
        log_datasets: Note the data as inputs of the run.
        disable: Stop that.
        exclusive: Log nothing into a run that the script has opened.
        disable_for_unsupported_versions: Watch no release that is older than those that are tested.
        silent: Say nothing of what could not be logged.
        max_tuning_runs: So many candidates of a search become child runs; ``None``: all.
        log_post_training_metrics: Log what the script measures of a model later, too.
        serialization_format: How models are saved; default: as `toolkit.sklearn.log_model` does.
        registered_model_name: Register each model that is logged as a version of this one.
        pos_label: The class that binary metrics are of; default: the mean of all classes, by their weight.
        extra_tags: Tags of each run that is made for a training.
        max_metric_rows: Metrics and pictures of a training are of so many rows at most; ``None``: of all.

    Raises:
        InvalidValue: ``max_tuning_runs`` is negative.
    """
    if max_tuning_runs is not None and max_tuning_runs < 0:
        raise InvalidValue(f"max_tuning_runs is {max_tuning_runs}: wanted 0 or more, or None for all")
    if disable:
        INTEGRATION.disable()
        return
    INTEGRATION.enable(
        SklearnOptions(
            log_input_examples=log_input_examples,
            log_model_signatures=log_model_signatures,
            log_models=log_models,
            log_datasets=log_datasets,
            exclusive=exclusive,
            disable_for_unsupported_versions=disable_for_unsupported_versions,
            silent=silent,
            max_tuning_runs=max_tuning_runs,
            log_post_training_metrics=log_post_training_metrics,
            serialization_format=serialization_format,
            registered_model_name=registered_model_name,
            pos_label=pos_label,
            extra_tags=extra_tags or {},
            max_metric_rows=max_metric_rows,
        )
    )


INTEGRATION = SklearnIntegration()
