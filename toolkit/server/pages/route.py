"""Where the pages are: their templates and functions are loaded when the first page is asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from toolkit.errors import ToolkitError
from toolkit.server.lanes import writers
from toolkit.server.wire import errors

if TYPE_CHECKING:
    from toolkit.server.pages.asked import Asked, Site
    from toolkit.server.pages.table import Table

logger = logging.getLogger("toolkit.server")

FIRST = frozenset(
    ("", "experiments", "runs", "compare", "workflows", "models", "deployments", "static", "find", "views", "lineage")
)
"""What the paths of pages begin with."""


class PagesRoute(BaseRoute):
    """All pages.

    Args:
        prefix: What stands in front of each path.
        make: Makes what the pages are about.
    """

    def __init__(self, prefix: str, make: Callable[[], Site]) -> None:
        self._prefix = prefix
        self._maker = make
        self._made: tuple[Site, Table] | None = None
        self._making = threading.Lock()
        self._lane = writers()

    def _site(self) -> tuple[Site, Table]:
        with self._making:
            if self._made is None:
                from toolkit.server.pages.table import Table  # noqa: PLC0415 - templates and all that makes pages

                self._made = self._maker(), Table()
            return self._made

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a request is for a page."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(self._prefix):
            return Match.NONE, {}
        below = path[len(self._prefix) :]
        first = below.removeprefix("/").partition("/")[0]
        return (Match.FULL, {}) if (below == "" or below[0] == "/") and first in FIRST else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a page."""
        request = Request(scope, receive, send)
        answer = await run_sync(self._answer, request, limiter=self._lane if request.method == "POST" else None)
        await answer(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        site, table = self._site()
        path = request.scope["path"][len(self._prefix) :] or "/"
        found, allowed = table.find(request.method, path)
        from toolkit.server.pages.asked import Asked  # noqa: PLC0415 - as above

        if found is None:
            asked = Asked(site=site, request=request)
            return _fault(asked, 405 if allowed else 404, _unknown(path, allowed), allowed)
        handler, values = found
        asked = Asked(site=site, request=request, path=values)
        if request.method == "POST" and not _is_from_here(request):
            return _fault(asked, 403, "what changes something must come from a page of this server")
        try:
            return handler(asked)
        except ToolkitError as error:
            status, told = errors.answer(error)
            return _fault(asked, status, str(told["message"]))
        except Exception:  # a page that fails says so, and the log says why
            logger.exception("a page failed: %s", path)
            return _fault(asked, 500, "this page failed: the server's log says why")


def _unknown(path: str, allowed: tuple[str, ...]) -> str:
    return f"{path[:200]} takes {', '.join(allowed)}" if allowed else f"there is no page {path[:200]}"


def _is_from_here(request: Request) -> bool:
    """Tell whether a browser says that a page of this server sent a form. `Guard` has checked what it says."""
    site = request.headers.get("sec-fetch-site")
    return site == "same-origin" or (site is None and "origin" in request.headers)


def _fault(asked: Asked, status: int, message: str, allowed: tuple[str, ...] = ()) -> Response:
    from toolkit.server.pages.render import page  # noqa: PLC0415 - as above

    headers = {"allow": ", ".join(allowed)} if allowed else {}
    if asked.is_part:
        return page(asked, "fault_part.html", status=422 if status == 400 else status, headers=headers, message=message)
    return page(
        asked, "fault.html", status=status, headers=headers, message=message, title=_TITLES.get(status, "Error")
    )


_TITLES = {400: "That cannot be read", 403: "Not allowed", 404: "Not found", 405: "Not possible here", 409: "Conflict"}
