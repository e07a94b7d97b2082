"""The server as an ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from toolkit.artifacts.location import below_root
from toolkit.recording.stores import Stores
from toolkit.server.artifacts.files import Limits
from toolkit.server.artifacts.routes import artifact_routes
from toolkit.server.wire import routes
from toolkit.server.wire.messages import Locate

MLFLOW_VERSION = "3.17.2"
"""The release whose wire this is; clients ask for it."""


def make_app(
    stores: Stores, *, serve_artifacts: bool = True, prefix: str = "", limits: Limits | None = None
) -> Starlette:
    """Return the application.

    Args:
        stores: What it serves.
        serve_artifacts: Whether clients read and write artifacts through it; else they are told where they are.
        prefix: What stands in front of each path.
        limits: What uploads may take.
    """
    locate = _proxied(stores.artifact_root) if serve_artifacts else str
    app = Starlette(
        routes=[
            Route(f"{prefix}/health", _health),
            Route(f"{prefix}/version", _version),
            *routes.routes(stores, locate, prefix=prefix),
            *artifact_routes(stores, limits=limits, serve=serve_artifacts, prefix=prefix),
        ],
        exception_handlers={HTTPException: _no_route},
    )
    app.router.redirect_slashes = False
    return app


def _proxied(root: str) -> Locate:
    def locate(location: str) -> str:
        folder = below_root(location, root)
        return location if folder is None else f"mlflow-artifacts:/{folder}".rstrip("/")

    return locate


async def _health(request: Request) -> Response:  # noqa: ARG001 - the form of an endpoint
    return PlainTextResponse("OK")


async def _version(request: Request) -> Response:  # noqa: ARG001 - the same
    return PlainTextResponse(MLFLOW_VERSION)


async def _no_route(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the same
    status = getattr(error, "status_code", 404)
    return routes.unknown(("GET",) if status == 405 else ())
