"""A Prefect worker as a long-lived process: it runs what is deployed to a work pool. Importing this imports Prefect."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
from prefect.workers.base import BaseWorker

from toolkit.errors import InvalidValue
from toolkit.flows.prefect_session import prefect_settings

_PATIENCE = 10.0  # seconds that a flow run's process gets beside the grace of its steps
_POLL = 0.2
_PACKAGES = {"docker": "prefect-docker", "kubernetes": "prefect-kubernetes"}


def serve(
    api_url: str,
    pool: str,
    kind: str,
    *,
    name: str | None,
    limit: int | None,
    grace: float,
    report: Callable[[str], None],
) -> None:
    """Run what is deployed to a work pool until the process is told to end.

    Args:
        api_url: Prefect's API address.
        pool: The work pool.
        kind: What its workers start.
        name: Name of this worker; default: Prefect makes one up.
        limit: How many flow runs at the same time; ``None``: as many as come.
        grace: Seconds that steps get to end.
        report: Takes lines of progress.

    Raises:
        InvalidValue: What starts that kind is not installed.
    """
    worker_class = BaseWorker.get_worker_class_from_type(kind)
    if worker_class is None:
        package = _PACKAGES.get(kind, f"the package of Prefect's for {kind!r} work pools")
        raise InvalidValue(f"work pool {pool!r} is a {kind} pool: install {package} to serve it from here")
    with prefect_settings(api_url):
        worker = worker_class(work_pool_name=pool, name=name, limit=limit, create_pool_if_not_found=False)
        report(f"worker {worker.name} serves work pool {pool}; Ctrl-C ends it")
        asyncio.run(_work(worker, grace))
    report(f"worker {worker.name} has ended")


async def _work(worker: BaseWorker[Any, Any, Any], grace: float) -> None:
    """Work until SIGINT or SIGTERM; what runs here is told to end, and waited for. A second one ends all at once."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    endings: list[asyncio.Task[None]] = []

    def end() -> None:
        if endings:
            task.cancel()
        else:
            endings.append(loop.create_task(_end_runs(task, grace)))

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    with suppress(asyncio.CancelledError):
        await worker.start(printer=lambda *_: None)


async def _end_runs(task: asyncio.Task[Any], grace: float) -> None:
    """Let the processes of flow runs end in order, then end the worker."""
    waited, told = 0.0, set[int]()
    try:
        while running := [child for child in psutil.Process().children() if child.is_running()]:
            for child in running:
                if child.pid not in told:
                    told.add(child.pid)
                    with suppress(psutil.NoSuchProcess):
                        child.terminate()
            if waited >= grace + _PATIENCE:
                break
            await asyncio.sleep(_POLL)
            waited += _POLL
    finally:
        task.cancel()
