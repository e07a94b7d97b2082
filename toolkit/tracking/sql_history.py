"""The history of a metric in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, ScalarSelect, Select, select, tuple_

from toolkit.db.dialect import numbers
from toolkit.db.tables import metric_keys, metrics
from toolkit.tracking import paging, sampling
from toolkit.tracking.limits import is_key
from toolkit.tracking.number import from_stored
from toolkit.tracking.records import Metric, Page
from toolkit.tracking.sql_runs import find

EXACT = 10_000
"""Histories of more points are sampled by their steps."""

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
    return Page(items=_metrics(key, rows[:limit]), next_page_token=token)


def sample(
    connection: Connection, run_id: str, key: str, points: int, steps: tuple[int | None, int | None], dialect: str
) -> list[Metric]:
    """Return points of a metric that stand for its history, ordered by step, timestamp, value.

    A history of up to `EXACT` points is spread by its points. A longer one is spread by its steps, or by its timestamps
    where all points are of one step: each point is one look into an index, however long the history is.

    Args:
        connection: To the database.
        run_id: The run.
        key: The metric.
        points: At most so many.
        steps: The first and the last step wanted; ``None``: no bound.
        dialect: Kind of database.

    Raises:
        NotFound: There is no such run.
    """
    run = find(connection, run_id).key
    number = _key_id(connection, key)
    if number is None:
        return []
    within = [metrics.c.run == run, metrics.c.key == number]
    within += [metrics.c.step >= steps[0]] if steps[0] is not None else []
    within += [metrics.c.step <= steps[1]] if steps[1] is not None else []
    history = select(*_ORDER).where(*within)
    last = history.order_by(*(column.desc() for column in _ORDER)).limit(1)
    if points > 1:
        rows = connection.execute(history.order_by(*_ORDER).limit(EXACT + 1)).all()
        if len(rows) <= EXACT:
            return _metrics(key, sampling.chosen(rows, points))
    first, final = connection.execute(history.order_by(*_ORDER).limit(1)).first(), connection.execute(last).first()
    if first is None or final is None:
        return []
    if points <= 2:
        return _metrics(key, (first, final)[-points:])
    axis = metrics.c.timestamp if first.step == final.step else metrics.c.step
    if axis is metrics.c.timestamp:
        within.append(metrics.c.step == first.step)

    def at_or_after(places: Sequence[int]) -> Sequence[int]:
        asked = numbers(places, dialect)
        following = select(axis).where(*within, axis >= asked.c.value).order_by(axis).limit(1).scalar_subquery()
        return connection.execute(select(following).select_from(asked)).scalars().all()

    places = sampling.spread(getattr(first, axis.name), getattr(final, axis.name), points, at_or_after)
    between = connection.execute(_first_of(within, axis, places[1:-1], dialect)).all()
    return _metrics(key, (first, *sorted(between, key=tuple), final))


def _first_of(
    within: Sequence[ColumnElement[bool]], axis: ColumnElement[int], places: Sequence[int], dialect: str
) -> Select[*tuple[Any, ...]]:
    """Return the statement that gives the first point at each of these places."""
    asked = numbers(places, dialect)

    def least(column: ColumnElement[int]) -> ScalarSelect[int]:
        there = select(column).where(*within, axis == asked.c.value)
        return there.order_by(*_ORDER).limit(1).scalar_subquery()

    return select(*(least(column).label(column.name) for column in _ORDER)).select_from(asked)


def _metrics(key: str, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[Metric]:
    return [
        Metric(key=key, value=from_stored(value, special) if special else value, timestamp=timestamp, step=step)
        for step, timestamp, value, special in rows
    ]


def _key_id(connection: Connection, key: str) -> int | None:
    if not is_key(key):
        return None
    number: int | None = connection.execute(select(metric_keys.c.id).where(metric_keys.c.name == key)).scalar()
    return number
