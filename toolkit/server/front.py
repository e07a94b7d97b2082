"""What a server says of itself: that it is well, its release, what it can; and where links to its pages lead."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
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

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>toolkit</title></head>
<body><p>This is a toolkit tracking server. See <a href="{prefix}/version">its version</a>,
<a href="{prefix}/metrics">its counts</a>, or <a href="{prefix}/api/v1/openapi.json">its API</a>.</p>
<script src="{prefix}/links.js"></script></body></html>
"""

# MLflow's clients print addresses of pages: /#/experiments/1/runs/abc. Until there are pages, records are shown.
_LINKS = """"use strict";
(function () {
  const base = document.currentScript.src.replace(/links\\.js$/, "api/2.0/mlflow/");
  const part = "([^/?]+)";
  const pages = [
    ["^#/experiments/" + part + "/runs/" + part, (found) => "runs/get?run_id=" + found[2]],
    ["^#/experiments/" + part + "/models/" + part, (found) => "logged-models/" + found[2]],
    ["^#/experiments/" + part, (found) => "experiments/get?experiment_id=" + found[1]],
    ["^#/models/" + part + "/versions/" + part,
      (found) => "model-versions/get?name=" + found[1] + "&version=" + found[2]],
    ["^#/models/" + part, (found) => "registered-models/get?name=" + found[1]],
  ];
  for (const [form, record] of pages) {
    const found = location.hash.match(new RegExp(form));
    if (found) { location.replace(base + record(found)); return; }
  }
})();
"""


def front_routes(prefix: str = "") -> list[Route]:
    """Return the routes.

    Args:
        prefix: What stands in front of each path.
    """
    page = _PAGE.format(prefix=prefix)

    async def front(request: Request) -> Response:  # noqa: ARG001 - the form of an endpoint
        return HTMLResponse(page)

    return [
        Route(f"{prefix}/", front),
        Route(f"{prefix}/links.js", _links),
        Route(f"{prefix}/health", _health),
        Route(f"{prefix}/version", _version),
        *(Route(f"{prefix}/{base}/3.0/mlflow/server-info", _info) for base in ("api", "ajax-api")),
    ]


async def _links(request: Request) -> Response:  # noqa: ARG001 - the same
    return Response(_LINKS, media_type="text/javascript")


async def _health(request: Request) -> Response:  # noqa: ARG001 - the same
    return PlainTextResponse("OK")


async def _version(request: Request) -> Response:  # noqa: ARG001 - the same
    return PlainTextResponse(MLFLOW_VERSION)


async def _info(request: Request) -> Response:  # noqa: ARG001 - the same
    return Response(_INFO, media_type="application/json")


_INFO = json.dumps(SERVER_INFO)
