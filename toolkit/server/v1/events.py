"""What becomes of a run, as server-sent events: a page that shows one need not ask again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool

from toolkit.errors import NotFound, StoreBusy, StoreError
from toolkit.server.v1.context import Context, Here
from toolkit.server.v1.watch import Watched
from toolkit.tracking.records import SearchQuery

router = APIRouter(tags=["runs"])

MOST = 200
"""Listeners at a time."""

Steps = Annotated[bool, Query(description="Whether to tell of a workflow's steps, too.")]

_MOST_STEPS = 5_000
_EVERY = 0.5  # seconds between two looks at a run, however many listen
_TICK = 0.1  # seconds; how soon a server that stops ends its answers
_BREATH = 15.0  # seconds without news after which a listener is told that there are none


async def _look(here: Context, run_id: str, watched: Watched, *, steps: bool) -> None:
    """Read a run, and its steps if they are wanted, unless it was read just now.

    Raises:
        ToolkitError: It cannot be read.
    """
    async with watched.lock:
        if time.monotonic() - watched.looked < _EVERY:
            return
        run = await run_in_threadpool(here.stores.runs.get_run, run_id)
        if steps:
            watched.steps = await run_in_threadpool(_steps, here, run_id)
        watched.told = to_json(here.run(run), inf_nan_mode="strings")
        watched.ended = run.info.status.terminal
        watched.looked = time.monotonic()


def _steps(here: Context, run_id: str) -> bytes:
    """Return the runs of a workflow's steps and how each is, as JSON; of very many the newest."""
    query = SearchQuery(
        filter=f"tags.`toolkit.step` IS NOT NULL AND parent_run_id = '{run_id}'",
        order_by=["start_time DESC"],
        limit=_MOST_STEPS,
        fields=["tags.toolkit.step", "tags.toolkit.cached_from", "tags.toolkit.pruned"],
    )
    found = here.stores.runs.search_runs(query).items
    told = {
        run.info.run_id: {
            "step": run.data.tags["toolkit.step"],
            "run_name": run.info.run_name,
            "status": run.info.status,
            "cached": "toolkit.cached_from" in run.data.tags,
            "pruned": "toolkit.pruned" in run.data.tags,
        }
        for run in found
    }
    return to_json(told)


@router.get(
    "/runs/{run_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def run_events(here: Here, run_id: str, steps: Steps = False) -> Response:
    """Send the run as event ``run`` now and whenever it changes, and ``end`` when it has ended or is gone.

    With ``steps``, event ``steps`` says of a workflow's run how each run of a step is: its step, its name, its status.
    """
    await run_in_threadpool(here.stores.runs.get_run, run_id)
    if here.watch.listeners >= MOST:
        raise StoreBusy(f"{MOST} listeners are being told of runs: try again later")
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_events(here, run_id, steps=steps), media_type="text/event-stream", headers=headers)


_END = b"event: end\ndata: {}\n\n"


async def _events(here: Context, run_id: str, *, steps: bool) -> AsyncIterator[bytes]:
    key = f"{run_id} and its steps" if steps else run_id
    watched = here.watch.join(key)
    try:
        seen, known, spoke = b"", b"", time.monotonic()
        while not here.stopping.is_set():
            try:
                await _look(here, run_id, watched, steps=steps)
            except NotFound:
                yield _END
                return
            except StoreError:  # it may be back soon; the listener waits
                watched.looked = time.monotonic()
            if watched.told != seen:
                seen, spoke = watched.told, time.monotonic()
                yield b"event: run\ndata: " + seen + b"\n\n"
            if watched.steps != known:
                known, spoke = watched.steps, time.monotonic()
                yield b"event: steps\ndata: " + known + b"\n\n"
            if watched.ended:
                yield _END
                return
            if time.monotonic() - spoke > _BREATH:
                spoke = time.monotonic()
                yield b": nothing new\n\n"
            await _pause(here)
        # The server stops: nothing is said of the run, and whoever listens comes again.
    finally:
        here.watch.leave(key)


async def _pause(here: Context) -> None:
    ends = time.monotonic() + _EVERY
    while time.monotonic() < ends and not here.stopping.is_set():
        await asyncio.sleep(_TICK)
