"""The pages of workflows before they run: their addresses, for whoever opens or prints them."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from toolkit.settings import load
from toolkit.wiring.graphs import publish_project
from toolkit.wiring.request import RunRequest
from toolkit.wiring.services import tracking_address


def published_pages(request: RunRequest, report: Callable[[str], None]) -> list[str]:
    """Publish the graphs of a project's workflows; return the addresses of their pages.

    Args:
        request: The project.
        report: Takes lines of progress.

    Raises:
        ProjectError: Something about the project is wrong; nothing was published.
    """
    places = publish_project(request, report)
    address = str(tracking_address(load(), report)).rstrip("/")
    return [f"{address}/experiments/{place.experiment_id}/workflows/{quote(place.name, safe='')}" for place in places]
