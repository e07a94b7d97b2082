"""What was done to the registry, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from toolkit.errors import StoreError
from toolkit.recording.stores import Stores
from toolkit.settings import Settings
from toolkit.wiring.schedules import open_deployments

if TYPE_CHECKING:
    from toolkit.db.engine import Database
    from toolkit.registry.courier import Courier
    from toolkit.registry.events import Event, EventQuery
    from toolkit.transport.outward import Targets


def events_of(stores: Stores, query: EventQuery) -> Sequence[Event]:
    """Return what was done to the registry, as others are told of it, the oldest first.

    Raises:
        InvalidValue: No model can have this name.
        StoreError: The stores are neither a server's nor in a database of this process's, or cannot be used.
    """
    if stores.server is not None:
        from toolkit.registry import http_events  # noqa: PLC0415 - where there is a server

        return http_events.read_events(stores.server, query)
    from toolkit.registry.sql_events import read_events  # noqa: PLC0415 - SQLAlchemy

    if stores.database is None:
        raise StoreError(f"the events of {stores.place} are kept in no database, and by no server")
    return read_events(stores.database, query)


def webhook_targets(settings: Settings) -> Targets:
    """Return what webhooks may call.

    Raises:
        InvalidSetting: A network cannot be read.
    """
    from toolkit.transport.outward import Targets  # noqa: PLC0415 - when it is wanted

    return Targets.read(settings.webhook_private_targets, plain=settings.webhook_plain_http)


def open_courier(database: Database, settings: Settings, report: Callable[[str], None]) -> Courier:
    """Return what tells others of changes of the registry in a database.

    Args:
        database: Where the registry is.
        settings: Say what may be called.
        report: Takes lines of progress, such as of Prefect's server that starts.

    Raises:
        InvalidSetting: What may be called cannot be read.
        StoreError: The database cannot be used.
    """
    from toolkit.registry.courier import Courier  # noqa: PLC0415 - when it is wanted
    from toolkit.registry.sql_webhooks import SqlWebhookStore  # noqa: PLC0415 - SQLAlchemy
    from toolkit.transport.outward import post  # noqa: PLC0415 - as the courier

    def trigger(name: str, parameters: Mapping[str, str], key: str) -> str:
        with open_deployments(report) as deployments:
            return deployments.trigger(deployments.find(name), parameters, key=key).name

    sending = partial(post, targets=webhook_targets(settings), timeout=settings.webhook_timeout)
    return Courier(SqlWebhookStore(database), sending, trigger)
