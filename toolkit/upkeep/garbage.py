"""What a collection of garbage shall remove, and what it found: plain records."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from toolkit.errors import InvalidValue

DAY_MS = 86_400_000

Needed = Callable[[str], str | None]
"""Given the id of a run or a logged model, says what needs its files (``version 3 of model wine``), or ``None``."""

_AGE = re.compile(r"(?:([\d.]+)d)?(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?")
_UNITS_MS = (DAY_MS, 3_600_000, 60_000, 1_000)


def nothing_registered(run_id: str) -> str | None:  # noqa: ARG001 - the form of `Needed`
    """Say that no registered model needs a run: what holds where there is no registry."""
    return None


def read_age(text: str) -> int:
    """Return the milliseconds of an age such as ``30d`` or ``1d2h3m4s`` (MLflow's form).

    Raises:
        InvalidValue: It has another form.
    """
    found = _AGE.fullmatch(text)
    try:
        parts = [float(part) for part in found.groups(default="0")] if found and text else None
    except ValueError:
        parts = None
    if parts is None:
        raise InvalidValue(f"{text!r} is no age: wanted one such as 30d, 12h or 1d2h3m4s")
    return int(sum(part * unit for part, unit in zip(parts, _UNITS_MS, strict=True)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """What to collect.

    Attributes:
        remove: Whether to remove what is found; else it is only counted.
        older_than_ms: Only runs and experiments that were deleted at least this long ago.
        run_ids: Only these runs; they must be deleted.
        experiment_ids: Only these experiments, with all their runs; they must be deleted.
        lease_ms: Files that no run lists, and leftovers, are garbage when nobody has written them for this long: a
            transfer that goes on is never touched.
        unknown_runs: Whether files of runs that this store does not know are garbage too. They may be another store's
            that shares the folder.
    """

    remove: bool = False
    older_than_ms: int = 0
    run_ids: Sequence[str] = ()
    experiment_ids: Sequence[str] = ()
    lease_ms: int = 7 * DAY_MS
    unknown_runs: bool = False

    @property
    def chosen(self) -> bool:
        """Whether only certain runs and experiments are meant; then nothing is swept."""
        return bool(self.run_ids or self.experiment_ids)


@dataclass(kw_only=True, slots=True)
class Tally:
    """A number of things and their size in bytes."""

    count: int = 0
    size: int = 0

    def add(self, size: int = 0) -> None:
        """Count one more."""
        self.count += 1
        self.size += size


@dataclass(kw_only=True, slots=True)
class Found:
    """What was found, and removed if that was wanted.

    Attributes:
        runs: Deleted runs.
        models: Deleted logged models.
        experiments: Deleted experiments.
        artifacts: Files of those runs and models.
        orphans: Files of known runs that no run lists.
        unknown: Files of runs that this store does not know; removed only if that was wanted.
        staging: Uploads that were broken off.
        leftovers: Working folders of steps that failed.
        foreign: Files below the root that have no place in the scheme of runs; never removed.
        outside: Deleted runs whose artifacts lie outside the root; those files are never removed.
        kept: Deleted things that are kept, and why.
        failures: What could not be removed, and why.
    """

    runs: Tally = field(default_factory=Tally)
    models: Tally = field(default_factory=Tally)
    experiments: Tally = field(default_factory=Tally)
    artifacts: Tally = field(default_factory=Tally)
    orphans: Tally = field(default_factory=Tally)
    unknown: Tally = field(default_factory=Tally)
    staging: Tally = field(default_factory=Tally)
    leftovers: Tally = field(default_factory=Tally)
    foreign: Tally = field(default_factory=Tally)
    outside: Tally = field(default_factory=Tally)
    kept: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
