"""The model that came out of a training, logged with its signature and an example of its input."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toolkit.active.autolog.training import Training
from toolkit.active.connected import Connected
from toolkit.errors import InvalidValue
from toolkit.models.folder import save_model
from toolkit.models.metadata import ModelMetadata
from toolkit.registry.logged_model import ModelToLog, log_model

Predict = Callable[[Any], Any]


def log_trained(
    training: Training,
    model: object,
    *,
    flavor: str,
    example: Any = None,  # noqa: ANN401 - of any library
    rows: Any = None,  # noqa: ANN401 - of any library
    predict: Predict | None = None,
    signature: object = None,
    name: str = "model",
    register: bool = True,
    needs_example: bool = False,
    options: Mapping[str, object] | None = None,
    else_options: Mapping[str, object] | None = None,
) -> None:
    """Log a model, if that is wanted.

    Args:
        training: Where it comes from.
        model: The model.
        flavor: How it is saved.
        example: A few rows of what it was trained on.
        rows: Rows such as it takes, where there is no example; they are not kept.
        predict: Gives what it says of such rows.
        signature: What it takes and gives, where that is known otherwise.
        name: The model's name.
        register: Whether it is the one that becomes a version of a registered model.
        needs_example: Whether the flavor cannot save it without an example, so that this is kept in any case.
        options: The flavor's own arguments.
        else_options: What they are, if the model cannot be saved so.
    """
    wanted = training.options
    if not wanted.log_models:
        return
    rows = example if rows is None else rows
    if signature is None and wanted.log_model_signatures and rows is not None and predict is not None:
        with training.attempt("the model's signature is not known"):
            signature = _inferred(rows, predict)

    def save(folder: Path) -> ModelMetadata:
        arguments: dict[str, Any] = {
            "flavor": flavor,
            "signature": signature if wanted.log_model_signatures and signature is not None else False,
            "input_example": example if wanted.log_input_examples or needs_example else None,
        }
        try:
            return save_model(model, folder, options=options, **arguments)
        except InvalidValue:
            if else_options is None:
                raise
            return save_model(model, folder, options=else_options, **arguments)

    with training.attempt("the model is not logged"):
        run = training.run
        to_log = ModelToLog(
            experiment_id=run.info.experiment_id,
            name=name,
            run_id=run.run_id,
            registered_model_name=wanted.registered_model_name if register else None,
        )
        log_model(to_log, save, run.stores, Connected()._catalog)


def _inferred(example: Any, predict: Predict) -> object:  # noqa: ANN401 - of any library
    from toolkit.models.infer import infer_signature  # noqa: PLC0415 - loaded once there is a model

    return infer_signature(example, predict(copy.deepcopy(example)))
