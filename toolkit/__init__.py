"""toolkit: the machine-learning lifecycle in one package.

The names below are loaded when they are first used, so that ``import toolkit`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.active.log import (
        log_artifact,
        log_artifacts,
        log_dict,
        log_metric,
        log_metrics,
        log_param,
        log_params,
        log_text,
        set_tag,
        set_tags,
    )
    from toolkit.active.session import ActiveRun, active_run, end_run, get_run, set_experiment, start_run
    from toolkit.active.track import track
    from toolkit.flows.decorators import flow, task
    from toolkit.recording.current import flush

__version__ = "0.1.0"

_HOME = {
    "toolkit.active.log": (
        "log_artifact",
        "log_artifacts",
        "log_dict",
        "log_metric",
        "log_metrics",
        "log_param",
        "log_params",
        "log_text",
        "set_tag",
        "set_tags",
    ),
    "toolkit.active.session": ("ActiveRun", "active_run", "end_run", "get_run", "set_experiment", "start_run"),
    "toolkit.active.track": ("track",),
    "toolkit.flows.decorators": ("flow", "task"),
    "toolkit.recording.current": ("flush",),
}
_MODULES = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "ActiveRun",
    "active_run",
    "end_run",
    "flow",
    "flush",
    "get_run",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_text",
    "set_experiment",
    "set_tag",
    "set_tags",
    "start_run",
    "task",
    "track",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'toolkit' has no attribute {name!r}")
    from toolkit import wiring  # noqa: PLC0415 - the stores are connected with the first verb

    wiring.connect()
    if _MODULES[name] == "toolkit.flows.decorators":
        wiring.prepare_prefect()
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
