"""Experiments, in our API."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response

from toolkit.server.v1 import records
from toolkit.server.v1.context import Given, Here, Reading, answer, paged
from toolkit.tracking.records import Lifecycle, SearchQuery

router = APIRouter(prefix="/experiments", tags=["experiments"])

_LIFECYCLES = {"active": Lifecycle.ACTIVE, "deleted": Lifecycle.DELETED, "any": None}


@router.post("", response_model=records.ExperimentTold)
def create_experiment(here: Here, body: Given[records.NewExperiment]) -> Response:
    """Make an experiment. There must be no active one of this name."""
    made = here.stores.runs.create_experiment(
        body.name,
        artifact_location=here.place(body.artifact_location) if body.artifact_location is not None else None,
        tags=body.tags,
        experiment_id=body.experiment_id,
        creation_time=body.creation_time,
    )
    return answer(here.experiment(made))


@router.post("/ensure", response_model=records.ExperimentTold)
def ensure_experiment(here: Here, body: Given[records.ExperimentName]) -> Response:
    """Return the active experiment of a name; make it if there is none."""
    return answer(here.experiment(here.stores.runs.ensure_experiment(body.name)))


@router.post("/find", response_model=records.ExperimentFound)
def find_experiment(here: Here, view: Reading, body: Given[records.ExperimentName]) -> Response:
    """Return the active experiment of a name, else the deleted one, else none."""
    found = view.read(lambda store: store.find_experiment(body.name))
    return answer({"experiment": None if found is None else here.experiment(found)})


@router.post("/search", response_model=records.ExperimentPage)
def search_experiments(here: Here, view: Reading, body: Given[records.Search]) -> Response:
    """Search; the default order: newest first."""
    query = SearchQuery(**dict(body))
    return paged("experiments", view.read(lambda store: store.search_experiments(query)), here.experiment)


@router.get("", response_model=records.ExperimentPage)
def list_experiments(
    here: Here,
    view: Reading,
    lifecycle: Literal["active", "deleted", "any"] = "active",
    limit: int = 1000,
    page_token: str | None = None,
) -> Response:
    """List experiments, newest first."""
    stage = _LIFECYCLES[lifecycle]
    found = view.read(lambda store: store.list_experiments(lifecycle=stage, limit=limit, page_token=page_token))
    return paged("experiments", found, here.experiment)


@router.get("/{experiment_id}", response_model=records.ExperimentTold)
def get_experiment(here: Here, view: Reading, experiment_id: str) -> Response:
    """Return an experiment, deleted or not."""
    return answer(here.experiment(view.read(lambda store: store.get_experiment(experiment_id))))


@router.patch("/{experiment_id}", response_model=records.ExperimentTold)
def update_experiment(here: Here, experiment_id: str, body: Given[records.ExperimentChange]) -> Response:
    """Rename, tag, delete or restore an experiment. Deleting takes its runs along."""
    changed = here.stores.runs.update_experiment(
        experiment_id, name=body.name, tags=body.tags, lifecycle=body.lifecycle
    )
    return answer(here.experiment(changed))
