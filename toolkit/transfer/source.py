"""What can be imported: experiments and runs, given one after another, from whatever kind of store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from toolkit.tracking.records import Experiment, Metric, Run, RunSize


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFile:
    """A file of a run that can be read.

    Attributes:
        path: Relative to the run's artifact root.
        size: In bytes.
        created: When it was stored, milliseconds since 1970 UTC.
        open: Opens it for reading.
        sha256: Digest of its content, where the source knows it.
    """

    path: str
    size: int
    created: int
    open: Callable[[], BinaryIO]
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRun:
    """A run of a source: read its points, then its files, before the next run is asked for; or neither.

    Attributes:
        run: The run, with parameters, tags and inputs. Its experiment id is the source's.
        points: Gives all its metric points.
        files: Gives its files.
        size: Says how much of each it has, counted by the source and not while it is read.
    """

    run: Run
    points: Callable[[], Iterator[Metric]]
    files: Callable[[], Iterator[SourceFile]]
    size: Callable[[], RunSize]


class Source(Protocol):
    """A store to import from. It is never written to."""

    title: str
    """What it is, as messages name it: ``MLflow database (schema 1b5f0d9ad7c1)``."""

    own_files: bool
    """Whether its files are its own, and cannot be referred to where they are."""

    def experiments(self) -> Sequence[Experiment]:
        """Return all experiments, deleted ones too."""
        ...

    def count_runs(self, experiment_ids: Sequence[str]) -> int:
        """Return how many runs these experiments have."""
        ...

    def runs(self, experiment_ids: Sequence[str]) -> Iterator[SourceRun]:
        """Give the runs of these experiments, deleted ones too."""
        ...

    def left_out(self) -> Mapping[str, int]:
        """Return what there is that no import takes along, by name and number."""
        ...

    def notes(self) -> Sequence[str]:
        """Return what turned out while it was read, and a user should know."""
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...


def local_file(path: str, file: Path) -> SourceFile:
    """Return a file of this machine as the file of a run."""
    found = file.stat()
    return SourceFile(
        path=path, size=found.st_size, created=max(0, found.st_mtime_ns // 1_000_000), open=lambda: file.open("rb")
    )
