"""Deployments, their releases and what was built for them, in our API. The server starts none: it remembers them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from toolkit.deployments import codec
from toolkit.deployments.records import Bento, Deployment, Release
from toolkit.server.v1 import deployment_records as records
from toolkit.server.v1.context import Acting, Given, Here, answer

router = APIRouter(tags=["deployments"])

Number = Annotated[int, Path(ge=1, lt=2**63)]


@router.post("/deployments", response_model=records.DeploymentTold)
def create_deployment(here: Acting, body: Given[records.NewDeployment]) -> Response:
    """Remember a deployment. Of those that are not deleted it is the only one with this name."""
    return answer(codec.deployment_out(here.deployments.create(Deployment(**dict(body)))))


@router.get("/deployments", response_model=records.DeploymentsTold)
def list_deployments(here: Here, model: str | None = None, deleted: bool = False) -> Response:
    """Return the deployments there are, by name; of a registered model those that serve a version of it.

    With ``deleted`` also those that were deleted, and of a model those that ever served a version of it.
    """
    found = here.deployments.list(model=model, deleted=deleted)
    return answer({"deployments": [codec.deployment_out(each) for each in found]})


@router.get("/deployments/named/{name}", response_model=records.DeploymentTold)
def get_deployment(here: Here, name: str) -> Response:
    """Return the deployment of a name."""
    return answer(codec.deployment_out(here.deployments.get(name)))


@router.get("/deployments/current", response_model=records.ReleasesTold)
def current_releases(here: Here) -> Response:
    """Return one release of each deployment that is not deleted: the one that serves, else the one begun last."""
    return answer({"releases": [codec.release_out(each) for each in here.deployments.current()]})


@router.patch("/deployments/{deployment_id}", response_model=records.DeploymentTold)
def change_deployment(here: Acting, deployment_id: str, body: Given[records.DeploymentChange]) -> Response:
    """Change a deployment, if its state is one that is expected."""
    return answer(codec.deployment_out(here.deployments.change(deployment_id, **dict(body))))


@router.get("/deployments/{deployment_id}/releases", response_model=records.ReleasesTold)
def list_releases(here: Here, deployment_id: str) -> Response:
    """Return all releases of a deployment, the newest first."""
    return answer({"releases": [codec.release_out(each) for each in here.deployments.releases(deployment_id)]})


@router.post("/deployments/{deployment_id}/releases", response_model=records.ReleaseTold)
def begin_release(here: Acting, deployment_id: str, body: Given[records.NewRelease]) -> Response:
    """Remember a release that is being started; it gets the next number."""
    new = Release(deployment_id=deployment_id, number=0, **dict(body))
    return answer(codec.release_out(here.deployments.begin_release(new)))


@router.patch("/deployments/{deployment_id}/releases/{number}", response_model=records.ReleaseTold)
def change_release(here: Acting, deployment_id: str, number: Number, body: Given[records.ReleaseChange]) -> Response:
    """Change a release; one that is refused, replaced or stopped has ended."""
    return answer(codec.release_out(here.deployments.change_release(deployment_id, number, **dict(body))))


@router.post("/bentos", response_model=records.BentoTold)
def remember_bento(here: Acting, body: Given[records.NewBento]) -> Response:
    """Remember what was built of a version, for the lineage."""
    return answer(codec.bento_out(here.deployments.remember_bento(Bento(**dict(body)))))


@router.get("/bentos", response_model=records.BentosTold)
def list_bentos(here: Here, model: str | None = None) -> Response:
    """Return what was built, the newest first; only that of one registered model, if it is named."""
    return answer({"bentos": [codec.bento_out(each) for each in here.deployments.bentos(model=model)]})
