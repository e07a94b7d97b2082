"""How a deployment of this machine did in the last hour: a line for each look at it, in a file beside its others."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.deployments.traffic import Buckets, quantile
from toolkit.ids import now_ms

KEPT = 3_600.0
"""Seconds for which looks are read."""

_FILE = "course.jsonl"
_LARGEST = 2**19  # bytes of the file: some two hours; then the older half goes
_NUMBERS = ("time", "seconds", "release", "status", "took", "requests", "refused", "failed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What one look at a release found.

    Attributes:
        time: When, in milliseconds since 1970.
        seconds: How long it is since the look before.
        release: The number of the release that serves.
        status: What ``/readyz`` answered; 0: it did not.
        message: What was wrong, in one line.
        took: Seconds that this answer took.
        requests: How many requests to score were answered since the look before.
        refused: How many of them with 4xx.
        failed: How many with 5xx.
        buckets: How many took no longer than each bound, in seconds.
    """

    time: int
    seconds: float
    release: int
    status: int
    message: str = ""
    took: float = 0.0
    requests: int = 0
    refused: int = 0
    failed: int = 0
    buckets: Buckets = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether the release said that it is ready."""
        return self.status == 200


def read(home: Path, deployment: str) -> Sequence[Look]:
    """Return the looks at a deployment in the last hour, the oldest first; lines that are none are passed over."""
    since = now_ms() - KEPT * 1000
    try:
        lines = _file(home, deployment).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = (_look(line) for line in lines)
    return [each for each in found if each is not None and each.time >= since]


def merged(buckets: Sequence[Buckets]) -> dict[float, float]:
    """Return what several counted together."""
    told: dict[float, float] = defaultdict(float)
    for each in buckets:
        for bound, count in each.items():
            told[bound] += count
    return dict(told)


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What several looks say together.

    Attributes:
        seconds: The time that they cover.
        requests: How many requests to score were answered.
        refused: How many of them with 4xx.
        failed: How many with 5xx.
        median: Seconds that half of the answers did not exceed; None where there were none.
        slow: Seconds that 95 of 100 answers did not exceed.
    """

    seconds: float
    requests: int
    refused: int
    failed: int
    median: float | None
    slow: float | None

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def share_failed(self) -> float | None:
        """Which share failed by the service's own fault; None where nothing was asked."""
        return self.failed / self.requests if self.requests else None


def summary(looks: Sequence[Look]) -> Summary:
    """Return what looks say together."""
    buckets = merged([each.buckets for each in looks])
    return Summary(
        seconds=sum(each.seconds for each in looks),
        requests=sum(each.requests for each in looks),
        refused=sum(each.refused for each in looks),
        failed=sum(each.failed for each in looks),
        median=quantile(buckets, 0.5),
        slow=quantile(buckets, 0.95),
    )


def _file(home: Path, deployment: str) -> Path:
    return home / "deployments" / deployment / _FILE


def leave(home: Path, deployment: str, look: Look) -> None:
    """Add a look to a deployment's file; one that is gone meanwhile gets no folder again.

    Args:
        home: Toolkit's home.
        deployment: The deployment's name.
        look: What was found.

    Raises:
        OSError: The file cannot be written.
    """
    file = _file(home, deployment)
    if not file.parent.is_dir():
        return
    told = {name: getattr(look, name) for name in _NUMBERS}
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({**told, "message": look.message, "buckets": _written(look.buckets)}) + "\n")
    if file.stat().st_size > _LARGEST:
        kept = file.read_bytes().splitlines(keepends=True)
        unfinished = file.with_name(f".{_FILE}.{os.getpid()}")
        unfinished.write_bytes(b"".join(kept[len(kept) // 2 :]))
        unfinished.replace(file)


def _written(buckets: Buckets) -> list[tuple[str, float]]:
    """Return counts as a line holds them: of those bounds that nothing kept below only the greatest."""
    bounds = sorted(buckets)
    empty = sum(not buckets[bound] for bound in bounds)
    return [(str(bound), buckets[bound]) for bound in bounds[max(0, empty - 1) :]] if empty < len(bounds) else []


def _look(line: str) -> Look | None:
    try:
        told: dict[str, Any] = json.loads(line)
        numbers = {name: told[name] for name in _NUMBERS}
        buckets = {float(bound): float(count) for bound, count in told["buckets"]}
        return Look(**numbers, message=str(told["message"]), buckets=buckets)
    except (ValueError, KeyError, TypeError):
        return None
