"""A registered version becomes a Bento: its model, its requirements and a service that a person can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltBento:
    """A Bento in BentoML's store.

    Attributes:
        tag: ``wine-quality:3``.
        digest: SHA-256 of all that it was built from, in hexadecimal: the same inputs give the same.
        path: Its folder in BentoML's store.
        model: The registered model's name.
        version: Its number.
        run_id: The run that made the model, where that is known.
        model_path: The model's folder (with its ``MLmodel``) in BentoML's store.
        made: Whether it was built now; False: it was there already.
    """

    tag: str
    digest: str
    path: Path
    model: str
    version: int
    run_id: str | None
    model_path: Path
    made: bool
