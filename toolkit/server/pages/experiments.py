"""The list of experiments."""

from __future__ import annotations

from starlette.responses import Response

from toolkit.server.pages.asked import Asked
from toolkit.server.pages.render import page
from toolkit.tracking.records import Lifecycle, SearchQuery

_PAGE = 200


def show(asked: Asked) -> Response:
    """Return the page."""
    wanted = asked.query.get("q", "").strip()
    deleted = asked.query.get("deleted") == "1"
    text = wanted.replace("'", "''")
    found = asked.stores.runs.search_experiments(
        SearchQuery(
            filter=f"name ILIKE '%{text}%'" if wanted else "",
            order_by=["last_update_time DESC"],
            lifecycle=Lifecycle.DELETED if deleted else Lifecycle.ACTIVE,
            limit=_PAGE,
            page_token=asked.query.get("after") or None,
        )
    )
    return page(asked, "experiments.html", found=found, wanted=wanted, deleted=deleted)


PAGES = [("GET", "/experiments", show)]
