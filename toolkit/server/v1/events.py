"""What becomes of a run, as server-sent events: a page that shows one need not ask again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool

from toolkit.errors import NotFound, StoreBusy, StoreError
from toolkit.server.v1.context import Context, Here
from toolkit.server.v1.watch import Watched

router = APIRouter(tags=["runs"])

MOST = 200
"""Listeners at a time."""

_EVERY = 0.5  # seconds between two looks at a run, however many listen
_TICK = 0.1  # seconds; how soon a server that stops ends its answers
_BREATH = 15.0  # seconds without news after which a listener is told that there are none


async def _look(here: Context, run_id: str, watched: Watched) -> None:
    """Read a run, unless it was read just now.

    Raises:
        ToolkitError: It cannot be read.
    """
    async with watched.lock:
        if time.monotonic() - watched.looked < _EVERY:
            return
        run = await run_in_threadpool(here.stores.runs.get_run, run_id)
        watched.told = to_json(here.run(run), inf_nan_mode="strings")
        watched.ended = run.info.status.terminal
        watched.looked = time.monotonic()


@router.get(
    "/runs/{run_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def run_events(here: Here, run_id: str) -> Response:
    """Send the run as event ``run`` now and whenever it changes, and ``end`` when it has ended or is gone."""
    await run_in_threadpool(here.stores.runs.get_run, run_id)
    if here.watch.listeners >= MOST:
        raise StoreBusy(f"{MOST} listeners are being told of runs: try again later")
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_events(here, run_id), media_type="text/event-stream", headers=headers)


async def _events(here: Context, run_id: str) -> AsyncIterator[bytes]:
    watched = here.watch.join(run_id)
    try:
        seen, spoke = b"", time.monotonic()
        while not here.stopping.is_set():
            try:
                await _look(here, run_id, watched)
            except NotFound:
                break
            except StoreError:  # it may be back soon; the listener waits
                watched.looked = time.monotonic()
            if watched.told != seen:
                seen, spoke = watched.told, time.monotonic()
                yield b"event: run\ndata: " + seen + b"\n\n"
            if watched.ended:
                break
            if time.monotonic() - spoke > _BREATH:
                spoke = time.monotonic()
                yield b": nothing new\n\n"
            await _pause(here)
        yield b"event: end\ndata: {}\n\n"
    finally:
        here.watch.leave(run_id)


async def _pause(here: Context) -> None:
    ends = time.monotonic() + _EVERY
    while time.monotonic() < ends and not here.stopping.is_set():
        await asyncio.sleep(_TICK)
