"""Autolog of statsmodels: the ``fit`` of each of its models."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from toolkit.active.autolog import nesting
from toolkit.active.autolog.integration import Integration
from toolkit.active.autolog.options import Options
from toolkit.active.autolog.rows import dataset_of, first_rows, is_a
from toolkit.active.autolog.trained import log_trained
from toolkit.active.autolog.training import Training

Call = Callable[..., Any]

METRICS = (
    *("aic", "bic", "centered_tss", "condition_number", "df_model", "df_resid", "ess", "f_pvalue", "fvalue", "llf"),
    *("mse_model", "mse_resid", "mse_total", "rsquared", "rsquared_adj", "scale", "ssr", "uncentered_tss"),
)
"""What is logged of a result, where it has it."""


@dataclass(frozen=True, kw_only=True)
class StatsmodelsOptions(Options):
    """How trainings with statsmodels are logged."""


class StatsmodelsIntegration(Integration[StatsmodelsOptions]):
    """Watches statsmodels."""

    flavor: ClassVar[str] = "statsmodels"
    packages: ClassVar[tuple[str, ...]] = ("statsmodels",)
    oldest: ClassVar[str] = "0.14"
    modules: ClassVar[tuple[str, ...]] = ("statsmodels",)
    kind = StatsmodelsOptions

    def patch(self, module: ModuleType) -> None:
        """Replace the ``fit`` of the models that a module defines."""
        for each in list(vars(module).values()):
            if isinstance(each, type) and each.__module__ == module.__name__ and _is_model(each):
                self.replace(each, "fit", self._fitting)

    def _fitting(self, original: Call, model: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - a result
        training = None if nesting.inside() is not None else self.begin()
        if training is None:
            return original(model, *args, **kwargs)
        with training:
            with training.attempt("the parameters are not logged"):
                training.log_params(_arguments(original, model, args, kwargs))
            if training.options.log_datasets:
                with training.attempt("the training data are no input of the run"):
                    _log_data(training, model)
            result = original(model, *args, **kwargs)
            if is_a("statsmodels.base.wrapper.ResultsWrapper", result):
                with training.attempt("the metrics of the training are not logged"):
                    training.log_metrics(_measured(result))
                with training.attempt("the summary is not logged"):
                    training.run.log_text(result.summary().as_text(), "model_summary.txt")
            example = None
            with training.attempt("there is no example of the training data"):
                example = _example(model)
            with training.attempt("the model is not logged"):
                predict = getattr(result, "predict", None)
                log_trained(training, result, flavor="statsmodels", example=example, predict=predict)
        return result


def _is_model(kind: type) -> bool:
    return any((each.__module__, each.__name__) == ("statsmodels.base.model", "Model") for each in kind.__mro__)


def _arguments(original: Call, model: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, object]:
    """Return the arguments of a fit, with the defaults of those that were not given."""
    bound = inspect.signature(original).bind(model, *args, **kwargs)
    bound.apply_defaults()
    found: dict[str, object] = {}
    for name, value in list(bound.arguments.items())[1:]:
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            found.update(value)
        elif kind is not inspect.Parameter.VAR_POSITIONAL:
            found[name] = value
    return found


def _measured(result: object) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in METRICS:
        try:
            value = float(getattr(result, name))
        except Exception:  # noqa: BLE001, S112 - computed when asked for: not every result has each of them
            continue
        if not math.isnan(value):
            found[name] = value
    return found


def _frame(model: Any) -> Any:  # noqa: ANN401 - a table of pandas
    """Return the table that a formula was given; ``None`` for a model that was given arrays."""
    return getattr(getattr(model, "data", None), "frame", None) if getattr(model, "formula", None) else None


def _example(model: Any) -> Any:  # noqa: ANN401 - rows as ``predict`` takes them
    frame = _frame(model)
    if frame is not None:
        return first_rows(frame.drop(columns=[name for name in _names(model.endog_names) if name in frame]))
    rows = getattr(getattr(model, "data", None), "orig_exog", None)
    return None if rows is None else first_rows(rows)


def _log_data(training: Training, model: Any) -> None:  # noqa: ANN401 - a model of statsmodels
    frame = _frame(model)
    data = getattr(model, "data", None)
    features, targets = (getattr(data, name, None) for name in ("orig_exog", "orig_endog"))
    if features is None:
        features, targets = targets, None  # a series
    if features is not None and is_a("pandas.Series", features):
        features = features.to_frame()
    dataset = dataset_of(features, targets) if frame is None else dataset_of(frame)
    if dataset is not None:
        training.log_dataset(dataset, "train")


def _names(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def autolog(
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    registered_model_name: str | None = None,
    extra_tags: Mapping[str, str] | None = None,
    *,
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
) -> None:
    """Log trainings with statsmodels by themselves: the ``fit`` of its models.

    Args:
        log_models: Log the result of the fit.
        log_datasets: Note the data as inputs of the run.
        disable: Stop that.
        exclusive: Log nothing into a run that the script has opened.
        disable_for_unsupported_versions: Watch no release that is older than those that are tested.
        silent: Say nothing of what could not be logged.
        registered_model_name: Register each model that is logged as a version of this one.
        extra_tags: Tags of each run that is made for a training.
        log_input_examples: Keep the first rows of the training data with the model.
        log_model_signatures: Keep with the model what it takes and gives.
    """
    if disable:
        INTEGRATION.disable()
        return
    INTEGRATION.enable(
        StatsmodelsOptions(
            log_input_examples=log_input_examples,
            log_model_signatures=log_model_signatures,
            log_models=log_models,
            log_datasets=log_datasets,
            exclusive=exclusive,
            disable_for_unsupported_versions=disable_for_unsupported_versions,
            silent=silent,
            registered_model_name=registered_model_name,
            extra_tags=extra_tags or {},
        )
    )


INTEGRATION = StatsmodelsIntegration()
