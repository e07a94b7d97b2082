"""The model that came out of a training, logged with its signature and an example of its input."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from toolkit.active.autolog.training import Training
from toolkit.errors import InvalidValue

Predict = Callable[[Any], Any]


def log_trained(
    training: Training,
    model: object,
    *,
    flavor: str,
    example: Any = None,  # noqa: ANN401 - of any library
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
    if signature is None and wanted.log_model_signatures and example is not None and predict is not None:
        with training.attempt("the model's signature is not known"):
            signature = _inferred(example, predict)
    arguments: dict[str, Any] = {
        "name": name,
        "signature": signature if wanted.log_model_signatures and signature is not None else False,
        "input_example": example if wanted.log_input_examples or needs_example else None,
        "registered_model_name": wanted.registered_model_name if register else None,
    }
    with training.attempt("the model is not logged"):
        try:
            _log(training, model, flavor, {**arguments, **(options or {})})
        except InvalidValue:
            if else_options is None:
                raise
            _log(training, model, flavor, {**arguments, **else_options})


def _log(training: Training, model: object, flavor: str, arguments: Mapping[str, Any]) -> None:
    from toolkit.active.models import log_model  # noqa: PLC0415 - loaded once there is a model

    log_model(model, flavor=flavor, run_id=training.run.run_id, **arguments)


def _inferred(example: Any, predict: Predict) -> object:  # noqa: ANN401 - of any library
    from toolkit.models.infer import infer_signature  # noqa: PLC0415 - loaded once there is a model

    return infer_signature(example, predict(copy.deepcopy(example)))
