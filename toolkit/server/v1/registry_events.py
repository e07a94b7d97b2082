"""Events of the registry in our API: by pages of their numbers, and as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from toolkit.errors import StoreBusy, StoreError
from toolkit.registry.events import MOST_EVENTS, EventQuery
from toolkit.registry.http_events import event_out
from toolkit.server.v1.context import Context, Here, answer
from toolkit.server.v1.records import Told
from toolkit.wiring.events import events_of

router = APIRouter(tags=["registry"])

MOST = 100
"""Listeners at a time."""

_EVERY = 0.5  # seconds between two looks
_TICK = 0.1  # seconds; how soon a server that stops ends its answers
_BREATH = 15.0  # seconds without news after which a listener is told that there are none

After = Annotated[int, Query(ge=0, lt=2**63, description="Only events with higher numbers than this.")]
Limit = Annotated[int, Query(ge=1, le=MOST_EVENTS, description="At most this many.")]
Name = Annotated[str | None, Query(description="Only those of this registered model, as it was called then.")]
Events = Annotated[str | None, Query(description="Only these kinds, with commas between them.")]


class EventTold(Told):
    """A change of the registry. Time in milliseconds since 1970 UTC."""

    sequence: int
    event: str
    name: str
    version: int | None
    time: int
    data: dict[str, Any]


class EventPage(Told):
    """Events, the oldest first; to go on, ask for those after the last one's number."""

    events: list[EventTold]


@router.get("/registry/events", response_model=EventPage)
def registry_events(
    here: Here, after: After = 0, limit: Limit = 100, name: Name = None, events: Events = None
) -> Response:
    """Return what was done to the registry, the oldest first, after an event's number."""
    return answer({"events": [event_out(each) for each in events_of(here.stores, _query(after, limit, name, events))]})


@router.get(
    "/registry/events/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def registry_event_stream(
    here: Here,
    after: After = 0,
    name: Name = None,
    events: Events = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Send events after a number, each as ``registry`` with its number as id, and those that come, as they come."""
    if last_event_id is not None and last_event_id.isdecimal():  # a listener that was cut off goes on
        after = min(int(last_event_id[:19]), 2**63 - 1)
    query = _query(after, 100, name, events)
    await run_in_threadpool(events_of, here.stores, query)
    listeners = here.listeners
    if len(listeners) >= MOST:
        raise StoreBusy(f"{MOST} listeners are being told of the registry: try again later")
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_stream(here, query), media_type="text/event-stream", headers=headers)


def _query(after: int, limit: int, name: str | None, events: str | None) -> EventQuery:
    kinds = tuple(each.strip() for each in events.split(",")) if events else ()
    return EventQuery(after=after, limit=limit, name=name, events=kinds)


async def _stream(here: Context, query: EventQuery) -> AsyncIterator[bytes]:
    mark = object()
    here.listeners.add(mark)
    try:
        spoke = time.monotonic()
        yield b": listening\n\n"
        while not here.stopping.is_set():
            try:
                found = await run_in_threadpool(events_of, here.stores, query)
            except StoreError:  # it may be back soon; the listener waits
                found = []
            for each in found:
                spoke = time.monotonic()
                text = json.dumps(event_out(each))
                yield f"id: {each.id}\nevent: registry\ndata: {text}\n\n".encode()
            if found:
                query = replace(query, after=found[-1].id)
                continue
            if time.monotonic() - spoke > _BREATH:
                spoke = time.monotonic()
                yield b": nothing new\n\n"
            await _pause(here)
    finally:
        here.listeners.discard(mark)


async def _pause(here: Context) -> None:
    ends = time.monotonic() + _EVERY
    while time.monotonic() < ends and not here.stopping.is_set():
        await asyncio.sleep(_TICK)
