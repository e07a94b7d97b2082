"""What a server says of itself: that it is well, its release, and what it can."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

MLFLOW_VERSION = "3.17.2"
"""The release whose wire this is; clients ask for it."""

SERVER_INFO = {
    "store_type": "SqlStore",
    "workspaces_enabled": False,
    "trace_archival_enabled": False,
    "multipart_uploads_enabled": False,
    "multipart_downloads_enabled": False,
    "presigned_upload_run_id_supported": False,
    "presigned_upload_model_id_supported": False,
    "features_enabled": {"gateway": False},
}
"""What clients of MLflow 3 ask for before they send and fetch files."""


def front_routes(prefix: str = "") -> list[Route]:
    """Return the routes.

    Args:
        prefix: What stands in front of each path.
    """
    return [
        Route(f"{prefix}/health", _health),
        Route(f"{prefix}/version", _version),
        *(Route(f"{prefix}/{base}/3.0/mlflow/server-info", _info) for base in ("api", "ajax-api")),
    ]


async def _health(request: Request) -> Response:  # noqa: ARG001 - the form of an endpoint
    return PlainTextResponse("OK")


async def _version(request: Request) -> Response:  # noqa: ARG001 - the same
    return PlainTextResponse(MLFLOW_VERSION)


async def _info(request: Request) -> Response:  # noqa: ARG001 - the same
    return Response(_INFO, media_type="application/json")


_INFO = json.dumps(SERVER_INFO)
