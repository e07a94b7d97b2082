"""Checkpoints of a trainer as artifacts: the best one, or one of each epoch or of every so many steps."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from toolkit.active.autolog.training import Training, logger

LATEST = "mlflow.latest_checkpoint_artifact"
"""Tag of a run: the path of its newest checkpoint."""

_FOLDER = "checkpoints"


class CheckpointOptions(Protocol):
    """What is asked of checkpoints."""

    @property
    def checkpoint_monitor(self) -> str: ...  # noqa: D102 - see LightningOptions
    @property
    def checkpoint_mode(self) -> str: ...  # noqa: D102 - the same
    @property
    def checkpoint_save_best_only(self) -> bool: ...  # noqa: D102 - the same
    @property
    def checkpoint_save_weights_only(self) -> bool: ...  # noqa: D102 - the same
    @property
    def checkpoint_save_freq(self) -> str | int: ...  # noqa: D102 - the same
    @property
    def silent(self) -> bool: ...  # noqa: D102 - the same


class Checkpoints:
    """Logs checkpoints of one fit.

    Args:
        training: What they are logged to.
        options: Which.
    """

    def __init__(self, training: Training, options: CheckpointOptions) -> None:
        self._training = training
        self._options = options
        self._best: float | None = None
        self._told = False

    def after_step(self, trainer: Any) -> None:  # noqa: ANN401 - a Trainer
        """Log one, if it is time for it."""
        every = self._options.checkpoint_save_freq
        if isinstance(every, int) and trainer.global_step > 0 and trainer.global_step % every == 0:
            self._save(trainer)

    def after_epoch(self, trainer: Any) -> None:  # noqa: ANN401 - a Trainer
        """Log one, if they are of epochs."""
        if self._options.checkpoint_save_freq == "epoch":
            self._save(trainer)

    def _save(self, trainer: Any) -> None:  # noqa: ANN401 - a Trainer
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self._options.checkpoint_save_best_only and not self._is_better(metrics):
            return
        folder, file, told = self._names(trainer)
        run = self._training.run
        with TemporaryDirectory(prefix="toolkit-autolog-") as temporary:
            path = Path(temporary) / file
            _write(trainer, path, weights_only=self._options.checkpoint_save_weights_only)
            run.log_file(path, f"{folder}/{file}")
        known = {**metrics, "epoch": trainer.current_epoch, "global_step": trainer.global_step}
        run.log_json(known, f"{folder}/{told}")
        self._training.set_tags({LATEST: f"{folder}/{file}"})

    def _names(self, trainer: Any) -> tuple[str, str, str]:  # noqa: ANN401 - a Trainer
        """Return the folder, the name of the checkpoint, and that of its metrics."""
        suffix = ".weights.pth" if self._options.checkpoint_save_weights_only else ".pth"
        if self._options.checkpoint_save_best_only:
            return _FOLDER, f"latest_checkpoint{suffix}", "latest_checkpoint_metrics.json"
        by_epoch = self._options.checkpoint_save_freq == "epoch"
        part = f"epoch_{trainer.current_epoch}" if by_epoch else f"global_step_{trainer.global_step}"
        return f"{_FOLDER}/{part}", f"checkpoint{suffix}", "checkpoint_metrics.json"

    def _is_better(self, metrics: dict[str, float]) -> bool:
        name = self._options.checkpoint_monitor
        if name not in metrics:
            if not self._told and not self._options.silent:
                known = ", ".join(sorted(metrics)) or "none"
                logger.warning(
                    "no checkpoints are logged: there is no metric %r, but %s; name one in checkpoint_monitor, "
                    "or turn them off with checkpoint=False",
                    name,
                    known,
                )
            self._told = True
            return False
        value = metrics[name]
        if self._best is not None:
            better = value < self._best if self._options.checkpoint_mode == "min" else value > self._best
            if not better:
                return False
        self._best = value
        return True


def _write(trainer: Any, path: Path, *, weights_only: bool) -> None:  # noqa: ANN401 - a Trainer
    if trainer.world_size == 1:
        trainer.save_checkpoint(path, weights_only=weights_only)
        return
    # save_checkpoint waits for the other processes, which are not here
    content = trainer._checkpoint_connector.dump_checkpoint(weights_only)
    trainer.strategy.save_checkpoint(content, path)
