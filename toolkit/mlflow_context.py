"""What MLflow's own client adds to a run that it makes inside of one of ours, or of a flow or task of Prefect's.

An entry point of MLflow's, in the group ``mlflow.run_context_provider``. A step of `toolkit run` says the same by
``MLFLOW_RUN_CONTEXT``, also where toolkit is not installed; this is for functions that toolkit tracks, for flows of
Prefect's, and for processes that these start. It needs nothing but Python: MLflow's environment may lack all of ours.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_PARENT = "mlflow.parentRunId"


class StepContext:
    """Tells of the run, the flow run and the task run around a new run. Its methods are those that MLflow wants."""

    def in_context(self) -> bool:
        """Tell whether there is any of them."""
        return bool(self.tags())

    def tags(self) -> dict[str, str]:
        """Return the tags of a new run."""
        run_id = _run_id()
        return {**({} if run_id is None else {_PARENT: run_id}), **_prefect()}


def _run_id() -> str | None:
    """Return the run of ours that this is inside of."""
    current = sys.modules.get("toolkit.recording.current")  # not there: this process tracks nothing itself
    run = current.active_run() if current is not None else None
    return str(run.run_id) if run is not None else _variable("TOOLKIT_RUN_ID")


def _prefect() -> dict[str, str]:
    """Return what tells of Prefect's flow run and task run: those of this process, else those that began it."""
    context = sys.modules.get("prefect.context")  # not there: nothing of Prefect's runs here
    flow, task = (context.FlowRunContext.get(), context.TaskRunContext.get()) if context is not None else (None, None)
    found: dict[str, Any] = {}
    if task is not None:
        found |= {"prefect.task_run_id": task.task_run.id, "prefect.task_run_name": task.task_run.name}
        found |= {"prefect.task_name": task.task.name, "prefect.flow_run_id": task.task_run.flow_run_id}
    if flow is not None and flow.flow_run is not None:
        found |= {"prefect.flow_run_id": flow.flow_run.id, "prefect.flow_run_name": flow.flow_run.name}
        found |= {"prefect.flow_name": flow.flow.name if flow.flow is not None else None}
    if "prefect.flow_run_id" not in found:
        found["prefect.flow_run_id"] = _variable("PREFECT__FLOW_RUN_ID")  # what Prefect's workers set
    return {name: str(value) for name, value in found.items() if value}


def _variable(name: str) -> str | None:
    """Return a variable; our settings, which are to read them, need packages that may not be there."""
    return dict(os.environ).get(name) or None
