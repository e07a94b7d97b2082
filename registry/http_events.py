"""Events that a toolkit server tells."""

from __future__ import annotations

from toolkit.registry.events import Event, EventQuery
from toolkit.tracking.http_calls import Calls, understood
from toolkit.tracking.http_codec import Json
from toolkit.transport.client import HttpClient


@understood
def read_events(client: HttpClient, query: EventQuery) -> list[Event]:
    """Return events, the oldest first.

    Raises:
        InvalidValue: No model can have this name.
        StoreError: The server cannot be used.
    """
    events = ",".join(query.events) or None
    told = Calls(client).get("/registry/events", after=query.after, limit=query.limit, name=query.name, events=events)
    return [
        Event(
            id=each["sequence"],
            event=each["event"],
            name=each["name"],
            time=each["time"],
            data=each["data"],
            version=each["version"],
        )
        for each in told["events"]
    ]


def event_out(event: Event) -> Json:
    """Return an event as JSON."""
    return {
        "sequence": event.id,
        "event": event.event,
        "name": event.name,
        "version": event.version,
        "time": event.time,
        "data": dict(event.data),
    }
