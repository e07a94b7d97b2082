"""Events in SQL, read by their numbers."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, select

from toolkit.db.engine import Database
from toolkit.db.tables import registry_events
from toolkit.registry import names
from toolkit.registry.events import Event, EventQuery


def read_events(database: Database, query: EventQuery) -> list[Event]:
    """Return events, the oldest first.

    Raises:
        InvalidValue: No model can have this name.
        StoreError: The database cannot be used.
    """
    if query.name is not None:
        names.check_name(query.name)

    def read() -> list[Event]:
        with database.read() as connection:
            return _page(connection, query)

    return database.persist(read)


def _page(connection: Connection, query: EventQuery) -> list[Event]:
    wanted = select(registry_events).where(registry_events.c.id > query.after)
    if query.name is not None:
        wanted = wanted.where(registry_events.c.model == query.name)
    if query.events:
        wanted = wanted.where(registry_events.c.event.in_(query.events))
    rows = connection.execute(wanted.order_by(registry_events.c.id).limit(query.limit)).all()
    return [event_in(row) for row in rows]


def event_in(row: Row[Any]) -> Event:
    """Return the event of a row of `registry_events`."""
    return Event(
        id=row.id,
        event=row.event,
        name=row.model,
        time=row.created,
        data=json.loads(row.body),
        version=row.version,
    )
