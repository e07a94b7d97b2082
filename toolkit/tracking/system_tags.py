"""Tags that say the same as a field of a run; the stores keep both alike. Their names are MLflow's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.tracking.records import NewRun

RUN_NAME = "mlflow.runName"
USER = "mlflow.user"
PARENT = "mlflow.parentRunId"
CONTEXT = "mlflow.data.context"
"""Tag of an input: what the run uses the dataset for."""


def first_tags(new: NewRun) -> dict[str, str]:
    """Return the tags that a new run begins with: its own, and those that say what its fields say."""
    parent = first_parent(new)
    return {
        **new.tags,
        RUN_NAME: new.run_name,
        USER: new.user_id,
        **({PARENT: parent} if parent else {}),
    }


def first_parent(new: NewRun) -> str | None:
    """Return the parent of a new run: the field, else what its tag says, as MLflow's clients do."""
    return new.parent_run_id or new.tags.get(PARENT) or None


def told_by(tags: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the fields of a run (``run_name``, ``parent_run_id``) that a change of tags changes with them.

    Removing the name's tag leaves the name; removing the parent's makes a run of the top level.
    """
    fields: dict[str, Any] = {}
    if (name := tags.get(RUN_NAME)) is not None:
        fields["run_name"] = name
    if PARENT in tags:
        fields["parent_run_id"] = tags[PARENT] or None
    return fields
