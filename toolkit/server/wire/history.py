"""The points of metrics on MLflow's wire: of one run whole or in pages, of many runs whole or in samples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from toolkit.errors import InvalidValue, NotFound
from toolkit.server.wire import messages
from toolkit.server.wire.call import Call, Endpoint
from toolkit.server.wire.messages import Message
from toolkit.tracking.limits import invalid
from toolkit.tracking.records import Metric

MOST_RUNS = 100
MOST_SAMPLED = 2_500
"""Points of each run in a sample."""

MOST_TOGETHER = 25_000
"""Points of all runs, where their histories are asked for whole."""

_PAGE = 1_000_000


def history(call: Call) -> Message:
    """Return the points of a metric; all of them where no page size is given."""
    fields = call.fields
    run_id, key = fields.run_id(), fields.needed("metric_key")
    if not fields.has("max_results"):
        return messages.page("metrics", messages.metrics(_in_time(_points(call, run_id, key))), None)
    limit = fields.integer("max_results")
    if limit <= 0:
        raise InvalidValue(invalid("max_results", limit, "Wanted a positive integer."))
    token = fields.text("page_token") or None
    try:
        found = call.stores.runs.metric_history(run_id, key, limit=min(limit, _PAGE), page_token=token)
    except NotFound:
        return {}
    whole = token is None and found.next_page_token is None
    points = _in_time(found.items) if whole else found.items
    return messages.page("metrics", messages.metrics(points), found.next_page_token)


def _in_time(points: Sequence[Metric]) -> Sequence[Metric]:
    """Return points that are ordered by their steps as MLflow orders them: by their times, where those disagree."""
    if all(one.timestamp <= other.timestamp for one, other in pairwise(points)):
        return points
    return sorted(points, key=lambda point: point.timestamp)  # it keeps the order of those of one time


def _points(call: Call, run_id: str, key: str, most: int | None = None) -> list[Metric]:
    """Return points of a run that may not exist, at most so many."""
    points: list[Metric] = []
    token = None
    while True:
        limit = _PAGE if most is None else min(_PAGE, most - len(points))
        try:
            found = call.stores.runs.metric_history(run_id, key, limit=limit, page_token=token)
        except NotFound:
            return points
        points.extend(found.items)
        token = found.next_page_token
        if token is None or len(points) == most:
            return points


def bulk(call: Call) -> Message:
    """Return the points of one metric of several runs, by run, up to a number of points in all."""
    fields = call.fields
    run_ids = fields.texts("run_id")
    if not run_ids:
        raise InvalidValue("GetMetricHistoryBulk request must specify at least one run_id.")
    _check_runs("GetMetricHistoryBulk request cannot specify more than", run_ids)
    if not fields.has("metric_key"):
        raise InvalidValue("GetMetricHistoryBulk request must specify a metric_key.")
    key, most = fields.needed("metric_key"), min(fields.integer("max_results", MOST_TOGETHER), MOST_TOGETHER)
    if most <= 0:
        raise InvalidValue(invalid("max_results", most, "Wanted a positive integer."))
    found: list[Message] = []
    for run_id in sorted(set(run_ids)):
        if len(found) < most:
            found += [_of_run(point, run_id) for point in _points(call, run_id, key, most - len(found))]
    return {"metrics": found}


def sampled(call: Call) -> Message:
    """Return points that stand for the histories of one metric of several runs, each run's spread evenly."""
    fields = call.fields
    run_ids = fields.texts("run_ids")
    if not run_ids:
        raise fields.missing("run_ids")
    _check_runs("GetMetricHistoryBulkInterval request must specify at most", run_ids)
    key, most = fields.needed("metric_key"), fields.integer("max_results", MOST_SAMPLED)
    if not 1 <= most <= MOST_SAMPLED:
        raise InvalidValue(f"max_results must be between 1 and {MOST_SAMPLED}.")
    start, end = fields.maybe_integer("start_step"), fields.maybe_integer("end_step")
    if (start is None) != (end is None):
        raise InvalidValue("If either start step or end step are specified, both must be specified.")
    if start is not None and end is not None and start > end:
        raise InvalidValue(f"end_step must be greater than start_step. Found start_step={start} and end_step={end}.")
    found: list[Message] = []
    for run_id in dict.fromkeys(run_ids):
        try:
            points = call.stores.runs.sample_history(run_id, key, points=most, start_step=start, end_step=end)
        except NotFound:
            continue
        found += [_of_run(point, run_id) for point in points]
    return messages.page("metrics", found, None)


def _check_runs(begins: str, run_ids: Sequence[str]) -> None:
    if len(run_ids) > MOST_RUNS:
        raise InvalidValue(f"{begins} {MOST_RUNS} run_ids. Received {len(run_ids)} run_ids.")


def _of_run(point: Metric, run_id: str) -> Message:
    return {**messages.metric(point), "run_id": run_id}


ENDPOINTS = (
    Endpoint(("GET",), "metrics/get-history", history),
    Endpoint(("GET",), "metrics/get-history-bulk", bulk, ("run_id",)),
    Endpoint(("GET",), "metrics/get-history-bulk-interval", sampled, ("run_ids",)),
)
