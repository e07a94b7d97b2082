"""A store that MLflow made, and stores of ours beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit import settings
from toolkit.recording.stores import Stores
from toolkit.wiring.opened import open_stores


@dataclass(frozen=True, kw_only=True)
class MadeByMlflow:
    """A store of MLflow.

    Attributes:
        uri: What to import.
        artifacts_from: The option that says where its artifacts are.
        expected: What MLflow reads from it: experiments by id.
        folder: Where it lies.
    """

    uri: str
    artifacts_from: tuple[str, ...]
    expected: dict[str, Any]
    folder: Path


@contextmanager
def opened_at(home: Path) -> Iterator[Stores]:
    """Open the stores of a home."""
    values = settings.load().model_copy(update={"home": home})
    stores = open_stores(values)
    try:
        yield stores
    finally:
        stores.close()
