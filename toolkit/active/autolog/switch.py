"""`toolkit.autolog()`: all libraries at once."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from toolkit.active.autolog.integration import Integration
from toolkit.active.autolog.options import Options
from toolkit.errors import InvalidValue

FLAVORS = {
    "sklearn": "toolkit.active.autolog.sklearn",
    "xgboost": "toolkit.active.autolog.xgboost",
    "lightgbm": "toolkit.active.autolog.lightgbm",
    "pytorch": "toolkit.active.autolog.lightning",
    "keras": "toolkit.active.autolog.keras",
    "statsmodels": "toolkit.active.autolog.statsmodels",
}
"""Modules that watch a library each, by the flavor's name."""


def autolog(
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    log_traces: bool = True,  # noqa: ARG001 - MLflow's argument: no library that is watched here has traces
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    extra_tags: Mapping[str, str] | None = None,
    exclude_flavors: Iterable[str] | None = None,
) -> None:
    """Log trainings by themselves, with whatever library: parameters, metrics, curves, pictures, data and the model.

    A library is watched from when the script imports it, before this or after. A training logs into the active run;
    without one it makes a run and ends it. What a training trains on its way is not logged once more. What the
    ``autolog`` of one flavor has been told counts for more than what is told here.

    Args:
        log_input_examples: Keep the first rows of the training data with the model.
        log_model_signatures: Keep with the model what it takes and gives.
        log_models: Log the trained model.
        log_datasets: Note the data as inputs of the run.
        log_traces: MLflow's argument; none of these libraries has traces.
        disable: Stop that, for all libraries, and put their functions back.
        exclusive: Log nothing into a run that the script has opened.
        disable_for_unsupported_versions: Watch no library whose release is older than those that are tested.
        silent: Say nothing of what could not be logged.
        extra_tags: Tags of each run that is made for a training.
        exclude_flavors: Leave these as they are.

    Raises:
        InvalidValue: There is no flavor of a name in ``exclude_flavors``.
    """
    left_out = set(exclude_flavors or ())
    if unknown := left_out - set(FLAVORS):
        raise InvalidValue(
            f"exclude_flavors names {', '.join(sorted(map(repr, unknown)))}: there are {', '.join(FLAVORS)}"
        )
    options = Options(
        log_input_examples=log_input_examples,
        log_model_signatures=log_model_signatures,
        log_models=log_models,
        log_datasets=log_datasets,
        exclusive=exclusive,
        disable_for_unsupported_versions=disable_for_unsupported_versions,
        silent=silent,
        extra_tags=extra_tags or {},
    )
    for flavor in FLAVORS:
        if flavor in left_out:
            continue
        if disable:
            integration(flavor).disable()
        else:
            integration(flavor).enable_as_all(options)


def integration(flavor: str) -> Integration[Any]:
    """Return what watches a library."""
    found: Integration[Any] = importlib.import_module(FLAVORS[flavor]).INTEGRATION
    return found
