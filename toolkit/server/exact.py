"""Routes whose paths are fixed, found by one look: to try fifty expressions takes as long as to write a metric."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send


class Exact(BaseRoute):
    """Those of some routes that have no parameters. What it does not know is left to the routes after it.

    Args:
        routes: The routes; they stay in the application, for whatever is not asked exactly so.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = {
            (method, route.path): route
            for route in routes
            if not route.param_convertors
            for method in route.methods or ()
        }

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a request is for one of them."""
        if scope["type"] != "http":
            return Match.NONE, {}
        route = self._routes.get((scope["method"], scope["path"]))
        if route is None:
            return Match.NONE, {}
        return Match.FULL, {"endpoint": route.endpoint, "path_params": {}, "route": route}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        route: Route = scope["route"]
        await route.app(scope, receive, send)
