"""Leases, in our API: whose silence means that a run is lost. The server's store tells the time."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Response

from toolkit.server.v1 import records
from toolkit.server.v1.context import Given, Here, Reading, answer
from toolkit.server.v1.runs import owner_of
from toolkit.tracking.records import Owner

router = APIRouter(tags=["leases"])


@router.post("/leases/renew", response_model=records.Renewed)
def renew_leases(here: Here, body: Given[records.Renewal]) -> Response:
    """Say that runs are alive; return those of them that still run."""
    owner = Owner(**dict(body.owner))
    return answer({"run_ids": list(here.stores.runs.renew_leases(owner, body.run_ids, lease_ms=body.lease_ms))})


@router.post("/leases/candidates", response_model=records.Candidates)
def lost_candidates(view: Reading, body: Given[records.Host]) -> Response:
    """Return what may be lost: runs whose lease is over, and those of the machine that asks."""
    found = view.read(lambda store: store.lost_candidates(body.host))
    told = [
        {"run_id": run_id, "owner": asdict(owner) if owner else None, "expired": expired}
        for run_id, owner, expired in found
    ]
    return answer({"candidates": told})


@router.post("/runs/{run_id}/lost", response_model=records.Lost)
def mark_lost(here: Here, run_id: str, body: Given[records.Loss]) -> Response:
    """Make a run FAILED if it is still as its candidate said."""
    owner = owner_of(body.owner)
    return answer({"lost": here.stores.runs.mark_lost(run_id, body.reason, owner=owner, expired=body.expired)})
