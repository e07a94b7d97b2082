"""The runs that are parts of a run."""

from __future__ import annotations

from dataclasses import replace

from toolkit.tracking.records import Run, RunQuery
from toolkit.tracking.store import RunStore


def children(runs: RunStore, run_id: str) -> list[Run]:
    """Return the runs that are parts of a run, the first one first."""
    found: list[Run] = []
    query = RunQuery(parent_run_id=run_id)
    while True:
        page = runs.list_runs(query)
        found += page.items
        if page.next_page_token is None:
            return found[::-1]
        query = replace(query, page_token=page.next_page_token)
