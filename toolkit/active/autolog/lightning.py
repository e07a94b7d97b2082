"""Autolog of PyTorch Lightning: ``Trainer.fit``, of ``lightning`` and of ``pytorch_lightning``.

A callback of ours sees the epochs; it stays with the trainer, so that a test after the fit is logged as well. Only the
process that leads a distributed training logs.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from toolkit.active.autolog import nesting
from toolkit.active.autolog.integration import Integration
from toolkit.active.autolog.lightning_checkpoints import Checkpoints
from toolkit.active.autolog.options import Options
from toolkit.active.autolog.rows import dataset_of, is_a
from toolkit.active.autolog.trained import log_trained
from toolkit.active.autolog.training import Training
from toolkit.errors import InvalidValue

Call = Callable[..., Any]

_TRAINERS = ("lightning.pytorch.trainer.trainer", "pytorch_lightning.trainer.trainer")
_EARLY = ("monitor", "mode", "patience", "min_delta", "stopped_epoch")

_EXAMPLE = 2
"""Rows of an example: a graph that is exported with one row takes no more than one."""


@dataclass(frozen=True, kw_only=True)
class LightningOptions(Options):
    """How trainings with Lightning are logged.

    Attributes:
        log_every_n_epoch: Log metrics at the end of every so many epochs.
        log_every_n_step: Log metrics at the end of every so many steps, too.
        checkpoint: Log checkpoints.
        checkpoint_monitor: Metric that says which checkpoint is the best.
        checkpoint_mode: Whether the best is the ``min`` or the ``max``.
        checkpoint_save_best_only: Keep the best one only.
        checkpoint_save_weights_only: Keep the weights without the optimizer's state.
        checkpoint_save_freq: ``epoch``, or a number of steps.
    """

    log_every_n_epoch: int = 1
    log_every_n_step: int | None = None
    checkpoint: bool = True
    checkpoint_monitor: str = "val_loss"
    checkpoint_mode: str = "min"
    checkpoint_save_best_only: bool = True
    checkpoint_save_weights_only: bool = False
    checkpoint_save_freq: str | int = "epoch"


class LightningIntegration(Integration[LightningOptions]):
    """Watches PyTorch Lightning."""

    flavor: ClassVar[str] = "pytorch"
    packages: ClassVar[tuple[str, ...]] = ("lightning", "pytorch-lightning")
    oldest: ClassVar[str] = "2.1"
    modules: ClassVar[tuple[str, ...]] = ("lightning", "pytorch_lightning")
    kind = LightningOptions

    def patch(self, module: ModuleType) -> None:
        """Replace ``Trainer.fit``."""
        if module.__name__ in _TRAINERS:
            self.replace(vars(module)["Trainer"], "fit", self._fitting)

    def _fitting(self, original: Call, trainer: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - of any kind
        options = self.options
        if options is None or nesting.inside() is not None or getattr(trainer, "global_rank", 0) != 0:
            return original(trainer, *args, **kwargs)
        training = self.begin()
        if training is None:
            return original(trainer, *args, **kwargs)
        with training:
            watched = Epochs(training, options)
            model: Any = None
            with training.attempt("the training is not watched"):
                given = inspect.signature(original).bind(trainer, *args, **kwargs).arguments
                model = given.get("model")
                _attach(trainer, watched)
                watched.begin(trainer, model)
                if options.log_datasets:
                    _log_data(training, given.get("train_dataloaders"))
            result = original(trainer, *args, **kwargs)
            with training.attempt("what came out of the training is not logged"):
                if model is not None:
                    _finish(training, trainer, model, watched)
        return result


class Epochs:
    """What is logged while a trainer runs; a callback of Lightning calls it.

    Args:
        training: What it is logged to.
        options: How.
    """

    def __init__(self, training: Training, options: LightningOptions) -> None:
        self.training = training
        self.example: Any = None
        self.answer: Any = None
        self._options = options
        self._by_step: set[str] = set()
        self._by_epoch: set[str] = set()
        self._checkpoints = Checkpoints(training, options) if options.checkpoint else None
        self._hook: Any = None

    def begin(self, trainer: Any, model: Any) -> None:  # noqa: ANN401 - Lightning's
        """Log what the trainer was told, and wait for the first rows that the model is given."""
        early = _early_stopping(trainer)
        if early is not None:
            self.training.log_params({name: getattr(early, name) for name in _EARLY if hasattr(early, name)})
        if self._options.log_models:
            self._hook = model.register_forward_hook(self._keep_example)

    def end(self) -> None:
        """Wait no longer."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def on_train_start(self, trainer: Any) -> None:  # noqa: ANN401 - a Trainer
        """Log the optimizer."""
        self.training.set_tags({"Mode": "training"})
        params: dict[str, object] = {"epochs": trainer.max_epochs}
        if trainer.optimizers:
            optimizer = getattr(trainer.optimizers[0], "_optimizer", trainer.optimizers[0])
            params |= {"optimizer_name": type(optimizer).__name__, **getattr(optimizer, "defaults", {})}
        self.training.log_params(params)

    def on_train_batch_end(self, trainer: Any) -> None:  # noqa: ANN401 - a Trainer
        """Log the metrics of a step, if that is wanted."""
        every = self._options.log_every_n_step
        if every:
            known = trainer.callback_metrics
            found = {
                name: value
                for name, value in known.items()
                if name not in self._by_epoch and f"{name}_step" not in known
            }
            self._by_step.update(found)
            step = trainer.global_step
            if (step // max(1, len(trainer.optimizers)) + 1) % every == 0:
                self.training.log_metrics(found, step=step)
        if self._checkpoints is not None:
            self._checkpoints.after_step(trainer)

    def on_train_epoch_end(self, trainer: Any) -> None:  # noqa: ANN401 - a Trainer
        """Log the metrics of an epoch."""
        found = {name: value for name, value in trainer.callback_metrics.items() if name not in self._by_step}
        self._by_epoch.update(found)
        if (trainer.current_epoch + 1) % self._options.log_every_n_epoch == 0 and not trainer.sanity_checking:
            self.training.log_metrics(found, step=trainer.current_epoch)
        if self._checkpoints is not None:
            self._checkpoints.after_epoch(trainer)

    def on_test_end(self, trainer: Any) -> None:  # noqa: ANN401 - a Trainer
        """Log the metrics of a test."""
        self.training.set_tags({"Mode": "testing"})
        self.training.log_metrics(dict(trainer.callback_metrics))
        self.training.flush()

    def _keep_example(self, model: object, inputs: tuple[Any, ...], answer: Any) -> None:  # noqa: ARG002, ANN401 - torch's form
        self.end()
        with self.training.attempt("there is no example of the training data"):
            if len(inputs) == 1 and is_a("torch.Tensor", inputs[0]) and is_a("torch.Tensor", answer):
                self.example, self.answer = (
                    each[:_EXAMPLE].detach().cpu().numpy().copy() for each in (inputs[0], answer)
                )


def _attach(trainer: Any, watched: Epochs) -> None:  # noqa: ANN401 - a Trainer
    """Add a callback to a trainer, in place of the one of a fit before."""
    base: Any = importlib.import_module(_package(trainer)).Callback

    class Watch(base):  # type: ignore[misc]  # known only here
        """Calls ours; nothing of it is raised into the training."""

        toolkit_watch = True

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ANN401, ARG002 - Lightning's form
            self._call("on_train_start", trainer)

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:  # noqa: ANN401, ARG002 - the same
            self._call("on_train_batch_end", trainer)

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ANN401, ARG002 - the same
            self._call("on_train_epoch_end", trainer)

        def on_test_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ANN401, ARG002 - the same
            self._call("on_test_end", trainer)

        def _call(self, name: str, trainer: Any) -> None:  # noqa: ANN401 - a Trainer
            if trainer.is_global_zero:
                with watched.training.attempt(f"{name} is not logged"):
                    getattr(watched, name)(trainer)

        def __reduce__(self) -> Any:  # noqa: ANN401 - pickle's form
            return base, ()  # in another process, or in a copy, nothing is logged

    trainer.callbacks = [each for each in trainer.callbacks if not hasattr(each, "toolkit_watch")]
    trainer.callbacks.append(Watch())


def _finish(training: Training, trainer: Any, model: Any, watched: Epochs) -> None:  # noqa: ANN401 - Lightning's
    """Log what came out of a fit."""
    watched.end()
    early = _early_stopping(trainer)
    with training.attempt("the early stop is not logged"):
        if early is not None and early.stopped_epoch:
            training.log_metrics(_stopped(early))
            best = getattr(trainer.checkpoint_callback, "best_model_path", None)
            if best:
                training.run.log_file(Path(best), f"restored_model_checkpoint/{Path(best).name}")
    with training.attempt("the summary is not logged"):
        summary = importlib.import_module(f"{_package(trainer)}.utilities.model_summary").ModelSummary
        training.run.log_text(str(summary(model, max_depth=-1)), "model_summary.txt")
    signature = None
    if training.options.log_models and watched.example is not None:
        with training.attempt("the model's signature is not known"):
            from toolkit.models.infer import infer_signature  # noqa: PLC0415 - loaded once there is a model

            signature = infer_signature(watched.example, watched.answer)
    log_trained(
        training,
        model,
        flavor="pytorch",
        example=watched.example,
        signature=signature,
        needs_example=True,
        options={"model_kwargs": dict(model.hparams)} if getattr(model, "hparams", None) else {},
        else_options={"serialization_format": "pickle"},
    )


def _stopped(early: Any) -> dict[str, float]:  # noqa: ANN401 - an EarlyStopping
    found = {
        "stopped_epoch": early.stopped_epoch,
        "restored_epoch": early.stopped_epoch - max(1, early.patience),
    }
    optional = {"best_score": getattr(early, "best_score", None), "wait_count": getattr(early, "wait_count", None)}
    return found | {name: float(value) for name, value in optional.items() if value is not None}


def _early_stopping(trainer: Any) -> Any:  # noqa: ANN401 - an EarlyStopping
    return next((each for each in trainer.callbacks if _has_base(each, "EarlyStopping")), None)


def _has_base(thing: object, name: str) -> bool:
    return any(each.__name__ == name for each in type(thing).__mro__)


def _package(trainer: object) -> str:
    """Return the package that a trainer is of."""
    modules = [each.__module__ for each in type(trainer).__mro__]
    return (
        "lightning.pytorch" if any(each.startswith("lightning.pytorch.") for each in modules) else "pytorch_lightning"
    )


def _log_data(training: Training, loader: Any) -> None:  # noqa: ANN401 - whatever Lightning takes
    """Note the data of a loader, where they are tensors in memory."""
    tensors = getattr(getattr(loader, "dataset", None), "tensors", None)
    if isinstance(tensors, tuple) and tensors and all(is_a("torch.Tensor", each) for each in tensors):
        arrays = [each.detach().cpu().numpy() for each in tensors[:2]]
        dataset = dataset_of(*arrays)
        if dataset is not None:
            training.log_dataset(dataset, "train")


def autolog(
    log_every_n_epoch: int = 1,
    log_every_n_step: int | None = None,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    registered_model_name: str | None = None,
    extra_tags: Mapping[str, str] | None = None,
    checkpoint: bool = True,
    checkpoint_monitor: str = "val_loss",
    checkpoint_mode: str = "min",
    checkpoint_save_best_only: bool = True,
    checkpoint_save_weights_only: bool = False,
    checkpoint_save_freq: str | int = "epoch",
    log_model_signatures: bool = True,
) -> None:
    """Log trainings with PyTorch Lightning by themselves: ``Trainer.fit``, and a test after it.

    Args:
        log_every_n_epoch: Log metrics at the end of every so many epochs.
        log_every_n_step: Log metrics at the end of every so many steps, too.
        log_models: Log the trained model.
        log_datasets: Note the data as inputs of the run, where they are tensors in memory.
        disable: Stop that.
        exclusive: Log nothing into a run that the script has opened.
        disable_for_unsupported_versions: Watch no release that is older than those that are tested.
        silent: Say nothing of what could not be logged.
        registered_model_name: Register each model that is logged as a version of this one.
        extra_tags: Tags of each run that is made for a training.
        checkpoint: Log checkpoints.
        checkpoint_monitor: Metric that says which checkpoint is the best.
        checkpoint_mode: Whether the best is the ``min`` or the ``max``.
        checkpoint_save_best_only: Keep the best one only.
        checkpoint_save_weights_only: Keep the weights without the optimizer's state.
        checkpoint_save_freq: ``epoch``, or a number of steps.
        log_model_signatures: Keep with the model what it takes and gives.

    Raises:
        InvalidValue: ``checkpoint_mode`` is neither ``min`` nor ``max``, or a number of epochs or steps is below 1.
    """
    if checkpoint_mode not in ("min", "max"):
        raise InvalidValue(f"checkpoint_mode is {checkpoint_mode!r}: wanted min or max")
    if log_every_n_epoch < 1 or (log_every_n_step is not None and log_every_n_step < 1):
        raise InvalidValue(
            f"log_every_n_epoch is {log_every_n_epoch} and log_every_n_step {log_every_n_step}: wanted 1 or more"
        )
    if disable:
        INTEGRATION.disable()
        return
    INTEGRATION.enable(
        LightningOptions(
            log_every_n_epoch=log_every_n_epoch,
            log_every_n_step=log_every_n_step,
            log_model_signatures=log_model_signatures,
            log_models=log_models,
            log_datasets=log_datasets,
            exclusive=exclusive,
            disable_for_unsupported_versions=disable_for_unsupported_versions,
            silent=silent,
            registered_model_name=registered_model_name,
            extra_tags=extra_tags or {},
            checkpoint=checkpoint,
            checkpoint_monitor=checkpoint_monitor,
            checkpoint_mode=checkpoint_mode,
            checkpoint_save_best_only=checkpoint_save_best_only,
            checkpoint_save_weights_only=checkpoint_save_weights_only,
            checkpoint_save_freq=checkpoint_save_freq,
        )
    )


INTEGRATION = LightningIntegration()
