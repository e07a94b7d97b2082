"""The models of a store, together: those that runs logged, and those that were registered."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.registry.store import RegistryStore
from toolkit.tracking.logged_models import LoggedModelStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalog:
    """Where models are recorded.

    Attributes:
        logged: Models that runs logged.
        registered: Registered models and their versions.
    """

    logged: LoggedModelStore
    registered: RegistryStore
