"""The model that came out of a training, logged with its signature and an example of its input."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from toolkit.active.autolog.training import Training

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
    options: Mapping[str, object] | None = None,
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
        options: The flavor's own arguments.
    """
    wanted = training.options
    if not wanted.log_models:
        return
    if signature is None and wanted.log_model_signatures and example is not None and predict is not None:
        with training.attempt("the model's signature is not known"):
            signature = _inferred(example, predict)
    with training.attempt("the model is not logged"):
        from toolkit.active.models import log_model  # noqa: PLC0415 - loaded once there is a model

        log_model(
            model,
            name=name,
            flavor=flavor,
            signature=signature if wanted.log_model_signatures and signature is not None else False,
            input_example=example if wanted.log_input_examples else None,
            registered_model_name=wanted.registered_model_name if register else None,
            **(options or {}),
        )


def _inferred(example: Any, predict: Predict) -> object:  # noqa: ANN401 - of any library
    from toolkit.models.infer import infer_signature  # noqa: PLC0415 - loaded once there is a model

    return infer_signature(example, predict(copy.deepcopy(example)))
