"""History, gates and requests of the registry, in our API.

Who acts is who logs in, else who the header ``toolkit-user`` names; ``toolkit-reason`` says why. Both are
percent-encoded.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from toolkit.registry import promotion_codec as codec
from toolkit.registry.history import ChangeQuery
from toolkit.registry.promotion import NewRequest, Policy, Request, RequestQuery, Target
from toolkit.server.v1 import promotion_records as promotion
from toolkit.server.v1.context import Acting, Given, Here, answer, paged

router = APIRouter(tags=["registry"])

Number = Annotated[int, Path(ge=0, lt=2**63)]
Time = Annotated[int | None, Query(ge=-(2**63), lt=2**63)]


@router.post("/registry/changes/search", response_model=promotion.ChangePage)
def search_changes(here: Here, body: Given[promotion.ChangeSearch]) -> Response:
    """Return what was done to models, by whom and why, the newest first; also of what was deleted."""
    return paged("changes", here.catalog.promotions.history(ChangeQuery(**dict(body))), codec.change_out)


@router.get("/registered-models/{name}/held", response_model=promotion.HeldTold)
def held(here: Here, name: str, time: Time = None) -> Response:
    """Return which versions held the aliases and stages of a model at a time; without one: now."""
    return answer(codec.held_out(here.catalog.promotions.held(name, time)))


@router.post("/registered-models/{name}/rollback", response_model=promotion.ChangesTold)
def roll_back(here: Acting, name: str, body: Given[promotion.RollbackAsked]) -> Response:
    """Let a stage or an alias be what it was before, or of a version that had it once. It needs a reason."""
    made = here.catalog.promotions.rollback(name, Target.read(body.target), to=body.to)
    return answer({"changes": [codec.change_out(change) for change in made]})


@router.get("/registered-models/{name}/policies", response_model=promotion.PoliciesTold)
def policies(here: Here, name: str) -> Response:
    """Return what the stages and aliases of a model ask for."""
    return answer({"policies": [codec.policy_out(each) for each in here.catalog.promotions.policies(name)]})


@router.put("/registered-models/{name}/policies", response_model=promotion.PoliciesTold)
def set_policies(here: Acting, name: str, body: Given[promotion.PoliciesAsked]) -> Response:
    """Say what some stages and aliases of a model ask for from now on; one that asks for nothing is lifted."""
    wanted: list[Policy] = [codec.policy_in(dict(each)) for each in body.policies]
    return answer({"policies": [codec.policy_out(each) for each in here.catalog.promotions.set_policies(name, wanted)]})


@router.get("/registered-models/{name}/versions/{version}/gates", response_model=promotion.ReportTold)
def check_gates(here: Here, name: str, version: Number, target: str) -> Response:
    """Judge a version by the gates of a stage, or of an alias written as ``@alias``, line by line."""
    return answer(codec.report_out(here.catalog.promotions.check(name, version, Target.read(target))))


@router.post("/registry/requests", response_model=promotion.RequestTold)
def make_request(here: Acting, body: Given[promotion.NewRequestAsked]) -> Response:
    """Ask that a version takes a stage or an alias; its gates must be passed already."""
    new = NewRequest(**{**dict(body), "target": Target.read(body.target)})
    return answer(codec.request_out(here.catalog.promotions.request(new)))


@router.post("/registry/requests/search", response_model=promotion.RequestPage)
def search_requests(here: Here, body: Given[promotion.RequestSearch]) -> Response:
    """Return requests, the newest first."""
    return paged("requests", here.catalog.promotions.requests(RequestQuery(**dict(body))), codec.request_out)


@router.get("/registry/requests/{number}", response_model=promotion.RequestTold)
def get_request(here: Here, number: Number) -> Response:
    """Return a request with who approved it."""
    return _told(here.catalog.promotions.get_request(number))


@router.post("/registry/requests/{number}/approve", response_model=promotion.RequestTold)
def approve(here: Acting, number: Number, body: Given[promotion.Decision]) -> Response:  # noqa: ARG001 - it is empty
    """Approve a request of somebody else's. With the last yes that it needs, the version takes what it asks for."""
    return _told(here.catalog.promotions.approve(number))


@router.post("/registry/requests/{number}/reject", response_model=promotion.RequestTold)
def reject(here: Acting, number: Number, body: Given[promotion.Decision]) -> Response:  # noqa: ARG001 - the same
    """Close a request of somebody else's, with a reason."""
    return _told(here.catalog.promotions.reject(number))


@router.post("/registry/requests/{number}/comment", response_model=promotion.RequestTold)
def comment(here: Acting, number: Number, body: Given[promotion.Decision]) -> Response:  # noqa: ARG001 - the same
    """Say something to a request without deciding on it; what is said is in the header of the reason."""
    return _told(here.catalog.promotions.comment(number))


@router.post("/registry/requests/{number}/withdraw", response_model=promotion.RequestTold)
def withdraw(here: Acting, number: Number, body: Given[promotion.Decision]) -> Response:  # noqa: ARG001 - the same
    """Close a request of one's own."""
    return _told(here.catalog.promotions.withdraw(number))


def _told(request: Request) -> Response:
    return answer(codec.request_out(request))
