"""Tags that people gave, apart from those that say how a run came about: these have places of their own on its page."""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.tracking.records import Run

_KEPT = ("mlflow.", "toolkit.", "prefect.")


def is_given(key: str) -> bool:
    """Tell whether people gave a tag, by its name."""
    return not key.startswith(_KEPT)


def tags_of(run: Run) -> Mapping[str, str]:
    """Return the tags that people gave a run."""
    return {key: value for key, value in run.data.tags.items() if is_given(key)}
