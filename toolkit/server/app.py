"""The server as an ASGI application."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from toolkit.artifacts.location import below_root
from toolkit.recording.stores import Stores
from toolkit.server.artifacts.files import Limits
from toolkit.server.artifacts.routes import STREAMED, artifact_routes
from toolkit.server.exact import Exact
from toolkit.server.front import front_routes
from toolkit.server.guard import Guard, Rules
from toolkit.server.health import watch_of
from toolkit.server.pages.route import PagesRoute
from toolkit.server.v1.route import JOURNALS, PATH, ApiRoute
from toolkit.server.wire import routes
from toolkit.server.wire.messages import Locate

if TYPE_CHECKING:
    from fastapi import FastAPI

    from toolkit.server.pages.asked import Site


def make_app(
    stores: Stores,
    *,
    serve_artifacts: bool = True,
    prefix: str = "",
    limits: Limits | None = None,
    allowed_hosts: Sequence[str] = (),
    change_from_pages: bool = False,
) -> Starlette:
    """Return the application.

    Args:
        stores: What it serves.
        serve_artifacts: Whether clients read and write artifacts through it; else they are told where they are.
        prefix: What stands in front of each path.
        limits: What uploads may take.
        allowed_hosts: Names by which it may be called, besides its own address (`toolkit.server.guard.Rules`).
        change_from_pages: Whether pages release and stop deployments for a browser at this machine.
    """
    locate = _proxied(stores.artifact_root) if serve_artifacts else str
    stopping = threading.Event()
    health = watch_of(stores)

    def make() -> FastAPI:
        from toolkit.server.v1.api import make_api  # noqa: PLC0415 - heavy

        return make_api(
            stores, locate, serves_artifacts=serve_artifacts, prefix=prefix, stopping=stopping, health=health
        )

    def make_site() -> Site:
        from toolkit.server.pages.asked import Site  # noqa: PLC0415 - not before a page is asked for
        from toolkit.wiring.registry import open_catalog  # noqa: PLC0415 - the same

        return Site(
            stores=stores,
            catalog=open_catalog(stores, pickles=False),
            locate=locate,
            health=health,
            serves_artifacts=serve_artifacts,
            prefix=prefix,
            change_from_pages=change_from_pages,
        )

    api = ApiRoute(f"{prefix}{PATH}", make)
    wire = routes.routes(stores, locate, prefix=prefix)
    app = Starlette(
        routes=[
            *front_routes(prefix),
            *wire,
            *artifact_routes(stores, limits=limits, serve=serve_artifacts, prefix=prefix),
            api,
            PagesRoute(prefix, make_site),
        ],
        middleware=[
            Middleware(
                Guard, Rules(hosts=allowed_hosts, streamed=tuple(prefix + path for path in (*STREAMED, JOURNALS)))
            ),
            Middleware(Exact, wire),
        ],
        exception_handlers={HTTPException: _no_route(prefix), Exception: _failed},
    )
    app.router.redirect_slashes = False
    app.state.api = api
    app.state.stopping = stopping  # to be set when the server is told to stop: answers without end then end
    return app


def _proxied(root: str) -> Locate:
    def locate(location: str) -> str:
        folder = below_root(location, root)
        return location if folder is None else f"mlflow-artifacts:/{folder}".rstrip("/")

    return locate


def _no_route(prefix: str) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        wrong_method = isinstance(error, HTTPException) and error.status_code == 405
        return routes.unknown(request, prefix=prefix, allowed=_allowed(request) if wrong_method else None)

    return answer


def _allowed(request: Request) -> str:
    """Return the methods that the path of a request has, on all of its routes."""
    path = request.scope["path"]
    found = [route for route in request.app.routes if isinstance(route, Route) and route.path_regex.match(path)]
    return ", ".join(sorted({method for route in found for method in route.methods or ()}))


async def _failed(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the same
    return routes.failure(error)
