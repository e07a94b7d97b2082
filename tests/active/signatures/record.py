"""Record the signatures of MLflow's tracking names: run it with an interpreter that has MLflow, and commit the table.

python tests/active/signatures/record.py > tests/active/signatures/mlflow-3.17.2.json
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from typing import Any

MODULES = {
    "mlflow": """
        active_run autolog create_experiment delete_experiment delete_experiment_tag delete_run delete_tag
        disable_system_metrics_logging enable_system_metrics_logging end_run flush_artifact_async_logging
        flush_async_logging get_artifact_uri get_experiment get_experiment_by_name get_parent_run get_registry_uri
        get_run get_tracking_uri is_tracking_uri_set last_active_run load_table log_artifact log_artifacts log_dict
        log_figure log_image log_input log_inputs log_metric log_metrics log_param log_params log_stream log_table
        log_text register_model restore_experiment restore_run search_experiments search_model_versions
        search_registered_models search_runs set_experiment set_experiment_tag set_experiment_tags
        set_model_version_tag set_registry_uri set_system_metrics_node_id set_system_metrics_samples_before_logging
        set_system_metrics_sampling_interval set_tag set_tags set_tracking_uri start_run
    """,
    **dict.fromkeys(("mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm", "mlflow.statsmodels"), "autolog"),
    "mlflow.artifacts": "download_artifacts list_artifacts load_dict load_image load_text",
    "mlflow.config": "enable_async_logging",
    "mlflow.data": "from_numpy from_pandas",
    "mlflow.MlflowClient": """
        __init__ copy_model_version create_experiment create_model_version create_registered_model create_run
        delete_model_version delete_model_version_tag delete_registered_model delete_registered_model_alias
        delete_registered_model_tag get_latest_versions get_model_version get_model_version_by_alias
        get_model_version_download_uri get_model_version_stages get_registered_model rename_registered_model
        search_model_versions search_registered_models set_model_version_tag set_registered_model_alias
        set_registered_model_tag transition_model_version_stage update_model_version update_registered_model
        delete_experiment delete_experiment_tag delete_run delete_tag
        download_artifacts get_experiment get_experiment_by_name get_metric_history get_parent_run get_run
        list_artifacts load_table log_artifact log_artifacts log_batch log_dict log_figure log_image log_inputs
        log_metric log_param log_stream log_table log_text rename_experiment restore_experiment restore_run
        search_experiments search_runs set_experiment_tag set_tag set_terminated update_run
    """,
    "mlflow.entities": "Dataset DatasetInput ExperimentTag FileInfo InputTag Param RunTag",
}


def described(thing: object) -> list[list[Any]]:
    """Return a signature as JSON has it: name, kind and default of each parameter."""
    found: list[list[Any]] = []
    for parameter in inspect.signature(thing).parameters.values():  # type: ignore[arg-type]  # each is callable
        default = parameter.default
        told = [] if default is parameter.empty else [default if not isinstance(default, tuple) else list(default)]
        found.append([parameter.name, parameter.kind.name, told])
    return found


def owner(path: str) -> object:
    """Return a module, or a class of one."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name) if name[:1].isupper() else importlib.import_module(path)


if __name__ == "__main__":
    table = {
        path: {name: described(getattr(owner(path), name)) for name in names.split()} for path, names in MODULES.items()
    }
    lines = [
        f" {json.dumps(path)}: {{\n"
        + ",\n".join(f"  {json.dumps(name)}: {json.dumps(told)}" for name, told in names.items())
        for path, names in table.items()
    ]
    sys.stdout.write("{\n" + "\n },\n".join(lines) + "\n }\n}\n")
