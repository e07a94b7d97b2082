"""What autolog is told: the arguments that all libraries share, under MLflow's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Options:
    """How trainings are logged.

    Attributes:
        log_input_examples: Keep the first rows of the training data with the model.
        log_model_signatures: Keep with the model what it takes and gives.
        log_models: Log the trained model.
        log_datasets: Note the training data, and data that the model is tested on, as inputs of the run.
        exclusive: Log nothing into a run that the user has opened.
        disable_for_unsupported_versions: Watch no library whose release is older than those that are tested.
        silent: Say nothing of what could not be logged.
        registered_model_name: Register each model that is logged as a version of this one.
        extra_tags: Tags of each run that autolog opens.
    """

    log_input_examples: bool = False
    log_model_signatures: bool = True
    log_models: bool = True
    log_datasets: bool = True
    exclusive: bool = False
    disable_for_unsupported_versions: bool = False
    silent: bool = False
    registered_model_name: str | None = None
    extra_tags: Mapping[str, str] = field(default_factory=dict)
