"""What this process works with: where it logs, and whether it logs the machine's load."""

from __future__ import annotations

from pathlib import Path

from toolkit.recording import current
from toolkit.settings import load, set_variables

_ON, _OFF = "true", "false"


def set_tracking_uri(uri: str | Path) -> None:
    """Log somewhere else from now on; processes that this one starts do so too.

    Runs that are open stay where they were begun. The experiment that `set_experiment` chose is left behind: its id
    means another one there, or none.

    Args:
        uri: A database URL such as ``sqlite:////home/me/runs.db``; empty: what the settings say without it.
    """
    set_variables(TOOLKIT_TRACKING_URI=str(uri) or None)
    current.use_other_stores(load().database_url)


def get_tracking_uri() -> str:
    """Return where this process logs."""
    return load().database_url


def is_tracking_uri_set() -> bool:
    """Tell whether the user has said where to log."""
    return load().tracking_uri is not None


def set_registry_uri(uri: str) -> None:
    """Register models somewhere else than where runs are logged.

    Args:
        uri: A database URL; empty: where runs are logged.
    """
    set_variables(TOOLKIT_REGISTRY_URI=str(uri) or None)


def get_registry_uri() -> str:
    """Return where models are registered: where runs are logged, unless the user has said otherwise."""
    return load().registry_uri or get_tracking_uri()


def enable_system_metrics_logging() -> None:
    """Log the machine's load with each run that is started from now on."""
    set_variables(TOOLKIT_ENABLE_SYSTEM_METRICS_LOGGING=_ON)


def disable_system_metrics_logging() -> None:
    """Log the machine's load only with runs that ask for it."""
    set_variables(TOOLKIT_ENABLE_SYSTEM_METRICS_LOGGING=_OFF)


def set_system_metrics_sampling_interval(interval: float | None) -> None:
    """Set the seconds between two samples of the machine's load; ``None``: the default, 10."""
    set_variables(TOOLKIT_SYSTEM_METRICS_SAMPLING_INTERVAL=None if interval is None else str(interval))


def set_system_metrics_samples_before_logging(samples: int | None) -> None:
    """Set how many samples make one logged point, their mean; ``None``: the default, 1."""
    set_variables(TOOLKIT_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING=None if samples is None else str(samples))


def set_system_metrics_node_id(node_id: str | None) -> None:
    """Set this machine's name in the metrics' keys, ``system/<node id>/…``; ``None``: none."""
    set_variables(TOOLKIT_SYSTEM_METRICS_NODE_ID=node_id or None)
