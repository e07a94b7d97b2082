"""Runs, in our API: made, changed, found, and how they hang together."""

from __future__ import annotations

from fastapi import APIRouter, Response

from toolkit.errors import NotFound
from toolkit.server.v1 import records
from toolkit.server.v1.context import Given, Here, Reading, answer, paged
from toolkit.tracking.records import NewRun, Owner, Run, RunQuery, SearchQuery
from toolkit.tracking.store import RunStore

router = APIRouter(tags=["runs"])

_DEEPEST = 100
"""Ancestors of a run at most: more are a circle, which nobody means."""


def owner_of(given: records.OwnerAsked | None) -> Owner | None:
    """Return the owner that a client names."""
    return Owner(**dict(given)) if given is not None else None


@router.post("/runs", response_model=records.RunTold)
def create_run(here: Here, body: Given[records.RunAsked]) -> Response:
    """Make a run. The same id again returns the run that is there, so a lost answer may be asked for again."""
    values = {**dict(body), "owner": owner_of(body.owner)}
    if body.artifact_uri is not None:
        values["artifact_uri"] = here.place(body.artifact_uri)
    return answer(here.run(here.stores.runs.create_run(NewRun(**values))))


@router.post("/runs/list", response_model=records.RunPage)
def list_runs(here: Here, view: Reading, body: Given[records.RunList]) -> Response:
    """List runs with all that they logged, newest start first."""
    query = RunQuery(**dict(body))
    return paged("runs", view.read(lambda store: store.list_runs(query)), here.run)


@router.post("/runs/search", response_model=records.RunPage)
def search_runs(here: Here, view: Reading, body: Given[records.Search]) -> Response:
    """Search runs by MLflow's filters and more; load only some of what they logged."""
    query = SearchQuery(**dict(body))
    return paged("runs", view.read(lambda store: store.search_runs(query)), here.run)


@router.post("/runs/count", response_model=records.Count)
def count_runs(view: Reading, body: Given[records.Search]) -> Response:
    """Count the runs that a search finds on all its pages."""
    query = SearchQuery(**dict(body))
    return answer({"count": view.read(lambda store: store.count_runs(query))})


@router.post("/runs/sizes", response_model=records.Sizes)
def run_sizes(view: Reading, body: Given[records.RunIds]) -> Response:
    """Return how much runs have logged; unknown ones are left out."""
    return answer({"sizes": view.read(lambda store: store.run_sizes(body.run_ids))})


@router.post("/purge", response_model=records.Removed)
def purge(here: Here, body: Given[records.ToPurge]) -> Response:
    """Remove deleted runs and experiments for good. Others are passed over."""
    gone = here.stores.runs.purge(run_ids=body.run_ids, experiment_ids=body.experiment_ids)
    return answer({"removed": list(gone)})


@router.get("/runs/{run_id}", response_model=records.RunTold)
def get_run(here: Here, view: Reading, run_id: str) -> Response:
    """Return a run, deleted or not, with its inputs."""
    return answer(here.run(view.read(lambda store: store.get_run(run_id))))


@router.patch("/runs/{run_id}", response_model=records.RunTold)
def update_run(here: Here, run_id: str, body: Given[records.RunChanged]) -> Response:
    """Change a run's state, name or lifecycle."""
    here.stores.runs.update_run(run_id, **dict(body))
    return answer(here.run(here.stores.runs.get_run(run_id)))


@router.get("/runs/{run_id}/children", response_model=records.RunPage)
def children(here: Here, view: Reading, run_id: str, limit: int = 1000, page_token: str | None = None) -> Response:
    """List the runs that are parts of a run, newest start first."""

    def read(store: RunStore) -> Response:
        store.get_run(run_id)
        query = RunQuery(parent_run_id=run_id, limit=limit, page_token=page_token)
        return paged("runs", store.list_runs(query), here.run)

    return view.read(read)


@router.get("/runs/{run_id}/ancestors", response_model=records.Ancestors)
def ancestors(here: Here, view: Reading, run_id: str) -> Response:
    """Return the runs that a run is a part of, the nearest first."""
    return answer({"runs": [here.run(run) for run in view.read(lambda store: _above(store, run_id))]})


def _above(store: RunStore, run_id: str) -> list[Run]:
    found: list[Run] = []
    seen = {run_id}
    parent = store.get_run(run_id).info.parent_run_id
    while parent is not None and parent not in seen and len(found) < _DEEPEST:
        seen.add(parent)
        try:
            found.append(store.get_run(parent))
        except NotFound:  # it was removed, or is another store's
            break
        parent = found[-1].info.parent_run_id
    return found
