"""A session with Prefect's server: the settings that a run needs, its logs, its wish to cancel, its artifacts.

Importing this module imports Prefect, which takes most of a second.
"""

from __future__ import annotations

import contextvars
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
from prefect import context
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectException
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    temporary_settings,
)

from toolkit.flows.stop import Stop

logger = logging.getLogger(__name__)

_CANCEL_POLL = 1.0  # seconds between looks at the flow run's state
_LOG_INTERVAL = 0.5  # seconds that lines are gathered before they go into one record
_LOG_SIZE = 20_000  # characters of one record; the server takes 25,000 from a hosted client

_AWAY = 60.0  # seconds that the server is not asked to keep artifacts after it did not answer
_away_until = 0.0

PREFECT_FAILURES = (PrefectException, httpx.HTTPError, OSError, RuntimeError)
"""What talking to Prefect's server may raise while a step is doing well without it."""


@contextmanager
def prefect_settings(api_url: str) -> Iterator[None]:
    """Use a server, without what costs a run time: the heartbeat alone makes each flow wait a second at its end."""
    updates: dict[Any, object] = {
        PREFECT_API_URL: api_url,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY: False,
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
    }
    if "://127.0.0.1" in api_url:  # a server on this machine is there or is not: waiting for it helps nobody
        updates[PREFECT_CLIENT_MAX_RETRIES] = 2
    with temporary_settings(updates=updates), _for_all_threads():
        yield


@contextmanager
def _for_all_threads() -> Iterator[None]:
    """Let the settings of this context be those of contexts that have none.

    Some of Prefect's threads begin with none (the one that takes messages from a pool of processes): with the settings
    of before, such a thread starts a server of its own, and waits for it.
    """
    before = context.GLOBAL_SETTINGS_CONTEXT
    context.GLOBAL_SETTINGS_CONTEXT = context.SettingsContext.get() or before
    try:
        yield
    finally:
        context.GLOBAL_SETTINGS_CONTEXT = before


def hush_console() -> None:
    """Keep Prefect's log off the terminal, where our own lines are; its server gets all of it as ever."""
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in list(logging.Logger.manager.loggerDict))]
    for owner in loggers:
        if owner.name == "root" or owner.name.startswith("prefect"):
            for handler in owner.handlers:
                if isinstance(handler, PrefectConsoleHandler):
                    handler.setLevel(logging.CRITICAL + 1)
    for name in ("prefect._internal", "prefect._internal.concurrency"):  # what its threads complain of
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    logging.raiseExceptions = False  # else its handler prints each failure to reach a server that is gone


class LineLog:
    """Gathers lines of output into records of Prefect's log, so that a chatty command costs it little."""

    def __init__(self, target: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        self._target = target
        self._lines: list[str] = []
        self._size = 0
        self._sent = 0.0

    def write(self, line: str) -> None:
        """Take a line."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _LOG_SIZE or time.monotonic() - self._sent >= _LOG_INTERVAL:
            self.flush()

    def flush(self) -> None:
        """Send what was gathered."""
        if self._lines:
            self._target.info("%s", "\n".join(self._lines)[: _LOG_SIZE * 2])
            self._lines.clear()
            self._size = 0
        self._sent = time.monotonic()


class CancelWatch:
    """Looks whether somebody cancelled the flow run in Prefect, and turns that into a wish to stop."""

    def __init__(self, flow_run_id: str, stop: Stop, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._flow_run_id = UUID(flow_run_id)
        self._stop = stop
        self._over = threading.Event()
        context = contextvars.copy_context()  # Prefect's settings, the server's address among them, are in it
        self._thread = threading.Thread(
            target=context.run, args=(self._watch,), name="toolkit-cancel-watch", daemon=True
        )
        self.cancelled = False

    def __enter__(self) -> CancelWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _watch(self) -> None:
        if self._over.wait(_CANCEL_POLL):
            return
        told = False
        with get_client(sync_client=True) as client:
            while not self._over.is_set():
                try:
                    state = client.read_flow_run(self._flow_run_id).state
                except PREFECT_FAILURES as error:
                    logger.debug("Prefect's server did not tell the flow run's state: %s", error)
                    if not told:
                        self._tell("Prefect's server does not answer; the run goes on without it")
                        told = True
                else:
                    if state is not None and state.type in (StateType.CANCELLING, StateType.CANCELLED):
                        self.cancelled = True
                        self._stop.request("cancelled in Prefect", exit_code=1)
                        return
                self._over.wait(_CANCEL_POLL)


def save_markdown(key: str, markdown: str, description: str) -> None:
    """Make an artifact in Prefect, shown with the task run or flow run that this code is inside of."""
    global _away_until
    if time.monotonic() < _away_until:
        return
    clean = re.sub(r"[^a-z0-9-]+", "-", key.lower()).strip("-") or "run"
    try:
        Artifact(type="markdown", key=clean, description=description, data=markdown).create()
    except PREFECT_FAILURES as error:
        _away_until = time.monotonic() + _AWAY
        logger.debug("the artifact %s was not saved in Prefect: %s", clean, error)
