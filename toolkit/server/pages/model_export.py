"""The history of a model or a version as a file: CSV for tables, JSON for programs."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.responses import Response

from toolkit.errors import InvalidValue
from toolkit.registry.history import MOST_CHANGES, Change, ChangeQuery
from toolkit.server.pages import times
from toolkit.server.pages.cells import plain

if TYPE_CHECKING:
    from toolkit.server.pages.asked import Asked

MOST = 100_000
_COLUMNS = ("id", "time", "user", "name", "version", "action", "key", "from", "to", "reason", "request")


def answer(asked: Asked, name: str, query: ChangeQuery) -> Response:
    """Return the changes that a query finds, all of them, as the address's ``format`` says.

    Args:
        asked: The request.
        name: What the file is called after.
        query: Which changes.

    Raises:
        InvalidValue: The format is neither csv nor json.
    """
    kind = asked.query.get("format", "csv")
    if kind not in ("csv", "json"):
        raise InvalidValue(f"the history is no {kind[:20]!r}: wanted csv or json")
    found: list[Change] = []
    query = replace(query, limit=MOST_CHANGES, page_token=None)
    while len(found) < MOST:
        page = asked.catalog.promotions.history(query)
        found += page.items
        if page.next_page_token is None:
            break
        query = replace(query, page_token=page.next_page_token)
    rows = [_row(each) for each in found[:MOST]]
    text = _csv(rows) if kind == "csv" else json.dumps({"schema": 1, "changes": rows}, ensure_ascii=False, indent=1)
    file = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"
    headers = {
        "content-disposition": f'attachment; filename="{file}-history.{kind}"',
        "cache-control": "private, no-cache",
        "x-content-type-options": "nosniff",
    }
    return Response(text, headers=headers, media_type="text/csv" if kind == "csv" else "application/json")


def _row(change: Change) -> dict[str, object]:
    told = (change.name, change.version, change.action.value, change.key, change.old, change.new, change.reason)
    return dict(zip(_COLUMNS, (change.id, times.iso(change.time), change.user, *told, change.request), strict=True))


def _csv(rows: list[dict[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    writer.writerows([[plain(each) if isinstance(each, str) else each for each in row.values()] for row in rows])
    return text.getvalue()
