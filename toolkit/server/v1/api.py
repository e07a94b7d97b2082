"""Our API as an application of its own, under ``/api/v1``."""

from __future__ import annotations

import threading

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from toolkit.artifacts.key import is_key
from toolkit.recording.stores import Stores
from toolkit.server.lanes import writers
from toolkit.server.v1 import (
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
from toolkit.server.v1.watch import Watch
from toolkit.tracking.http_codec import Json, Locate
from toolkit.wiring import open_catalog

PATH = "/api/v1"

JOURNALS = f"{PATH}/journal/"
"""Paths that entries of journals are PUT to: their bodies have a limit of their own."""

_JOURNAL = "/journal/"  # whose bodies may take their time: they wait for their turn when they are there
_NOT_WRITING = ("/search", "/find", "/list", "/count", "/sizes", "/series", "/candidates", "/pictures")

_ABOUT = """\
Experiments, runs and what they log. Times are milliseconds since 1970 UTC. Integers have 64 bits; NaN and the
infinities are the texts `NaN`, `Infinity` and `-Infinity`. Lists come in pages: give `next_page_token` back as
`page_token`. Errors have a `code` and a `message`; what may work later is a 503 with `Retry-After`."""


def api_route(
    stores: Stores,
    locate: Locate,
    *,
    serves_artifacts: bool,
    prefix: str = "",
    stopping: threading.Event | None = None,
) -> ApiRoute:
    """Return our API as a route.

    Args:
        stores: What it serves.
        locate: From where artifacts are to what clients are told.
        serves_artifacts: Whether clients read and write artifacts through the server.
        prefix: What stands in front of each path.
        stopping: Set by the server when it is told to stop.
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
        locate=locate,
        place=_placed(stores.artifact_root) if serves_artifacts else str,
        serves_artifacts=serves_artifacts,
        pictures=Pictures(stores.runs),
        watch=Watch(),
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
        step_keys,
        leases,
        server,
    ):
        app.include_router(each.router, prefix=f"{prefix}{PATH}")
    handle(app)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]  # FastAPI's own way to add to it
    return ApiRoute(f"{prefix}{PATH}", app)


class ApiRoute(BaseRoute):
    """All paths of our API, handed to its application as they are.

    Args:
        path: What they begin with.
        app: The application.
    """

    def __init__(self, path: str, app: FastAPI) -> None:
        self.path = path
        self.app = app
        self._lane = writers()

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes of the application."""
        return self.app.routes

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a request is for this API."""
        if scope["type"] == "http" and scope["path"].startswith(f"{self.path}/"):
            return Match.FULL, {}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; not more at a time than leave threads for those that only read."""
        if scope["method"] in ("GET", "HEAD") or scope["path"].endswith(_NOT_WRITING) or _JOURNAL in scope["path"]:
            await self.app(scope, receive, send)
        else:
            async with self._lane:
                await self.app(scope, receive, send)


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
