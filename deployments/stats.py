"""How a deployment is doing: its traffic, by what the service counts, and how far its inputs have moved."""

from __future__ import annotations

import http.client
import itertools
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from toolkit.deployments.drift import ColumnDrift, Inputs, Reference, Verdict, references
from toolkit.deployments.traffic import Counts, Traffic, traffic
from toolkit.errors import InvalidValue, TargetFailed
from toolkit.ids import now_ms
from toolkit.tracking.system_tags import CONTEXT

if TYPE_CHECKING:
    from toolkit.deployments.records import Deployment, Release
    from toolkit.deployments.samples import Row
    from toolkit.tracking.records import DatasetInput

MOST_ROWS = 10_000
"""Sampled rows that are looked at at most, the newest."""

METRICS = "/metrics"

_TRAINING = ("training", "train")
_LARGEST = 16 * 2**20  # of an answer to /metrics
_TIMEOUT = 10.0
_PROFILED = 10_000  # rows that a profile is made of at most (`toolkit.data.profile.ROWS`)


@dataclass(frozen=True, kw_only=True, slots=True)
class InputDrift:
    """How the inputs of a release have moved from its model's training data.

    Attributes:
        rows: Sampled rows that were looked at.
        first: When the oldest of them came, in milliseconds since 1970.
        last: When the newest came.
        dataset: The name of the training data; None where no run recorded any that can be held against inputs.
        digest: Its digest.
        columns: How each column is, those that moved most first.
        others: Columns that came and of which the training data's profile says nothing.
    """

    rows: int
    first: int | None
    last: int | None
    dataset: str | None
    digest: str | None
    columns: Sequence[ColumnDrift]
    others: Sequence[str]

    @property
    def verdict(self) -> Verdict:
        """What is concluded of all columns together: the worst."""
        for verdict in (Verdict.DRIFTED, Verdict.MOVED, Verdict.SAME, Verdict.FEW):
            if any(column.verdict is verdict for column in self.columns):
                return verdict
        return Verdict.UNKNOWN


@dataclass(frozen=True, kw_only=True, slots=True)
class Stats:
    """How a deployment is doing.

    Attributes:
        deployment: The deployment.
        release: The release that serves; None where none does.
        traffic: What went over its endpoints.
        drift: How its inputs have moved.
        notes: What could not be found out, and what to do for it to be.
    """

    deployment: Deployment
    release: Release | None
    traffic: Traffic | None
    drift: InputDrift | None
    notes: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it; no infinite number is in it."""
        release = self.release
        told: dict[str, Any] = {
            "deployment": self.deployment.name,
            "target": self.deployment.target,
            "state": self.deployment.state.value,
            "address": self.deployment.address,
            "release": None if release is None else release.number,
            "model": None if release is None else release.model,
            "version": None if release is None else release.version,
            "traffic": None if self.traffic is None else asdict(self.traffic),
            "drift": None if self.drift is None else {**asdict(self.drift), "verdict": self.drift.verdict.value},
            "notes": list(self.notes),
        }
        for endpoint in told["traffic"]["endpoints"] if told["traffic"] else ():
            endpoint["quantiles"] = {f"p{share * 100:g}": value for share, value in endpoint["quantiles"].items()}
        return told


def stats_of(
    deployment: Deployment,
    release: Release | None,
    *,
    rows: Callable[[Release], Iterable[Row]],
    inputs: Callable[[str], Sequence[DatasetInput]],
    over: float | None = None,
) -> Stats:
    """Return how a deployment is doing.

    Args:
        deployment: The deployment.
        release: The release that serves.
        rows: Gives the sampled rows of a release, the newest first.
        inputs: Gives the datasets that a run used.
        over: Seconds to count for, from now on; None: what was counted since the service was started.
    """
    notes: list[str] = []
    found = None
    if release is None or deployment.address is None:
        notes.append(f"{deployment.name} serves nowhere now ({deployment.state.value}): there is no traffic to count")
    else:
        try:
            found = _traffic(deployment.address, release, over)
        except (TargetFailed, InvalidValue) as error:
            notes.append(str(error))
    drift = None if release is None else _drift(deployment, release, rows, inputs, notes)
    return Stats(deployment=deployment, release=release, traffic=found, drift=drift, notes=notes)


def _traffic(address: str, release: Release, over: float | None) -> Traffic:
    counts = Counts.read(scrape(address))
    if over is None:
        return traffic(counts, max(0.001, (now_ms() - release.created_at) / 1_000))
    began = time.monotonic()
    time.sleep(over)
    now = Counts.read(scrape(address))
    return traffic(now.since(counts), time.monotonic() - began)


def scrape(address: str) -> str:
    """Return what a service answers at ``/metrics``.

    Raises:
        InvalidValue: The address is no URL of a web server.
        TargetFailed: It does not answer, or with something else.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidValue(f"what {address!r} counts is not to be had over HTTP: look at its own console")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", parts.path.rstrip("/") + METRICS)
        came = connection.getresponse()
        body = came.read(_LARGEST)
    except (OSError, http.client.HTTPException) as error:
        told = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise TargetFailed(f"{address} does not answer: {told}") from None
    finally:
        connection.close()
    if came.status != 200:
        raise TargetFailed(f"{address}{METRICS} answers {came.status}: what it counts is not to be had there")
    return body.decode("utf-8", "replace")


def _drift(
    deployment: Deployment,
    release: Release,
    rows: Callable[[Release], Iterable[Row]],
    inputs: Callable[[str], Sequence[DatasetInput]],
    notes: list[str],
) -> InputDrift | None:
    came = iter(itertools.islice(rows(release), MOST_ROWS))
    first = next(came, None)
    if first is None:
        rate = deployment.config.get("sample_rate")
        notes.append(
            f"no inputs of release {release.number} are here: sample_rate is {rate}, and what another machine samples "
            "is collected every few minutes"
            if rate
            else f"inputs are not sampled: toolkit deployments update -n {deployment.name} --config sample_rate=0.1"
        )
        return None
    dataset, columns, size = training_data([] if release.run_id is None else inputs(release.run_id), first["inputs"])
    if dataset is None:
        notes.append(
            f"the run of {release.model}/{release.version} recorded no training data that say how their columns are "
            'spread: toolkit.log_input(toolkit.data.from_pandas(frame), context="training") does'
        )
    counted = Inputs(columns, size)
    newest = oldest = int(first["time"])
    for row in itertools.chain([first], came):
        counted.add(row["inputs"])
        newest, oldest = max(newest, row["time"]), min(oldest, row["time"])
    return InputDrift(
        rows=counted.rows,
        first=oldest,
        last=newest,
        dataset=None if dataset is None else dataset.dataset.name,
        digest=None if dataset is None else dataset.dataset.digest,
        columns=counted.drift(),
        others=sorted(counted.others),
    )


def training_data(
    used: Sequence[DatasetInput], row: Iterable[str]
) -> tuple[DatasetInput | None, Sequence[Reference], int]:
    """Return the dataset among a run's that a row of inputs is best held against.

    Args:
        used: The datasets of the run.
        row: The names of the columns that come.

    Returns:
        The dataset, of its columns those that come, and how many rows its profile was made of. One that was used for
        training goes first, then the one that knows most of the columns; None where none knows any.
    """
    names = set(row)
    best: tuple[tuple[int, bool], DatasetInput, Sequence[Reference]] | None = None
    for each in used:
        known = [column for name, column in references(each.dataset.profile).items() if name in names]
        rank = (len(known), each.tags.get(CONTEXT, "").lower() in _TRAINING)
        if known and (best is None or (rank[1], rank[0]) > (best[0][1], best[0][0])):
            best = rank, each, known
    if best is None:
        return None, [], 1
    return best[1], best[2], _rows_of(best[1])


def _rows_of(used: DatasetInput) -> int:
    """Return how many rows a profile was made of."""
    told = json.loads(used.dataset.profile or "{}")
    shape = told.get("features_shape")
    rows = told.get("num_rows") or (shape[0] if isinstance(shape, list) and shape else None)
    return min(int(rows), _PROFILED) if isinstance(rows, int) and rows > 0 else _PROFILED
