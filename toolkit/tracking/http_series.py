"""Histories for charts over HTTP: as many requests as there must be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace

from toolkit.ids import is_run_id
from toolkit.tracking import http_codec as codec
from toolkit.tracking.http_calls import Calls
from toolkit.tracking.limits import is_key
from toolkit.tracking.series import Series, SeriesQuery

MOST_SERIES, MOST_POINTS = 1_000, 1_000_000
"""What one request may ask for: so many histories, and so many points together."""

_MOST_KEYS = 100


def sample(calls: Calls, query: SeriesQuery) -> Sequence[Series]:
    """Return the histories of metrics of runs, in the order of the query.

    Raises:
        ToolkitError: As for `Calls.look`.
    """
    run_ids = list(dict.fromkeys(filter(is_run_id, query.run_ids)))
    keys = list(dict.fromkeys(filter(is_key, query.keys)))
    found: Mapping[tuple[str, str], Series] = {
        (one.run_id, one.key): one
        for part in _parts(replace(query, run_ids=run_ids, keys=keys))
        for one in map(codec.series_in, calls.look("/series", asdict(part))["series"])
    }
    return [found[place] for place in ((run_id, key) for run_id in run_ids for key in keys) if place in found]


def _parts(query: SeriesQuery) -> Iterator[SeriesQuery]:
    """Return a query in parts that a request may ask for."""
    most = min(MOST_SERIES, MOST_POINTS // query.points)
    for first in range(0, len(query.keys), _MOST_KEYS):
        keys = query.keys[first : first + _MOST_KEYS]
        size = most // len(keys)
        for start in range(0, len(query.run_ids), size):
            yield replace(query, run_ids=query.run_ids[start : start + size], keys=keys)
