"""What an import shall do, and what it did: plain records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum

from toolkit.tracking.records import RunSize


class Bytes(StrEnum):
    """What happens to the bytes of artifacts."""

    COPY = "copy"
    REFERENCE = "reference"
    NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What to import.

    Attributes:
        experiments: Only experiments of these names or ids; empty: all.
        artifacts: Copy them below our root; or leave them where they are and list them with size and digest; or take
            only their address along.
    """

    experiments: Sequence[str] = ()
    artifacts: Bytes = Bytes.COPY


@dataclass(kw_only=True, slots=True)
class Sums:
    """How much a source has, or how much of it the target has after the import."""

    experiments: int = 0
    runs: int = 0
    params: int = 0
    tags: int = 0
    points: int = 0
    artifacts: int = 0
    inputs: int = 0

    def add(self, size: RunSize) -> None:
        """Add a run."""
        self.runs += 1
        for name in ("params", "tags", "points", "artifacts", "inputs"):
            setattr(self, name, getattr(self, name) + getattr(size, name))

    def rows(self, other: Sums) -> list[tuple[str, int, int]]:
        """Return the numbers of both, by name."""
        return [(one.name, getattr(self, one.name), getattr(other, one.name)) for one in fields(self)]


@dataclass(kw_only=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        title: What it read from.
        total: How many runs there are to import.
        new: Runs that it made, or went on with.
        there: Runs that had been imported before.
        points: Metric points that it wrote.
        files: Files that it copied or listed.
        size: Bytes of those.
        source: What the source has.
        target: What the target has of it.
        moved: Experiments that have another id now: (name, id before, id now).
        left_out: What no import takes along.
        notes: What a user should know.
        failures: What could not be imported, and why.
    """

    title: str
    total: int = 0
    new: int = 0
    there: int = 0
    points: int = 0
    files: int = 0
    size: int = 0
    source: Sums = field(default_factory=Sums)
    target: Sums = field(default_factory=Sums)
    moved: list[tuple[str, str, str]] = field(default_factory=list)
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        """How many runs were looked at."""
        return self.new + self.there
