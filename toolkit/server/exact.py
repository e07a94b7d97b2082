"""Routes whose paths are fixed, found by one look: to try fifty expressions takes as long as to write a metric."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send


class Exact:
    """An application that answers those of some routes that have no parameters; the others are left to the next one.

    Args:
        app: The next one; the routes are there too, for whatever is not asked exactly so.
        routes: The routes. Their endpoints take a request, return a response, and raise nothing.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[Route]) -> None:
        self._app = app
        self._routes = {
            (method, route.path): route
            for route in routes
            if not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"], scope["path_params"] = route, {}
        answer = await route.endpoint(Request(scope, receive, send))
        await answer(scope, receive, send)
