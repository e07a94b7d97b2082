"""The history of a metric in SQL."""

from __future__ import annotations

from sqlalchemy import Connection, select, tuple_

from toolkit.db.tables import metric_keys, metrics
from toolkit.tracking import paging
from toolkit.tracking.limits import is_key
from toolkit.tracking.number import from_stored
from toolkit.tracking.records import Metric, Page
from toolkit.tracking.sql_runs import find

_ORDER = (metrics.c.step, metrics.c.timestamp, metrics.c.value, metrics.c.special)


def page(connection: Connection, run_id: str, key: str, limit: int, page_token: str | None) -> Page[Metric]:
    """Return points of a metric, ordered by step, timestamp, value.

    Raises:
        InvalidValue: The page token is none of this list.
        NotFound: There is no such run.
    """
    run = find(connection, run_id).key
    position = None if page_token is None else paging.decode(page_token, "history", (int, int, float, int))
    number = _key_id(connection, key)
    if number is None:
        return Page(items=[])
    points = select(*_ORDER).where(metrics.c.run == run, metrics.c.key == number).order_by(*_ORDER)
    if position is not None:
        points = points.where(tuple_(*_ORDER) > tuple_(*position))
    rows = connection.execute(points.limit(limit + 1)).all()
    token = paging.encode("history", tuple(rows[limit - 1])) if len(rows) > limit else None
    items = [
        Metric(key=key, value=from_stored(value, special), timestamp=timestamp, step=step)
        for step, timestamp, value, special in rows[:limit]
    ]
    return Page(items=items, next_page_token=token)


def _key_id(connection: Connection, key: str) -> int | None:
    if not is_key(key):
        return None
    number: int | None = connection.execute(select(metric_keys.c.id).where(metric_keys.c.name == key)).scalar()
    return number
