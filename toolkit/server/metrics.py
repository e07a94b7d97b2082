"""Counts of requests, in Prometheus' text format.

All workers of a server count into one piece of shared memory, each in a part of its own: whichever worker is asked
answers for all of them, and nothing is locked. A worker that is started anew counts on in the part of the one before
it, so that no count ever falls.
"""

from __future__ import annotations

import mmap
import os
from array import array
from collections.abc import Iterator, Sequence

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
"""Upper bounds of the histogram's buckets, in seconds."""

STATUSES = (200, 201, 204, 206, 304, 400, 401, 403, 404, 405, 409, 413, 415, 421, 429, 500, 503, 507)
"""Statuses with a count of their own; others are counted by their hundred, as ``4xx``."""

OTHER = ("", "other")
"""What a request is counted under that no route took."""

_HUNDREDS = tuple(f"{first}xx" for first in range(1, 6))
_LABELS = (*(str(status) for status in STATUSES), *_HUNDREDS)
_COLUMN = {status: number for number, status in enumerate(STATUSES)}
_FIRST_BUCKET = len(_LABELS)
_SUM = _FIRST_BUCKET + len(BOUNDS) + 1
_WIDTH = _SUM + 1
_ROWS = 1024  # routes with their methods; memory that is not used is not taken
_EXTRA = 2  # of each worker: errors of the store, process id


class Counts:
    """What a server has counted.

    Args:
        workers: How many processes count into it. Make it before they are forked.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._part = _ROWS * _WIDTH + _EXTRA
        self._cells: memoryview[float] = memoryview(mmap.mmap(-1, workers * self._part * 8)).cast("d")

    def worker(self, number: int, routes: Sequence[tuple[str, str]]) -> WorkerCounts:
        """Return what one worker counts with.

        Args:
            number: Of the worker, from 0.
            routes: Method and template of each route; the same for all workers.
        """
        return WorkerCounts(self, number, [OTHER, *sorted(set(routes) - {OTHER})][:_ROWS])

    def part(self, number: int) -> memoryview[float]:
        """Return the cells of a worker."""
        return self._cells[number * self._part : (number + 1) * self._part]

    def summed(self, begin: int, end: int) -> array[float]:
        """Return the sums of cells over all workers."""
        total = array("d", bytes(8 * (end - begin)))
        for number in range(self._workers):
            for place, value in enumerate(self.part(number)[begin:end]):
                if value:
                    total[place] += value
        return total

    def has_begun(self, number: int) -> bool:
        """Tell whether a worker of this number was ever started."""
        return bool(self.part(number)[_ROWS * _WIDTH + 1])

    def processes(self) -> list[int]:
        """Return the process ids of the workers that have begun."""
        place = _ROWS * _WIDTH + 1
        return [int(pid) for number in range(self._workers) if (pid := self.part(number)[place])]


class WorkerCounts:
    """What one worker counts.

    Args:
        counts: What it is a part of.
        number: Of the worker.
        routes: Method and template of each kind of request, in their order.
    """

    def __init__(self, counts: Counts, number: int, routes: Sequence[tuple[str, str]]) -> None:
        self._counts = counts
        self._cells = counts.part(number)
        self._routes = routes
        self._rows = {route: place * _WIDTH for place, route in enumerate(routes)}
        self._cells[_ROWS * _WIDTH + 1] = os.getpid()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        row = self._rows.get((method, route), 0)
        column = _COLUMN.get(status)
        if column is None:
            column = len(STATUSES) + min(max(status // 100, 1), 5) - 1
        cells = self._cells
        cells[row + column] += 1
        place = 0
        for bound in BOUNDS:
            if seconds <= bound:
                break
            place += 1
        cells[row + _FIRST_BUCKET + place] += 1
        cells[row + _SUM] += seconds

    def store_error(self) -> None:
        """Count a request that the store could not serve."""
        self._cells[_ROWS * _WIDTH] += 1

    def text(self) -> str:
        """Return all that the workers have counted."""
        return "\n".join([*self._requests(), *self._latencies(), *self._rest()]) + "\n"

    def _requests(self) -> Iterator[str]:
        yield "# HELP toolkit_http_requests_total Requests that were answered."
        yield "# TYPE toolkit_http_requests_total counter"
        for labels, row in self._seen():
            for column, status in enumerate(_LABELS):
                if count := row[column]:
                    yield f'toolkit_http_requests_total{{{labels},status="{status}"}} {count:.0f}'

    def _latencies(self) -> Iterator[str]:
        name = "toolkit_http_request_duration_seconds"
        yield f"# HELP {name} Time from a request's first byte to its answer's last."
        yield f"# TYPE {name} histogram"
        for labels, row in self._seen():
            below = 0.0
            for bound, count in zip((*BOUNDS, "+Inf"), row[_FIRST_BUCKET:_SUM], strict=True):
                below += count
                yield f'{name}_bucket{{{labels},le="{bound}"}} {below:.0f}'
            yield f"{name}_sum{{{labels}}} {row[_SUM]:.6f}"
            yield f"{name}_count{{{labels}}} {below:.0f}"

    def _rest(self) -> Iterator[str]:
        (errors,) = self._counts.summed(_ROWS * _WIDTH, _ROWS * _WIDTH + 1)
        yield "# HELP toolkit_store_errors_total Requests that the store could not serve."
        yield "# TYPE toolkit_store_errors_total counter"
        yield f"toolkit_store_errors_total {errors:.0f}"
        yield "# HELP toolkit_workers Worker processes that have begun."
        yield "# TYPE toolkit_workers gauge"
        yield f"toolkit_workers {len(self._counts.processes())}"

    def _seen(self) -> Iterator[tuple[str, array[float]]]:
        for place, (method, route) in enumerate(self._routes):
            row = self._counts.summed(place * _WIDTH, (place + 1) * _WIDTH)
            if any(row):
                yield f'method="{method}",route="{route}"', row
