"""What this server is, and pictures of its store, in our API."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, Response

from toolkit.server.v1 import records
from toolkit.server.v1.context import Here, answer

router = APIRouter(tags=["server"])

API = 1
"""Number of this API: another one is another path."""


_PATIENCE = 1.0  # seconds

PROXIED = "mlflow-artifacts:/"
"""Root of artifacts for clients that read and write them through the server."""


def _version() -> str:
    try:
        return version("toolkit")
    except PackageNotFoundError:  # run from a checkout
        return "0"


@router.get("/about", response_model=records.About)
async def about(here: Here) -> Response:
    """Return what this server is, and where clients find artifacts."""
    return answer(
        {
            "server": "toolkit",
            "version": _version(),
            "api": API,
            "artifacts": "proxy" if here.serves_artifacts else "direct",
            "artifact_root": PROXIED if here.serves_artifacts else here.stores.artifact_root,
        }
    )


@router.get("/services", response_model=records.Services)
def services(here: Here) -> Response:
    """Return how the services are that this server works with, as far as they answer within a second."""
    found = here.health.look(wait=_PATIENCE)
    told = [{"name": each.name, "state": each.state, "note": each.note, "url": each.url} for each in found]
    return answer({"well": all(each.well for each in found), "services": told})


@router.post("/pictures", response_model=records.PictureTold)
def make_picture(here: Here) -> Response:
    """Make a picture of the store, for reading it as it is now. One ends when nothing is read of it for a minute."""
    return answer({"picture": here.pictures.make()})


@router.delete("/pictures/{picture}", response_model=records.Done)
def end_picture(here: Here, picture: str) -> Response:
    """End a picture."""
    here.pictures.end(picture)
    return answer({})
