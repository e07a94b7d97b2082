"""Runs that took over what another has left: the files are that one's, and must stay as long as they are wanted."""

from __future__ import annotations

from toolkit.ids import is_run_id
from toolkit.tracking.records import SearchQuery
from toolkit.tracking.store import RunStore
from toolkit.upkeep.garbage import Needed

_ORIGIN = "toolkit.cached_from"


def needed_by_takers(runs: RunStore, besides: Needed) -> Needed:
    """Return what says who needs a run's files: ``besides`` first, then active runs that took its results over."""

    def needed(holder: str) -> str | None:
        if (why := besides(holder)) is not None:
            return why
        if not is_run_id(holder):
            return None
        query = SearchQuery(filter=f"tags.`{_ORIGIN}` = '{holder}'", limit=1, fields=["tags.none"])
        found = runs.search_runs(query).items
        return f"run {found[0].info.run_id}, which took its results over" if found else None

    return needed
