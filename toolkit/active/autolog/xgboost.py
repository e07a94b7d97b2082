"""Autolog of XGBoost: `xgboost.train`, and its estimators."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from toolkit.active.autolog.boosting import BoostingIntegration, Curve
from toolkit.active.autolog.options import Options
from toolkit.active.autolog.rows import MOST_DENSE


@dataclass(frozen=True, kw_only=True)
class XgboostOptions(Options):
    """How trainings with XGBoost are logged.

    Attributes:
        importance_types: Kinds of importance of features.
        model_format: Format of the model: ``ubj``, ``json`` or ``xgb``.
    """

    importance_types: tuple[str, ...] = ("weight",)
    model_format: str = "ubj"


class XgboostIntegration(BoostingIntegration[XgboostOptions]):
    """Watches XGBoost."""

    flavor: ClassVar[str] = "xgboost"
    packages: ClassVar[tuple[str, ...]] = ("xgboost", "xgboost-cpu")
    oldest: ClassVar[str] = "2.0"
    modules: ClassVar[tuple[str, ...]] = ("xgboost",)
    kind = XgboostOptions
    estimators: ClassVar[str] = "xgboost.sklearn"
    matrices: ClassVar[tuple[str, ...]] = ("DMatrix", "QuantileDMatrix")
    unlogged: ClassVar[tuple[str, ...]] = (
        *("params", "dtrain", "evals", "obj", "feval", "evals_result", "xgb_model", "callbacks", "learning_rates"),
    )
    train_set: ClassVar[str] = "dtrain"

    def callback(self, curve: Curve) -> Any:  # noqa: ANN401 - a TrainingCallback
        """Return a callback that XGBoost takes."""
        base: Any = sys.modules["xgboost"].callback.TrainingCallback

        class Watch(base):  # type: ignore[misc]  # known only here
            """Adds what was measured after each iteration."""

            def after_iteration(self, model: object, epoch: int, evals_log: Mapping[str, Mapping[str, Any]]) -> bool:  # noqa: ARG002 - XGBoost's form
                found: dict[str, float] = {}
                for data, metrics in evals_log.items():
                    for name, values in metrics.items():
                        value = values[-1]
                        found[f"{data}-{name}"] = value[0] if isinstance(value, tuple) else value
                curve.add(epoch, found)
                return False

        return Watch()

    def evaluated(self, given: Mapping[str, Any]) -> Iterable[tuple[Any, str | None]]:
        """Return the matrices of ``evals``."""
        return list(given.get("evals") or ())

    def stopping(self, booster: Any, curve: Curve) -> tuple[dict[str, float], int] | None:  # noqa: ANN401 - a Booster
        """Return the last and the best iteration, if there was early stopping."""
        best = getattr(booster, "best_iteration", None)
        if best is None or not curve.results:
            return None
        return {"stopped_iteration": len(curve.results) - 1, "best_iteration": best}, best

    def importance(self, booster: Any) -> Mapping[str, Mapping[str, Any]]:  # noqa: ANN401 - a Booster
        """Return the kinds of importance that are wanted."""
        kinds = self.options.importance_types if self.options else ()
        return {kind: booster.get_score(importance_type=kind) for kind in kinds}

    def predict(self, model: Any, rows: Any) -> Any:  # noqa: ANN401 - a Booster or an estimator
        """Return what a booster or an estimator says of rows."""
        library = sys.modules["xgboost"]
        return model.predict(library.DMatrix(rows) if isinstance(model, library.Booster) else rows)

    def data_of(self, matrix: Any) -> Any:  # noqa: ANN401 - a DMatrix
        """Return the rows of a matrix that are few enough to be copied out of it."""
        plain = type(matrix) is sys.modules["xgboost"].DMatrix  # others give quantiles
        return matrix.get_data() if plain and matrix.num_row() * matrix.num_col() <= MOST_DENSE else None

    def saving(self) -> Mapping[str, object]:
        """Return the format of the model."""
        return {"model_format": self.options.model_format} if self.options else {}


def autolog(
    importance_types: Sequence[str] | None = None,
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    registered_model_name: str | None = None,
    model_format: str = "ubj",
    extra_tags: Mapping[str, str] | None = None,
) -> None:
    """Log trainings with XGBoost by themselves: `xgboost.train`, and the ``fit`` of its estimators.

    Args:
        importance_types: Kinds of importance of features to log; default: ``weight``.
        log_input_examples: Keep the first rows of the training data with the model.
        log_model_signatures: Keep with the model what it takes and gives.
        log_models: Log the trained model.
        log_datasets: Note the data as inputs of the run.
        disable: Stop that.
        exclusive: Log nothing into a run that the script has opened.
        disable_for_unsupported_versions: Watch no release that is older than those that are tested.
        silent: Say nothing of what could not be logged.
        registered_model_name: Register each model that is logged as a version of this one.
        model_format: Format of the model: ``ubj``, ``json`` or ``xgb``.
        extra_tags: Tags of each run that is made for a training.
    """
    if disable:
        INTEGRATION.disable()
        return
    INTEGRATION.enable(
        XgboostOptions(
            importance_types=("weight",) if importance_types is None else tuple(importance_types),
            log_input_examples=log_input_examples,
            log_model_signatures=log_model_signatures,
            log_models=log_models,
            log_datasets=log_datasets,
            exclusive=exclusive,
            disable_for_unsupported_versions=disable_for_unsupported_versions,
            silent=silent,
            registered_model_name=registered_model_name,
            model_format=model_format,
            extra_tags=extra_tags or {},
        )
    )


INTEGRATION = XgboostIntegration()
