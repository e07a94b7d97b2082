"""What MLflow's own client adds to a run that it makes inside of one of ours: an entry point of `mlflow`'s.

Its group is ``mlflow.run_context_provider``. A step of `toolkit run` says the same by ``MLFLOW_RUN_CONTEXT``, also
where toolkit is not installed; this is for functions that toolkit tracks and for processes that they start.
"""

from __future__ import annotations

import sys

_PARENT = "mlflow.parentRunId"


class StepContext:
    """Puts runs of MLflow's client below the run that they are made in. Its methods are those that MLflow wants."""

    def in_context(self) -> bool:
        """Tell whether there is a run of ours."""
        return self._run_id() is not None

    def tags(self) -> dict[str, str]:
        """Return the tags of a new run."""
        run_id = self._run_id()
        return {} if run_id is None else {_PARENT: run_id}

    @staticmethod
    def _run_id() -> str | None:
        current = sys.modules.get("toolkit.recording.current")  # not there: this process tracks nothing itself
        run = current.active_run() if current is not None else None
        if run is not None:
            return str(run.run_id)
        from toolkit.settings import environment  # noqa: PLC0415 - MLflow loads this module with every import of it

        return environment().get("TOOLKIT_RUN_ID") or None
