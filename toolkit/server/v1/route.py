"""Where our API is: it is made when it is first asked for, or soon after the server has started.

To import FastAPI and to put a hundred operations together takes longer than all else that a server does to start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from anyio.to_thread import run_sync
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from toolkit.server.lanes import writers

if TYPE_CHECKING:
    from fastapi import FastAPI

PATH = "/api/v1"

JOURNALS = f"{PATH}/journal/"
"""Paths that entries of journals are PUT to: their bodies have a limit of their own."""

_JOURNAL = "/journal/"  # whose bodies may take their time: they wait for their turn when they are there
_NOT_WRITING = ("/search", "/find", "/list", "/count", "/sizes", "/series", "/candidates", "/pictures")


class ApiRoute(BaseRoute):
    """All paths of our API, handed to its application as they are.

    Args:
        path: What they begin with.
        make: Makes the application.
    """

    def __init__(self, path: str, make: Callable[[], FastAPI]) -> None:
        self.path = path
        self._maker = make
        self._made: FastAPI | None = None
        self._making = threading.Lock()
        self._lane = writers()

    def make(self) -> FastAPI:
        """Return the application, made once; who asks at the same time waits."""
        with self._making:
            if self._made is None:
                self._made = self._maker()
            return self._made

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes of the application."""
        return self.make().routes

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a request is for this API."""
        if scope["type"] == "http" and scope["path"].startswith(f"{self.path}/"):
            return Match.FULL, {}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; not more at a time than leave threads for those that only read."""
        app = self._made
        if app is None:
            app = await run_sync(self.make)
        if scope["method"] in ("GET", "HEAD") or scope["path"].endswith(_NOT_WRITING) or _JOURNAL in scope["path"]:
            await app(scope, receive, send)
        else:
            async with self._lane:
                await app(scope, receive, send)
