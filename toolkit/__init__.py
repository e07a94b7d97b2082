"""toolkit: the machine-learning lifecycle in one package.

The names below are loaded when they are first used, so that ``import toolkit`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from toolkit.names import hand_out

if TYPE_CHECKING:
    import toolkit.artifacts
    import toolkit.catboost
    import toolkit.client
    import toolkit.config
    import toolkit.data
    import toolkit.entities
    import toolkit.exceptions
    import toolkit.keras
    import toolkit.lightgbm
    import toolkit.models
    import toolkit.onnx
    import toolkit.pyfunc
    import toolkit.pytorch
    import toolkit.sklearn
    import toolkit.spark
    import toolkit.statsmodels
    import toolkit.tensorflow
    import toolkit.tracking
    import toolkit.transformers
    import toolkit.types
    import toolkit.xgboost  # noqa: F401 - type checkers learn of the modules, and nobody loads them
    from toolkit.active.artifacts import (
        get_artifact_uri,
        load_table,
    )
    from toolkit.active.autolog.switch import (
        autolog,
    )
    from toolkit.active.client import (
        Client,
        MlflowClient,
    )
    from toolkit.active.config import (
        disable_system_metrics_logging,
        enable_system_metrics_logging,
        get_registry_uri,
        get_tracking_uri,
        is_tracking_uri_set,
        set_registry_uri,
        set_system_metrics_node_id,
        set_system_metrics_samples_before_logging,
        set_system_metrics_sampling_interval,
        set_tracking_uri,
    )
    from toolkit.active.evaluate import (
        evaluate,
        validate_evaluation_results,
    )
    from toolkit.active.experiments import (
        create_experiment,
        delete_experiment,
        delete_experiment_tag,
        get_experiment,
        get_experiment_by_name,
        restore_experiment,
        search_experiments,
        set_experiment,
        set_experiment_tag,
        set_experiment_tags,
    )
    from toolkit.active.images import (
        Image,
    )
    from toolkit.active.log import (
        delete_tag,
        log_artifact,
        log_artifacts,
        log_dict,
        log_figure,
        log_image,
        log_input,
        log_inputs,
        log_metric,
        log_metrics,
        log_param,
        log_params,
        log_stream,
        log_table,
        log_text,
        set_tag,
        set_tags,
    )
    from toolkit.active.models import (
        load_model,
        log_model,
        save_model,
    )
    from toolkit.active.operations import (
        flush_artifact_async_logging,
        flush_async_logging,
    )
    from toolkit.active.registry import (
        register_model,
        search_model_versions,
        search_registered_models,
        set_model_version_tag,
    )
    from toolkit.active.search import (
        delete_run,
        get_parent_run,
        get_run,
        restore_run,
        search_runs,
    )
    from toolkit.active.session import (
        ActiveRun,
        active_run,
        end_run,
        last_active_run,
        start_run,
    )
    from toolkit.active.track import (
        track,
    )
    from toolkit.exceptions import (
        MlflowException,
    )
    from toolkit.flows.decorators import (
        flow,
        task,
    )
    from toolkit.models.infer import (
        infer_signature,
    )
    from toolkit.recording.current import (
        flush,
    )

__version__ = "0.1.0"

_HOME = {
    "toolkit.active.artifacts": (
        "get_artifact_uri",
        "load_table",
    ),
    "toolkit.active.autolog.switch": ("autolog",),
    "toolkit.active.client": (
        "Client",
        "MlflowClient",
    ),
    "toolkit.active.config": (
        "disable_system_metrics_logging",
        "enable_system_metrics_logging",
        "get_registry_uri",
        "get_tracking_uri",
        "is_tracking_uri_set",
        "set_registry_uri",
        "set_system_metrics_node_id",
        "set_system_metrics_samples_before_logging",
        "set_system_metrics_sampling_interval",
        "set_tracking_uri",
    ),
    "toolkit.active.evaluate": (
        "evaluate",
        "validate_evaluation_results",
    ),
    "toolkit.active.experiments": (
        "create_experiment",
        "delete_experiment",
        "delete_experiment_tag",
        "get_experiment",
        "get_experiment_by_name",
        "restore_experiment",
        "search_experiments",
        "set_experiment",
        "set_experiment_tag",
        "set_experiment_tags",
    ),
    "toolkit.active.images": ("Image",),
    "toolkit.active.log": (
        "delete_tag",
        "log_artifact",
        "log_artifacts",
        "log_dict",
        "log_figure",
        "log_image",
        "log_input",
        "log_inputs",
        "log_metric",
        "log_metrics",
        "log_param",
        "log_params",
        "log_stream",
        "log_table",
        "log_text",
        "set_tag",
        "set_tags",
    ),
    "toolkit.active.models": (
        "load_model",
        "log_model",
        "save_model",
    ),
    "toolkit.active.operations": (
        "flush_artifact_async_logging",
        "flush_async_logging",
    ),
    "toolkit.active.registry": (
        "register_model",
        "search_model_versions",
        "search_registered_models",
        "set_model_version_tag",
    ),
    "toolkit.active.search": (
        "delete_run",
        "get_parent_run",
        "get_run",
        "restore_run",
        "search_runs",
    ),
    "toolkit.active.session": (
        "ActiveRun",
        "active_run",
        "end_run",
        "last_active_run",
        "start_run",
    ),
    "toolkit.active.track": ("track",),
    "toolkit.exceptions": ("MlflowException",),
    "toolkit.flows.decorators": (
        "flow",
        "task",
    ),
    "toolkit.models.infer": ("infer_signature",),
    "toolkit.recording.current": ("flush",),
}
_MODULES = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "ActiveRun",
    "Client",
    "Image",
    "MlflowClient",
    "MlflowException",
    "active_run",
    "autolog",
    "create_experiment",
    "delete_experiment",
    "delete_experiment_tag",
    "delete_run",
    "delete_tag",
    "disable_system_metrics_logging",
    "enable_system_metrics_logging",
    "end_run",
    "evaluate",
    "flow",
    "flush",
    "flush_artifact_async_logging",
    "flush_async_logging",
    "get_artifact_uri",
    "get_experiment",
    "get_experiment_by_name",
    "get_parent_run",
    "get_registry_uri",
    "get_run",
    "get_tracking_uri",
    "infer_signature",
    "is_tracking_uri_set",
    "last_active_run",
    "load_model",
    "load_table",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_input",
    "log_inputs",
    "log_metric",
    "log_metrics",
    "log_model",
    "log_param",
    "log_params",
    "log_stream",
    "log_table",
    "log_text",
    "register_model",
    "restore_experiment",
    "restore_run",
    "save_model",
    "search_experiments",
    "search_model_versions",
    "search_registered_models",
    "search_runs",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_model_version_tag",
    "set_registry_uri",
    "set_system_metrics_node_id",
    "set_system_metrics_samples_before_logging",
    "set_system_metrics_sampling_interval",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "start_run",
    "task",
    "track",
    "validate_evaluation_results",
]

_SUBMODULES = (
    "artifacts",
    "catboost",
    "client",
    "config",
    "data",
    "entities",
    "exceptions",
    "keras",
    "lightgbm",
    "models",
    "onnx",
    "pyfunc",
    "pytorch",
    "sklearn",
    "spark",
    "statsmodels",
    "tensorflow",
    "tracking",
    "transformers",
    "types",
    "xgboost",
)
"""What MLflow's scripts reach by attribute, such as ``mlflow.artifacts.download_artifacts``."""

_HANDED_OUT = {
    "toolkit.artifacts": dict.fromkeys(
        ("download_artifacts", "list_artifacts", "load_dict", "load_image", "load_text"), "toolkit.active.artifacts"
    ),
    "toolkit.models": {
        "MetricThreshold": "toolkit.models.evaluation.threshold",
        "Threshold": "toolkit.models.evaluation.threshold",
        "evaluate": "toolkit.active.evaluate",
        "spark_udf": "toolkit.active.spark",
    },
    "toolkit.tracking": {
        "MlflowClient": "toolkit.active.client",
        **dict.fromkeys(
            ("get_registry_uri", "get_tracking_uri", "is_tracking_uri_set", "set_registry_uri", "set_tracking_uri"),
            "toolkit.active.config",
        ),
    },
}


def _load(module: str, name: str) -> Any:  # noqa: ANN401 - whatever the name is
    from toolkit import wiring  # noqa: PLC0415 - the stores are connected with the first verb

    wiring.connect()
    if module == "toolkit.flows.decorators":
        from toolkit.wiring.services import prepare_prefect  # noqa: PLC0415 - a flow's steps in Python

        prepare_prefect()
    elif module == "toolkit.active.session":
        # The verbs come along: a child that is forked while a thread of the training imports them, to log for the first
        # time, would wait for ever for that thread, which it does not have.
        importlib.import_module("toolkit.active.log")
    return getattr(importlib.import_module(module), name)


def __getattr__(name: str) -> object:
    if name in _SUBMODULES:
        return importlib.import_module(f"toolkit.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module 'toolkit' has no attribute {name!r}")
    value = globals()[name] = _load(_MODULES[name], name)
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBMODULES, "__version__"])


hand_out(_HANDED_OUT, _load)
