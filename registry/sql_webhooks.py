"""Who is told of events, and deliveries of them, in SQL.

Any number of processes deliver at the same time. A delivery is claimed by moving on the time at which it is due; that
whoever claimed it has died is known by that time's coming. So each is made at least once, and normally once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, Row, func, select, update

from toolkit.db.dialect import insert
from toolkit.db.engine import Database
from toolkit.db.retry import cautious, persistent
from toolkit.db.schema import ensure_schema
from toolkit.db.tables import registry_deliveries, registry_events, registry_webhooks
from toolkit.errors import AlreadyExists, Conflict, NotFound
from toolkit.ids import now_ms
from toolkit.registry.events import Claim, Delivery, DeliveryState, Event, Kind, Webhook
from toolkit.registry.sql_events import event_in

_BATCH = 200
_EVENT: Sequence[Column[Any]] = (
    registry_events.c.id,
    registry_events.c.event,
    registry_events.c.model,
    registry_events.c.version,
    registry_events.c.body,
    registry_events.c.created,
)


class SqlWebhookStore:
    """Webhooks and deliveries in a SQL database.

    Args:
        database: Where; who opened it closes it. Its schema is made or upgraded if need be.

    Raises:
        SchemaError: The database is somebody else's, or newer than this code.
        StoreError: The database cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self._dialect = database.dialect
        ensure_schema(database)

    # -- who is told ---------------------------------------------------------------------------------

    @cautious
    def add(self, webhook: Webhook) -> Webhook:
        """Add who is to be told, of what happens from now on; return it with its key.

        Raises:
            AlreadyExists: There is one of this name.
            InvalidValue: It cannot be so.
        """
        webhook.check()
        with self._db.write() as connection:
            if self._find(connection, webhook.name) is not None:
                raise AlreadyExists(f"there is a webhook {webhook.name} already: remove it first, or take another name")
            values = {
                "name": webhook.name,
                "kind": webhook.kind.value,
                "target": webhook.target,
                "events": json.dumps(list(webhook.events)),
                "models": json.dumps(list(webhook.models)),
                "parameters": json.dumps(dict(webhook.parameters)),
                "secret": webhook.secret,
                "created": now_ms(),
            }
            connection.execute(registry_webhooks.insert().values(**values))
            return _webhook(self._row(connection, webhook.name))

    @persistent
    def get(self, name: str) -> Webhook:
        """Return one of them.

        Raises:
            NotFound: There is none of this name.
        """
        with self._db.read() as connection:
            return _webhook(self._row(connection, name))

    @persistent
    def every(self) -> Sequence[Webhook]:
        """Return all of them, by name."""
        with self._db.read() as connection:
            rows = connection.execute(select(registry_webhooks).order_by(registry_webhooks.c.name)).all()
            return [_webhook(row) for row in rows]

    @cautious
    def remove(self, name: str) -> None:
        """Remove one of them, with what it was still to be told.

        Raises:
            NotFound: There is none of this name.
        """
        with self._db.write() as connection:
            row = self._row(connection, name)
            connection.execute(registry_deliveries.delete().where(registry_deliveries.c.webhook == row.id))
            connection.execute(registry_webhooks.delete().where(registry_webhooks.c.id == row.id))

    def _find(self, connection: Connection, name: str) -> Row[Any] | None:
        return connection.execute(select(registry_webhooks).where(registry_webhooks.c.name == name)).one_or_none()

    def _row(self, connection: Connection, name: str) -> Row[Any]:
        row = self._find(connection, name)
        if row is None:
            known = connection.execute(select(registry_webhooks.c.name).order_by(registry_webhooks.c.name)).scalars()
            raise NotFound(f"there is no webhook {name!r}: there are {', '.join(known) or 'none'}")
        return row

    # -- deliveries ----------------------------------------------------------------------------------

    @persistent
    def spread(self) -> bool:
        """Make deliveries of events that none were made of; return whether there may be more such events."""
        open_events = select(registry_events.c.id).where(registry_events.c.handled.is_(None))
        with self._db.read() as connection:
            if connection.execute(open_events.limit(1)).first() is None:
                return False
        with self._db.write() as connection:
            wanted = select(*_EVENT).where(registry_events.c.handled.is_(None)).order_by(registry_events.c.id)
            events = [event_in(row) for row in connection.execute(wanted.limit(_BATCH).with_for_update()).all()]
            webhooks = [_webhook(row) for row in connection.execute(select(registry_webhooks)).all()]
            now = now_ms()
            made = [_new(event, each, now) for event in events for each in webhooks if each.wants(event)]
            if made:
                connection.execute(insert(registry_deliveries, self._dialect).on_conflict_do_nothing(), made)
            done = update(registry_events).where(registry_events.c.id.in_([event.id for event in events]))
            connection.execute(done.values(handled=now))
            return len(events) == _BATCH

    @persistent
    def claim(self, *, lease_ms: int, waiting: bool = False, passed: int = 0) -> Claim | None:
        """Take the next delivery that is due, for as long as the lease; ``None``: nothing is due.

        Args:
            lease_ms: Milliseconds after which another one may take it, unless it was recorded what became of it.
            waiting: Take also what waits to be tried again, but nothing that another one has claimed.
            passed: Only those with higher numbers than this.
        """
        row = registry_deliveries.c
        now = now_ms()
        wanted = select(row.id, row.due, row.tries).where(row.state == DeliveryState.PENDING.value, row.id > passed)
        if not waiting:
            wanted = wanted.where(row.due <= now)
        else:  # what is claimed has no message of its newest try yet
            wanted = wanted.where((row.due <= now) | row.message.is_not(None))
        while True:
            with self._db.read() as connection:
                found = connection.execute(wanted.order_by(row.id).limit(1)).one_or_none()
            if found is None:
                return None
            with self._db.write() as connection:
                mine = (
                    update(registry_deliveries)
                    .where(row.id == found.id, row.due == found.due, row.tries == found.tries)
                    .where(row.state == DeliveryState.PENDING.value)
                    .values(due=now_ms() + lease_ms, tries=found.tries + 1, message=None)
                )
                if connection.execute(mine).rowcount == 1:
                    return self._claimed(connection, found.id, found.tries + 1)

    def _claimed(self, connection: Connection, number: int, tries: int) -> Claim:
        delivery = registry_deliveries.c
        event = select(*_EVENT).join(registry_deliveries, registry_events.c.id == delivery.event)
        webhook = select(registry_webhooks).join(registry_deliveries, registry_webhooks.c.id == delivery.webhook)
        return Claim(
            delivery=number,
            webhook=_webhook(connection.execute(webhook.where(delivery.id == number)).one()),
            event=event_in(connection.execute(event.where(delivery.id == number)).one()),
            tries=tries,
        )

    @persistent
    def record(self, claim: Claim, state: DeliveryState, message: str, *, due: int | None = None) -> None:
        """Write down what a try came to, unless another one has claimed the delivery meanwhile.

        Args:
            claim: The try.
            state: What became of the delivery.
            message: What to tell people of it.
            due: When to try again, for one that is pending.
        """
        row = registry_deliveries.c
        with self._db.write() as connection:
            values = {"state": state.value, "message": message, "updated": now_ms()}
            if due is not None:
                values["due"] = due
            own = update(registry_deliveries).where(row.id == claim.delivery, row.tries == claim.tries)
            connection.execute(own.where(row.state == DeliveryState.PENDING.value).values(**values))

    @persistent
    def deliveries(
        self, *, webhook: str | None = None, state: DeliveryState | None = None, limit: int
    ) -> list[Delivery]:
        """Return deliveries, the newest first.

        Args:
            webhook: To this one only.
            state: In this state only.
            limit: At most this many.

        Raises:
            NotFound: There is no such webhook.
        """
        row = registry_deliveries.c
        wanted = (
            select(
                row.id.label("number"),
                registry_webhooks.c.name.label("webhook_name"),
                row.state,
                row.tries,
                row.due,
                row.updated,
                row.message,
                *_EVENT,
            )
            .select_from(registry_deliveries)
            .join(registry_events, registry_events.c.id == row.event)
            .join(registry_webhooks, registry_webhooks.c.id == row.webhook)
        )
        with self._db.read() as connection:
            if webhook is not None:
                wanted = wanted.where(row.webhook == self._row(connection, webhook).id)
            if state is not None:
                wanted = wanted.where(row.state == state.value)
            return [_delivery(each) for each in connection.execute(wanted.order_by(row.id.desc()).limit(limit)).all()]

    @cautious
    def again(self, number: int) -> None:
        """Let a delivery that failed for good be made again, from the first try on.

        Raises:
            Conflict: It did not fail.
            NotFound: There is none of this number.
        """
        row = registry_deliveries.c
        with self._db.write() as connection:
            found = connection.execute(select(row.state).where(row.id == number)).one_or_none()
            if found is None:
                raise NotFound(f"there is no delivery {number}: toolkit registry events deliveries lists them")
            if found.state != DeliveryState.FAILED.value:
                raise Conflict(f"delivery {number} is {found.state.lower()}: only one that failed is made again")
            values = {"state": DeliveryState.PENDING.value, "tries": 0, "due": now_ms()}
            connection.execute(update(registry_deliveries).where(row.id == number).values(**values))

    @persistent
    def waiting(self) -> int:
        """Return how many deliveries are still to be made."""
        row = registry_deliveries.c
        with self._db.read() as connection:
            count = select(func.count()).where(row.state == DeliveryState.PENDING.value)
            return connection.execute(count).scalar_one()


def _new(event: Event, webhook: Webhook, now: int) -> dict[str, Any]:
    return {
        "event": event.id,
        "webhook": webhook.id,
        "state": DeliveryState.PENDING.value,
        "tries": 0,
        "due": now,
        "updated": now,
    }


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(
        id=row.id,
        name=row.name,
        kind=Kind(row.kind),
        target=row.target,
        events=tuple(json.loads(row.events)),
        models=tuple(json.loads(row.models)),
        parameters=json.loads(row.parameters),
        secret=row.secret,
        created=row.created,
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.number,
        webhook=row.webhook_name,
        event=event_in(row),
        state=DeliveryState(row.state),
        tries=row.tries,
        due=row.due,
        updated=row.updated,
        message=row.message,
    )
