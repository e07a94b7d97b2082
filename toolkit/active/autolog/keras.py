"""Autolog of Keras 3: the ``fit`` of its models, whatever computes them, also as TensorFlow's ``tf.keras``."""

from __future__ import annotations

import inspect
import re
import sys
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
from toolkit.errors import InvalidValue

Call = Callable[..., Any]

_TRAINERS = re.compile(r"keras\.src\.backend\.\w+\.trainer")
_UNLOGGED = {"x", "y", "callbacks", "validation_data", "verbose"}

_DEFAULT_BATCH = 32
"""What Keras makes batches of, if it is given arrays and not told."""


@dataclass(frozen=True, kw_only=True)
class KerasOptions(Options):
    """How trainings with Keras are logged.

    Attributes:
        log_every_epoch: Log metrics at the end of each epoch.
        log_every_n_steps: Log metrics at the end of every so many steps, instead.
        save_exported_model: Save the model as a graph for serving, not in Keras's own format.
        save_model_kwargs: More arguments for the function that saves it.
    """

    log_every_epoch: bool = True
    log_every_n_steps: int | None = None
    save_exported_model: bool = False
    save_model_kwargs: Mapping[str, object] | None = None


class KerasIntegration(Integration[KerasOptions]):
    """Watches Keras."""

    flavor: ClassVar[str] = "keras"
    packages: ClassVar[tuple[str, ...]] = ("keras",)
    oldest: ClassVar[str] = "3.0"
    modules: ClassVar[tuple[str, ...]] = ("keras",)
    kind = KerasOptions

    def patch(self, module: ModuleType) -> None:
        """Replace the ``fit`` of a backend's trainers."""
        if _TRAINERS.fullmatch(module.__name__):
            for each in list(vars(module).values()):
                if isinstance(each, type) and each.__module__ == module.__name__:
                    self.replace(each, "fit", self._fitting)

    def _fitting(self, original: Call, model: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - a History
        options = self.options
        training = None if options is None or nesting.inside() is not None else self.begin()
        if options is None or training is None:
            return original(model, *args, **kwargs)
        with training:
            try:
                bound = inspect.signature(original).bind(model, *args, **kwargs)
            except TypeError:
                return original(model, *args, **kwargs)  # it says itself what is wrong
            given = bound.arguments
            example = None
            with training.attempt("there is no example of the training data"):
                example = _example(given.get("x"))
            with training.attempt("the parameters are not logged"):
                training.log_params(_params(original, given))
            if options.log_datasets:
                with training.attempt("the data are no inputs of the run"):
                    _log_data(training, given)
            with training.attempt("the epochs are not watched"):
                given["callbacks"] = _with_ours(given.get("callbacks"), Epochs(training, options))
            result = original(*bound.args, **bound.kwargs)
            with training.attempt("the model is not logged"):
                _log_model(training, options, model, example)
        return result


class Epochs:
    """What is logged while a model is fitted; a callback of Keras calls it.

    Args:
        training: What it is logged to.
        options: How.
    """

    def __init__(self, training: Training, options: KerasOptions) -> None:
        self.training = training
        self._options = options
        self._epoch = 0

    def on_train_begin(self, model: Any) -> None:  # noqa: ANN401 - a Model
        """Log the optimizer and the layers."""
        config = model.optimizer.get_config() if model.optimizer is not None else {}
        self.training.log_params({f"optimizer_{name}": value for name, value in config.items()})
        lines: list[str] = []
        model.summary(print_fn=lambda line, *_, **__: lines.append(line))
        self.training.run.log_text("\n".join(lines), "model_summary.txt")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Log the metrics of an epoch."""
        self._epoch = epoch + 1
        if self._options.log_every_epoch:
            self.training.log_metrics(logs, step=epoch)

    def on_train_batch_end(self, model: Any, logs: Mapping[str, float]) -> None:  # noqa: ANN401 - a Model
        """Log the metrics of a step, if that is wanted."""
        every = self._options.log_every_n_steps
        if every:
            step = int(model.optimizer.iterations.numpy())
            if step % every == 0:
                self.training.log_metrics(logs, step=step)

    def on_test_end(self, logs: Mapping[str, float]) -> None:
        """Log the metrics of the validation of an epoch."""
        self.training.log_metrics({f"validation_{name}": value for name, value in logs.items()}, step=self._epoch)


def _log_model(training: Training, options: KerasOptions, model: Any, example: Any) -> None:  # noqa: ANN401 - a Model
    saving = {"save_exported_model": True} if options.save_exported_model else {}
    more = {"save_model_kwargs": dict(options.save_model_kwargs)} if options.save_model_kwargs else {}
    log_trained(
        training,
        model,
        flavor="keras",
        example=example,
        rows=_like_inputs(model) if example is None else example,
        predict=lambda rows: _predicted(model, rows),
        options={**saving, **more},
    )


def _with_ours(callbacks: Any, watched: Epochs) -> list[Any]:  # noqa: ANN401 - whatever Keras takes
    """Return callbacks and one of ours; nothing of it is raised into the training."""
    base: Any = sys.modules["keras"].callbacks.Callback

    class Watch(base):  # type: ignore[misc]  # known only here
        """Calls ours."""

        def on_train_begin(self, logs: Any = None) -> None:  # noqa: ANN401, ARG002 - Keras's form
            with watched.training.attempt("the optimizer or the summary is not logged"):
                watched.on_train_begin(self.model)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ANN401 - the same
            with watched.training.attempt("the metrics of an epoch are not logged"):
                watched.on_epoch_end(epoch, logs or {})

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ANN401, ARG002 - the same
            with watched.training.attempt("the metrics of a step are not logged"):
                watched.on_train_batch_end(self.model, logs or {})

        def on_test_end(self, logs: Any = None) -> None:  # noqa: ANN401 - the same
            with watched.training.attempt("the metrics of a validation are not logged"):
                watched.on_test_end(logs or {})

    if callbacks is None:
        return [Watch()]
    listed = getattr(callbacks, "callbacks", callbacks)  # of a CallbackList
    return [*(listed if isinstance(listed, list | tuple) else [listed]), Watch()]


def _params(original: Call, given: Mapping[str, Any]) -> dict[str, object]:
    """Return the arguments of a fit that are parameters, with the defaults of those that were not given."""
    parameters = list(inspect.signature(original).parameters.values())[1:]
    told = {each.name: given.get(each.name, each.default) for each in parameters if each.name not in _UNLOGGED}
    if told.get("sample_weight") is not None:
        del told["sample_weight"]  # one of each row
    told["batch_size"] = _batch_size(told.get("batch_size"), given.get("x"))
    return told


def _batch_size(given: object, rows: Any) -> object:  # noqa: ANN401 - whatever Keras takes
    if given is not None:
        return given
    if is_a("numpy.ndarray", rows):
        return _DEFAULT_BATCH
    found = getattr(rows, "batch_size", None) or getattr(rows, "_batch_size", None)  # of a tf.data.Dataset
    return int(found) if found is not None else None


def _example(rows: Any) -> Any:  # noqa: ANN401 - an array
    return first_rows(rows) if is_a("numpy.ndarray", rows) else None


def _like_inputs(model: Any) -> Any:  # noqa: ANN401 - an array
    """Return two rows of zeros such as a model with one input takes."""
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) != 1 or any(size is None for size in inputs[0].shape[1:]):
        return None
    import numpy as np  # noqa: PLC0415 - Keras is there, and so is this

    return np.zeros((2, *inputs[0].shape[1:]), dtype=str(inputs[0].dtype))


def _predicted(model: Any, rows: Any) -> Any:  # noqa: ANN401 - an array
    """Return what a model says of a few rows, without the graph that ``predict`` would build first."""
    said = model(rows, training=False)
    return sys.modules["keras"].ops.convert_to_numpy(said)


def _log_data(training: Training, given: Mapping[str, Any]) -> None:
    tested = given.get("validation_data")
    sets = [(given.get("x"), given.get("y"), "train")]
    if isinstance(tested, tuple | list) and len(tested) >= 2 and tested[0] is not given.get("x"):
        sets.append((tested[0], tested[1], "eval"))
    for rows, targets, context in sets:
        dataset = dataset_of(rows, targets)
        if dataset is not None:
            training.log_dataset(dataset, context)


def autolog(
    log_every_epoch: bool = True,
    log_every_n_steps: int | None = None,
    log_models: bool = True,
    log_model_signatures: bool = True,
    save_exported_model: bool = False,
    log_datasets: bool = True,
    log_input_examples: bool = False,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    registered_model_name: str | None = None,
    save_model_kwargs: Mapping[str, object] | None = None,
    extra_tags: Mapping[str, str] | None = None,
) -> None:
    """Log trainings with Keras 3 by themselves: the ``fit`` of its models.

    Args:
        log_every_epoch: Log metrics at the end of each epoch.
        log_every_n_steps: Log metrics at the end of every so many steps; then ``log_every_epoch`` must be false.
        log_models: Log the trained model.
        log_model_signatures: Keep with the model what it takes and gives.
        save_exported_model: Save the model as a graph for serving, not in Keras's own format.
        log_datasets: Note the data as inputs of the run.
        log_input_examples: Keep the first rows of the training data with the model.
        disable: Stop that.
        exclusive: Log nothing into a run that the script has opened.
        disable_for_unsupported_versions: Watch no release that is older than those that are tested.
        silent: Say nothing of what could not be logged.
        registered_model_name: Register each model that is logged as a version of this one.
        save_model_kwargs: More arguments for the function that saves the model.
        extra_tags: Tags of each run that is made for a training.

    Raises:
        InvalidValue: Metrics are to be logged both by epochs and by steps, or neither.
    """
    if log_every_epoch == (log_every_n_steps is not None):
        raise InvalidValue(
            f"log_every_epoch is {log_every_epoch} and log_every_n_steps {log_every_n_steps}: wanted either "
            "log_every_epoch=True, or log_every_epoch=False and a number of steps"
        )
    if disable:
        INTEGRATION.disable()
        return
    INTEGRATION.enable(
        KerasOptions(
            log_every_epoch=log_every_epoch,
            log_every_n_steps=log_every_n_steps,
            log_input_examples=log_input_examples,
            log_model_signatures=log_model_signatures,
            log_models=log_models,
            log_datasets=log_datasets,
            exclusive=exclusive,
            disable_for_unsupported_versions=disable_for_unsupported_versions,
            silent=silent,
            registered_model_name=registered_model_name,
            extra_tags=extra_tags or {},
            save_exported_model=save_exported_model,
            save_model_kwargs=save_model_kwargs,
        )
    )


INTEGRATION = KerasIntegration()
