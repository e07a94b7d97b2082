"""Which function makes which page. Each noun has a module with a list of its own: ``PAGES``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import unquote

from starlette.responses import Response

from toolkit.server.pages import (
    artifacts,
    charts,
    compare,
    deployment_change,
    deployments,
    experiment,
    experiments,
    find,
    home,
    lineage,
    logs,
    model,
    model_compare,
    model_version,
    models,
    peek,
    run_pictures,
    runs_bulk,
    runs_export,
    saved_views,
    static,
    workflow,
    workflow_declared,
    workflows,
)
from toolkit.server.pages import run as run_page
from toolkit.server.pages.asked import Asked

Handler = Callable[[Asked], Response]
Entry = tuple[str, str, Handler]
"""A method, a path (``/runs/{run_id}``; ``{path*}`` takes the rest), and the function."""

MODULES = (
    home,
    find,
    experiments,
    experiment,
    runs_bulk,
    runs_export,
    saved_views,
    peek,
    run_page,
    charts,
    artifacts,
    run_pictures,
    logs,
    compare,
    deployment_change,
    deployments,
    workflows,
    workflow,
    workflow_declared,
    models,
    model_compare,
    model,
    model_version,
    lineage,
)


class Table:
    """All pages."""

    def __init__(self) -> None:
        entries: list[Entry] = [("GET", "/static/{digest}/{path*}", _file)]
        for module in MODULES:
            entries += module.PAGES
        self._entries: Sequence[tuple[str, re.Pattern[str], Handler]] = [
            (method, _pattern(path), handler) for method, path, handler in entries
        ]

    def find(self, method: str, path: str) -> tuple[tuple[Handler, dict[str, str]] | None, tuple[str, ...]]:
        """Return the function of a path and the parts that vary; else the methods that the path has.

        Args:
            method: HTTP's.
            path: The path, below the server's prefix.
        """
        allowed: list[str] = []
        for own, pattern, handler in self._entries:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            if own == method or (own == "GET" and method == "HEAD"):
                return (handler, match.groupdict()), ()
            allowed.append(own)
        return None, tuple(dict.fromkeys(allowed))


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+\*?)\}", path)
    text = "".join(
        re.escape(part) if i % 2 == 0 else f"(?P<{part.rstrip('*')}>{'.+' if part.endswith('*') else '[^/]+'})"
        for i, part in enumerate(parts)
    )
    return re.compile(text)


def _file(asked: Asked) -> Response:
    name = unquote(asked.path["path"])
    takes_gzip = "gzip" in asked.request.headers.get("accept-encoding", "")
    found = static.answer(name, takes_gzip=takes_gzip) if asked.path["digest"] == static.digest() else None
    return found or Response("there is no such file\n", 404, media_type="text/plain")
