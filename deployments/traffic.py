"""What a service counts at ``/metrics``, in numbers that say how it is: how many, how fast, how many went wrong."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

QUANTILES = (0.5, 0.95, 0.99)

_LINE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?")
_LABEL = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')
_MOST_LINES = 100_000

Buckets = Mapping[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """The counters of a service at one time, all its workers together.

    Attributes:
        requests: How many were answered, by endpoint and status.
        seconds: Of each endpoint: how many answers took no longer than each bound, in seconds.
        spent: Of each endpoint: seconds that all answers took together.
        batches: How many times the model was asked.
        rows: About how many rows together.
    """

    requests: Mapping[tuple[str, str], float] = field(default_factory=dict)
    seconds: Mapping[str, Buckets] = field(default_factory=dict)
    spent: Mapping[str, float] = field(default_factory=dict)
    batches: float = 0.0
    rows: float = 0.0

    @classmethod
    def read(cls, text: str) -> Counts:
        """Return what a text in the form of Prometheus tells; lines that are none, or of others, are passed over."""
        requests: dict[tuple[str, str], float] = defaultdict(float)
        seconds: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
        spent: dict[str, float] = defaultdict(float)
        batches = rows = 0.0
        for name, labels, value in _samples(text):
            endpoint = labels.get("endpoint", "")
            match name:
                case "toolkit_requests_total":
                    requests[endpoint, labels.get("status", "")] += value
                case "toolkit_request_seconds_bucket":
                    seconds[endpoint][_number(labels.get("le", "")) or 0.0] += value
                case "toolkit_request_seconds_sum":
                    spent[endpoint] += value
                case "toolkit_batch_rows_count":
                    batches += value
                case "toolkit_batch_rows_sum":
                    rows += value
        return cls(
            requests=dict(requests),
            seconds={endpoint: dict(buckets) for endpoint, buckets in seconds.items()},
            spent=dict(spent),
            batches=batches,
            rows=rows,
        )

    def since(self, before: Counts) -> Counts:
        """Return what was counted after another time; a service that was started anew in between has begun at 0."""
        return Counts(
            requests={key: _grown(now, before.requests.get(key, 0.0)) for key, now in self.requests.items()},
            seconds={
                endpoint: _grown_buckets(buckets, before.seconds.get(endpoint, {}))
                for endpoint, buckets in self.seconds.items()
            },
            spent={endpoint: _grown(now, before.spent.get(endpoint, 0.0)) for endpoint, now in self.spent.items()},
            batches=_grown(self.batches, before.batches),
            rows=_grown(self.rows, before.rows),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointTraffic:
    """What went over one endpoint.

    Attributes:
        endpoint: ``/invocations``.
        requests: How many were answered.
        rate: How many a second; None where the time is not known.
        refused: How many of them with 4xx: the client's mistakes.
        failed: How many with 5xx: ours, or too many at once.
        statuses: How many of each status.
        mean: Seconds that an answer took on average; None where there was none.
        quantiles: Seconds that this share of the answers did not exceed, about.
    """

    endpoint: str
    requests: int
    rate: float | None
    refused: int
    failed: int
    statuses: Mapping[str, int]
    mean: float | None
    quantiles: Mapping[float, float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """What a service did in some time.

    Attributes:
        seconds: How long that was; None where that is not known.
        endpoints: What it was asked at each.
        batch_rows: Rows that the model was given at once, on average; None where it was not asked.
    """

    seconds: float | None
    endpoints: Sequence[EndpointTraffic]
    batch_rows: float | None


def traffic(counts: Counts, seconds: float | None) -> Traffic:
    """Return what counters say.

    Args:
        counts: The counters.
        seconds: In which time that was counted; None: not known.
    """
    endpoints = sorted({endpoint for endpoint, _ in counts.requests})
    return Traffic(
        seconds=seconds,
        endpoints=[_endpoint(endpoint, counts, seconds) for endpoint in endpoints],
        batch_rows=counts.rows / counts.batches if counts.batches else None,
    )


def _endpoint(endpoint: str, counts: Counts, seconds: float | None) -> EndpointTraffic:
    statuses = {
        status: int(count) for (of, status), count in sorted(counts.requests.items()) if of == endpoint and count
    }
    total = sum(statuses.values())
    buckets = counts.seconds.get(endpoint, {})
    answered = max(buckets.values(), default=0.0)
    return EndpointTraffic(
        endpoint=endpoint,
        requests=total,
        rate=total / seconds if seconds else None,
        refused=sum(count for status, count in statuses.items() if status.startswith("4")),
        failed=sum(count for status, count in statuses.items() if status.startswith("5")),
        statuses=statuses,
        mean=counts.spent.get(endpoint, 0.0) / answered if answered else None,
        quantiles={share: quantile(buckets, share) for share in QUANTILES},
    )


def quantile(buckets: Buckets, share: float) -> float | None:
    """Return about which value a share of what was counted does not exceed, as Prometheus reckons it.

    Args:
        buckets: How many did not exceed each bound.
        share: Between 0 and 1.

    Returns:
        None where nothing was counted; the greatest bound that is a number where the value is beyond it.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    wanted, lower, below = share * total, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            if math.isinf(bound) or buckets[bound] == below:
                return lower
            return lower + (bound - lower) * (wanted - below) / (buckets[bound] - below)
        lower, below = bound, buckets[bound]
    return lower


def _samples(text: str) -> Iterable[tuple[str, Mapping[str, str], float]]:
    for line in text.splitlines()[:_MOST_LINES]:
        found = _LINE.fullmatch(line.strip())
        value = None if found is None else _number(found[3])
        if found is not None and value is not None and not math.isnan(value):
            yield found[1], dict(_LABEL.findall(found[2] or "")), value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _grown(now: float, before: float) -> float:
    return now - before if now >= before else now


def _grown_buckets(now: Buckets, before: Buckets) -> Buckets:
    began_anew = any(before.get(bound, 0.0) > count for bound, count in now.items())
    return dict(now) if began_anew else {bound: count - before.get(bound, 0.0) for bound, count in now.items()}
