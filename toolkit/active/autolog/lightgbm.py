"""Autolog of LightGBM: `lightgbm.train`, and its estimators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from toolkit.active.autolog.boosting import BoostingIntegration, Curve
from toolkit.active.autolog.options import Options

_KINDS = ("split", "gain")

_ORDER = 25
"""LightGBM calls callbacks by this: after those that record, before the one that stops the training."""


@dataclass(frozen=True, kw_only=True)
class LightgbmOptions(Options):
    """How trainings with LightGBM are logged."""


class LightgbmIntegration(BoostingIntegration[LightgbmOptions]):
    """Watches LightGBM."""

    flavor: ClassVar[str] = "lightgbm"
    packages: ClassVar[tuple[str, ...]] = ("lightgbm",)
    oldest: ClassVar[str] = "4.0"
    modules: ClassVar[tuple[str, ...]] = ("lightgbm",)
    kind = LightgbmOptions
    estimators: ClassVar[str] = "lightgbm.sklearn"
    matrices: ClassVar[tuple[str, ...]] = ("Dataset",)
    unlogged: ClassVar[tuple[str, ...]] = (
        *("params", "train_set", "valid_sets", "valid_names", "fobj", "feval", "init_model", "learning_rates"),
        "callbacks",
    )
    train_set: ClassVar[str] = "train_set"

    def callback(self, curve: Curve) -> Callable[[Any], None]:
        """Return a callback that LightGBM takes."""

        def watch(env: Any) -> None:  # noqa: ANN401 - a CallbackEnv
            curve.add(env.iteration, {f"{each[0]}-{each[1]}": each[2] for each in env.evaluation_result_list or ()})

        watch.order = _ORDER  # type: ignore[attr-defined]  # how LightGBM is told
        return watch

    def evaluated(self, given: Mapping[str, Any]) -> Iterable[tuple[Any, str | None]]:
        """Return the datasets of ``valid_sets``."""
        sets, names = given.get("valid_sets") or (), given.get("valid_names") or ()
        sets = sets if isinstance(sets, list | tuple) else [sets]
        names = [names] if isinstance(names, str) else names
        return [(each, names[index] if index < len(names) else None) for index, each in enumerate(sets)]

    def stopping(self, booster: Any, curve: Curve) -> tuple[dict[str, float], int] | None:  # noqa: ANN401 - a Booster
        """Return the last and the best iteration, which LightGBM counts from 1, if there was early stopping."""
        best = booster.best_iteration
        if best <= 0 or not curve.results:
            return None
        return {"stopped_iteration": len(curve.results), "best_iteration": best}, best - 1

    def importance(self, booster: Any) -> Mapping[str, Mapping[str, Any]]:  # noqa: ANN401 - a Booster
        """Return both kinds of importance."""
        names = booster.feature_name()
        return {kind: dict(zip(names, booster.feature_importance(kind).tolist(), strict=True)) for kind in _KINDS}

    def predict(self, model: Any, rows: Any) -> Any:  # noqa: ANN401 - a Booster or an estimator
        """Return what a booster or an estimator says of rows."""
        return model.predict(rows)

    def data_of(self, matrix: Any) -> Any:  # noqa: ANN401 - a Dataset
        """Return the rows that a dataset holds until the training begins."""
        return matrix.data


def autolog(
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    registered_model_name: str | None = None,
    extra_tags: Mapping[str, str] | None = None,
) -> None:
    """Log trainings with LightGBM by themselves: `lightgbm.train`, and the ``fit`` of its estimators.

    Args:
        log_input_examples: Keep the first rows of the training data with the model.
        log_model_signatures: Keep with the model what it takes and gives.
        log_models: Log the trained model.
        log_datasets: Note the data as inputs of the run.
        disable: Stop that.
        exclusive: Log nothing into a run that the script has opened.
        disable_for_unsupported_versions: Watch no release that is older than those that are tested.
        silent: Say nothing of what could not be logged.
        registered_model_name: Register each model that is logged as a version of this one.
        extra_tags: Tags of each run that is made for a training.
    """
    if disable:
        INTEGRATION.disable()
        return
    INTEGRATION.enable(
        LightgbmOptions(
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


INTEGRATION = LightgbmIntegration()
