"""Our API as an application of its own, under ``/api/v1``: heavy to import (`toolkit.server.v1.route`)."""

from __future__ import annotations

import threading

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from toolkit.artifacts.key import is_key
from toolkit.recording.stores import Stores
from toolkit.server.health import HealthWatch, watch_of
from toolkit.server.v1 import (
    deployments,
    events,
    experiments,
    leases,
    lineage,
    logged_models,
    promotions,
    records,
    registry,
    registry_events,
    runs,
    server,
    step_keys,
    values,
)
from toolkit.server.v1.context import Context
from toolkit.server.v1.entries import Entries
from toolkit.server.v1.faults import handle
from toolkit.server.v1.pictures import Pictures
from toolkit.server.v1.route import PATH
from toolkit.server.v1.watch import Watch
from toolkit.tracking.http_codec import Json, Locate
from toolkit.wiring.registry import open_catalog
from toolkit.wiring.serving import open_deployment_store

_ABOUT = """\
Experiments, runs and what they log. Times are milliseconds since 1970 UTC. Integers have 64 bits; NaN and the
infinities are the texts `NaN`, `Infinity` and `-Infinity`. Lists come in pages: give `next_page_token` back as
`page_token`. Errors have a `code` and a `message`; what may work later is a 503 with `Retry-After`."""


def make_api(
    stores: Stores,
    locate: Locate,
    *,
    serves_artifacts: bool,
    prefix: str = "",
    stopping: threading.Event | None = None,
    health: HealthWatch | None = None,
) -> FastAPI:
    """Return our API.

    Args:
        stores: What it serves.
        locate: From where artifacts are to what clients are told.
        serves_artifacts: Whether clients read and write artifacts through the server.
        prefix: What stands in front of each path.
        stopping: Set by the server when it is told to stop.
        health: How the services are that the server works with; default: one of its own looks at them.
    """
    app = FastAPI(
        title="toolkit",
        version=str(server.API),
        description=_ABOUT,
        openapi_url=f"{prefix}{PATH}/openapi.json",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses={
            400: {"model": records.Fault, "description": "The request cannot be carried out, now or later"},
            404: {"model": records.Fault, "description": "There is no such thing"},
            503: {"model": records.Fault, "description": "The store cannot take it now; `Retry-After` says when"},
        },
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.context = Context(
        stores=stores,
        catalog=open_catalog(stores, pickles=False),
        deployments=open_deployment_store(stores),
        locate=locate,
        place=_placed(stores.artifact_root) if serves_artifacts else str,
        serves_artifacts=serves_artifacts,
        pictures=Pictures(stores.runs),
        watch=Watch(),
        health=health or watch_of(stores),
        stopping=stopping or threading.Event(),
    )
    for each in (
        experiments,
        runs,
        events,
        values,
        logged_models,
        registry,
        promotions,
        registry_events,
        lineage,
        deployments,
        step_keys,
        leases,
        server,
    ):
        app.include_router(each.router, prefix=f"{prefix}{PATH}")
    handle(app)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]  # FastAPI's own way to add to it
    return app


def _placed(root: str) -> Locate:
    """Return what makes the server's own place of what clients are told: the other way of ``locate``."""

    def place(location: str) -> str:
        folder = location.removeprefix(server.PROXIED)
        if folder == location or not is_key(folder.rstrip("/")):
            return location
        return f"{root.rstrip('/')}/{folder}"

    return place


def _document(app: FastAPI) -> Json:
    """Return the OpenAPI document, with the entries of journals in it; made when it is first asked for."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        entries = Entries.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document["components"]["schemas"]
        for name, schema in entries.pop("$defs").items():
            schemas.setdefault(name, schema)
        schemas["Entries"] = entries
        for each in [operation for path in document["paths"].values() for operation in path.values()]:
            each["responses"].pop("422", None)  # what FastAPI would say; here that is a 400
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        app.openapi_schema = document
    return app.openapi_schema
