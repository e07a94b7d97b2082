"""Errors of our API: a code, a message, and the status that MLflow's wire would have."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from toolkit.errors import ToolkitError
from toolkit.server.wire import errors
from toolkit.tracking.http_codec import code_of

logger = logging.getLogger("toolkit.server")


def handle(app: FastAPI) -> None:
    """Let an application answer errors."""
    app.add_exception_handler(ToolkitError, _ours)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(Exception, _failed)


def fault(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer for an error. A message may repeat what is no text, so it is escaped."""
    body = json.dumps({"code": code, "message": message})
    return Response(body, status_code=status, media_type="application/json", headers=headers)


async def _ours(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the form of a handler
    status, told = errors.answer(error)
    headers = {"retry-after": str(errors.RETRY_AFTER)} if status == 503 else None
    return fault(status, code_of(error), str(told["message"]), headers)


async def _malformed(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the same
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return fault(400, "INVALID_VALUE", f"{place[:300]}: {first['msg']}")


async def _unknown(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the same
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status in (404, 405):
        message = "there is no such endpoint here: /api/v1/openapi.json lists them"
        return fault(status, "NO_SUCH_ENDPOINT", message)
    return fault(status, "INVALID_VALUE", str(getattr(error, "detail", "")))


async def _failed(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the same
    logger.exception("a request failed", exc_info=error)
    return fault(500, "INTERNAL_ERROR", "the server failed: its log says more")
