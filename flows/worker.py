"""A Prefect worker as a long-lived process: it runs what is deployed to a work pool. Importing this imports Prefect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prefect.workers.base import BaseWorker

from toolkit.errors import InvalidValue
from toolkit.flows.prefect_session import prefect_settings

_PACKAGES = {"docker": "prefect-docker", "kubernetes": "prefect-kubernetes"}


def serve(
    api_url: str, pool: str, kind: str, *, name: str | None, limit: int | None, report: Callable[[str], None]
) -> None:
    """Run what is deployed to a work pool until the process is told to end.

    Args:
        api_url: Prefect's API address.
        pool: The work pool.
        kind: What its workers start.
        name: Name of this worker; default: Prefect makes one up.
        limit: How many flow runs at the same time; ``None``: as many as come.
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
        asyncio.run(worker.start(printer=lambda *_: None))
