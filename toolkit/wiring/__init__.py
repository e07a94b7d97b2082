"""The composition root: settings become stores, services and runs. What is below takes them as arguments.

Here is only what each of our public packages does first; each other job has a module of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.recording import current
from toolkit.settings import load

if TYPE_CHECKING:
    from toolkit.recording.stores import Stores


class _BySettings:
    """What the settings name, opened when it is needed."""

    def open_stores(self, tracking_uri: str | None = None) -> Stores:
        """Open the stores that the settings name, or those at another tracking URI."""
        from toolkit.wiring.opened import journaled, open_stores  # noqa: PLC0415 - when a store is used

        settings = load()
        if tracking_uri:
            settings = settings.model_copy(update={"tracking_uri": tracking_uri})
        return journaled(open_stores(settings), settings)

    def prefect_api_url(self) -> str:
        """Return the API address of a Prefect server that answers."""
        from toolkit.wiring.services import local_services  # noqa: PLC0415 - when Prefect is used

        return local_services(load()).ensure_prefect(lambda _: None).api_url


def connect() -> None:
    """Let the verbs of `toolkit` open what the settings name, when they are first used."""
    current.connect(_BySettings())
