"""MLflow's wire as routes: the same endpoints under each of its base paths, and errors as its clients read them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from toolkit.errors import ToolkitError
from toolkit.recording.stores import Stores
from toolkit.registry.authors import author_of
from toolkit.registry.catalog import Catalog
from toolkit.server.lanes import writers
from toolkit.server.wire import (
    absent,
    artifacts,
    errors,
    experiments,
    history,
    logged_models,
    registered_models,
    runs,
    versions,
)
from toolkit.server.wire.call import Call, Endpoint
from toolkit.server.wire.messages import Locate, encode
from toolkit.server.wire.quick import Quick
from toolkit.server.wire.request import BODY, Fields, check_type
from toolkit.wiring.registry import open_catalog

logger = logging.getLogger("toolkit.server")

BASES = ("/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/")
ENDPOINTS: tuple[Endpoint, ...] = (
    *experiments.ENDPOINTS,
    *runs.ENDPOINTS,
    *history.ENDPOINTS,
    *artifacts.ENDPOINTS,
    *logged_models.ENDPOINTS,
    *registered_models.ENDPOINTS,
    *versions.ENDPOINTS,
)

_JSON = "application/json"
_WRITTEN_DOWN = ("registered-models/", "model-versions/")  # by whom and why; who asks only is nobody's business
_READING = ("search", "search-datasets", "get-latest-versions")  # what is asked by POST and writes nothing


def routes(stores: Stores, locate: Locate, *, prefix: str = "") -> list[Route]:
    """Return the routes of MLflow's wire.

    Args:
        stores: What they are about.
        locate: How places of artifacts are told to clients.
        prefix: What stands in front of each path.
    """
    catalog, quick = open_catalog(stores, pickles=False), Quick(stores)
    lane = writers()
    return [
        Route(
            f"{prefix}{base}{endpoint.path}",
            _answering(endpoint, stores, catalog, locate, quick, lane),
            methods=list(endpoint.methods),
        )
        for base in BASES
        for endpoint in ENDPOINTS
    ]


def _answering(
    endpoint: Endpoint, stores: Stores, catalog: Catalog, locate: Locate, quick: Quick, lane: CapacityLimiter
) -> Callable[[Request], Awaitable[Response]]:
    reads_only = endpoint.path.endswith(_READING)
    written_down = endpoint.path.startswith(_WRITTEN_DOWN) and not reads_only

    async def answer(request: Request) -> Response:
        try:
            if request.method in ("GET", "HEAD"):
                size, fields = 0, Fields.of_query(request.scope["query_string"], endpoint.lists)
            else:
                check_type(request)
                body = request.scope[BODY] if BODY in request.scope else await request.body()
                size, fields = len(body), Fields.of_body(body)
            models = catalog.acting(author_of(request.headers)) if written_down else catalog
            call = Call(fields, stores, locate, dict(request.path_params), models, request.scope["headers"])
            message = await quick.answer(endpoint, call) if quick.takes(endpoint, size) else None
            if message is None:
                limiter = None if reads_only or request.method in ("GET", "HEAD") else lane
                message = await run_sync(partial(endpoint.handler, call), limiter=limiter)
            return Response(encode(message), media_type=_JSON)
        except Exception as error:  # noqa: BLE001 - a client gets an answer, whatever happens
            return failure(error)

    return answer


def failure(error: Exception) -> Response:
    """Return the answer for an error."""
    if not isinstance(error, ToolkitError):
        logger.exception("a request failed", exc_info=error)
    status, message = errors.answer(error)
    headers = {"retry-after": str(errors.RETRY_AFTER)} if status == 503 else None
    return Response(encode(message), status_code=status, media_type=_JSON, headers=headers)


def unknown(request: Request, *, prefix: str = "", allowed: str | None = None) -> Response:
    """Return the answer for a path that nothing serves, or not with this method.

    Args:
        request: The request.
        prefix: What stands in front of each path.
        allowed: The methods that it could have, if there are any.
    """
    told = errors.body("ENDPOINT_NOT_FOUND", absent.message(request.method, request.scope["path"], prefix=prefix))
    headers = None if allowed is None else {"allow": allowed}
    return Response(encode(told), 404 if allowed is None else 405, headers, media_type=_JSON)
