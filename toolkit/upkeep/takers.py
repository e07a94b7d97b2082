"""Runs that took over what another has left: the files are that one's, and must stay as long as they are wanted."""

from __future__ import annotations

from dataclasses import replace

from toolkit.ids import is_run_id
from toolkit.tracking.records import Lifecycle, SearchQuery
from toolkit.tracking.store import RunStore
from toolkit.upkeep.garbage import Needed

_ORIGIN = "toolkit.cached_from"


def needed_by_takers(runs: RunStore, besides: Needed) -> Needed:
    """Return what says who needs a run's files.

    That is ``besides``, for the run itself and for each run that took its results over, and each of these that is not
    deleted.
    """

    def needed(holder: str) -> str | None:
        if (why := besides(holder)) is not None or not is_run_id(holder):
            return why
        query = SearchQuery(filter=f"tags.`{_ORIGIN}` = '{holder}'", lifecycle=None, fields=["tags.none"])
        while True:
            page = runs.search_runs(query)
            for taker in (run.info for run in page.items):
                if taker.lifecycle_stage is Lifecycle.ACTIVE:
                    return f"run {taker.run_id}, which took its results over"
                if (why := besides(taker.run_id)) is not None:
                    return f"{why}, by run {taker.run_id}, which took its results over"
            if page.next_page_token is None:
                return None
            query = replace(query, page_token=page.next_page_token)

    return needed
