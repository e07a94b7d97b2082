"""What is noted of each request: a count, and a line of the access log where one is wanted."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import TextIO

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolkit.server.metrics import WorkerCounts
from toolkit.server.protocol import unavailable

STORE_ERRORS = (503, 507)
"""Statuses that mean that the store could not serve a request."""

GONE = 499
"""What is noted of a request whose client went away before it was answered; whatever else fails is answered."""


class Observed:
    """An application whose requests are counted.

    Args:
        app: The application.
        counts: What counts them.
        log: Takes one JSON object a request; ``None``: nothing is logged.
    """

    def __init__(self, app: ASGIApp, counts: WorkerCounts, log: TextIO | None = None) -> None:
        self._app = app
        self._counts = counts
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, and note it when its answer was sent or its client has gone.

        One that is given up, because the server ends and has waited long enough, is told to come again.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = size = 0

        async def noted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:
            if not status:
                await unavailable("the server ends", noted)
        finally:
            self._note(scope, status or GONE, size, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, size: int, seconds: float) -> None:
        found = getattr(scope.get("route"), "path", None)
        route = (
            None if found is None else f"{scope.get('root_path', '')}{found}"
        )  # mounted ones know no more than theirs
        self._counts.request(scope["method"] if route else "", route or "", status, seconds)
        if status in STORE_ERRORS:
            self._counts.store_error()
        if self._log is not None:
            self._log.write(_line(scope, route, status, size, seconds))


def _line(scope: Scope, route: str | None, status: int, size: int, seconds: float) -> str:
    """Return the line of a request. The query stays out of it: it may hold what is private."""
    client = scope.get("client")
    fields = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "client": client[0] if client else None,
        "method": scope["method"],
        "path": scope["path"],
        "route": route,
        "status": status,
        "bytes": size,
        "milliseconds": round(seconds * 1000, 2),
    }
    return json.dumps(fields) + "\n"
