"""The list of experiments."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from toolkit.recording.context import NOTE
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.render import page
from toolkit.server.pages.view import quoted
from toolkit.tracking.records import Lifecycle, SearchQuery

_PAGE = 200


def show(asked: Asked) -> Response:
    """Return the page."""
    wanted = asked.query.get("q", "").strip()
    deleted = asked.query.get("deleted") == "1"
    query = SearchQuery(
        filter=f"name ILIKE {quoted(f'%{wanted}%')}" if wanted else "",
        order_by=["last_update_time DESC"],
        lifecycle=Lifecycle.DELETED if deleted else Lifecycle.ACTIVE,
        limit=_PAGE,
        page_token=asked.query.get("after") or None,
    )
    found = asked.stores.runs.search_experiments(query)
    return page(asked, "experiments.html", found=found, wanted=wanted, deleted=deleted, note=NOTE, call=_call(query))


def _call(query: SearchQuery) -> str:
    """Return what follows the `?` of the call of the API that finds the same."""
    given = {
        "filter": query.filter,
        "order_by": query.order_by[0],
        "view_type": "DELETED_ONLY" if query.lifecycle is Lifecycle.DELETED else "ACTIVE_ONLY",
        "max_results": query.limit,
        "page_token": query.page_token,
    }
    return urlencode({name: value for name, value in given.items() if value})


PAGES = [("GET", "/experiments", show)]
