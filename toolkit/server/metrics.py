"""Counts of requests, in Prometheus' text format.

All workers of a server count into one piece of shared memory, each in a part of its own: whichever worker is asked
answers for all of them, and nothing is locked. A worker that is started anew counts on in the part of the one before
it, so that no count ever falls.
"""

from __future__ import annotations

import mmap
import os
from array import array
from collections.abc import Iterator, Mapping

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
"""Upper bounds of the histogram's buckets, in seconds."""

STATUSES = (200, 201, 204, 206, 304, 400, 401, 403, 404, 405, 409, 413, 415, 421, 429, 500, 503, 507)
"""Statuses with a count of their own; others are counted by their hundred, as ``4xx``."""

_OTHER = 'method="",route=""'
"""What a request is counted under that no route took."""

_HUNDREDS = tuple(f"{first}xx" for first in range(1, 6))
_LABELS = (*(str(status) for status in STATUSES), *_HUNDREDS)
_COLUMN = {status: number for number, status in enumerate(STATUSES)}
_FIRST_BUCKET = len(_LABELS)
_SUM = _FIRST_BUCKET + len(BOUNDS) + 1
_WIDTH = _SUM + 1
_ROWS = 512  # kinds of requests that have a count of their own; memory that is not used is not taken
_NAME = 192  # bytes of a kind's name
_STORE_ERRORS, _PROCESS = _ROWS * _WIDTH, _ROWS * _WIDTH + 1
_EXTRA = 2


class Counts:
    """What a server has counted.

    Args:
        workers: How many processes count into it. Make it before they are forked.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._part = _ROWS * _WIDTH + _EXTRA
        self._cells: memoryview[float] = memoryview(mmap.mmap(-1, workers * self._part * 8)).cast("d")
        self._names = mmap.mmap(-1, workers * _ROWS * _NAME)

    def worker(self, number: int) -> WorkerCounts:
        """Return what one worker counts with; it is numbered from 0."""
        return WorkerCounts(self, number)

    def part(self, number: int) -> memoryview[float]:
        """Return the cells of a worker."""
        return self._cells[number * self._part : (number + 1) * self._part]

    def name(self, number: int, row: int) -> str:
        """Return the name of a worker's row; empty for one that was not begun."""
        begin = (number * _ROWS + row) * _NAME
        return self._names[begin : begin + _NAME].rstrip(b"\0").decode()

    def begin_row(self, number: int, row: int, name: str) -> None:
        """Give a worker's row its name."""
        begin = (number * _ROWS + row) * _NAME
        self._names[begin : begin + _NAME] = name.encode()[:_NAME].ljust(_NAME, b"\0")

    def has_begun(self, number: int) -> bool:
        """Tell whether a worker of this number was ever started."""
        return bool(self.part(number)[_PROCESS])

    def begun(self) -> int:
        """Return how many workers were started."""
        return sum(self.has_begun(number) for number in range(self._workers))

    def store_errors(self) -> float:
        """Return the errors of the store, of all workers."""
        return sum(self.part(number)[_STORE_ERRORS] for number in range(self._workers))

    def rows(self) -> dict[str, array[float]]:
        """Return the sums over all workers, by the names of the rows, in their order."""
        found: dict[str, array[float]] = {}
        for number in range(self._workers):
            part = self.part(number)
            for row in range(_ROWS):
                if not (name := self.name(number, row)):
                    break
                total = found.setdefault(name, array("d", bytes(8 * _WIDTH)))
                for place, value in enumerate(part[row * _WIDTH : (row + 1) * _WIDTH]):
                    total[place] += value
        return dict(sorted(found.items()))


class WorkerCounts:
    """What one worker counts.

    Args:
        counts: What it is a part of.
        number: Of the worker.
    """

    def __init__(self, counts: Counts, number: int) -> None:
        self._counts = counts
        self._number = number
        self._cells = counts.part(number)
        self._rows: dict[tuple[str, str], int] = {}
        self._names = [name for row in range(_ROWS) if (name := counts.name(number, row))]
        if not self._names:
            self._begin(_OTHER)
        self._cells[_PROCESS] = os.getpid()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        row = self._rows.get((method, route))
        if row is None:
            row = self._rows[method, route] = self._row(method, route) * _WIDTH
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
        self._cells[_STORE_ERRORS] += 1

    def text(self) -> str:
        """Return all that the workers have counted."""
        rows = {name: row for name, row in self._counts.rows().items() if any(row)}
        return "\n".join([*_requests(rows), *_latencies(rows), *self._rest()]) + "\n"

    def _row(self, method: str, route: str) -> int:
        """Return the number of the row for a kind of request: a new one, or the first where there is no room."""
        name = f'method="{method}",route="{route}"' if route else _OTHER
        if name in self._names:
            return self._names.index(name)
        if len(self._names) == _ROWS or len(name.encode()) > _NAME:
            return 0
        return self._begin(name)

    def _begin(self, name: str) -> int:
        self._counts.begin_row(self._number, len(self._names), name)
        self._names.append(name)
        return len(self._names) - 1

    def _rest(self) -> Iterator[str]:
        yield "# HELP toolkit_store_errors_total Requests that the store could not serve."
        yield "# TYPE toolkit_store_errors_total counter"
        yield f"toolkit_store_errors_total {self._counts.store_errors():.0f}"
        yield "# HELP toolkit_workers Worker processes that have begun."
        yield "# TYPE toolkit_workers gauge"
        yield f"toolkit_workers {self._counts.begun()}"


def _requests(rows: Mapping[str, array[float]]) -> Iterator[str]:
    yield "# HELP toolkit_http_requests_total Requests that were answered."
    yield "# TYPE toolkit_http_requests_total counter"
    for labels, row in rows.items():
        for column, status in enumerate(_LABELS):
            if count := row[column]:
                yield f'toolkit_http_requests_total{{{labels},status="{status}"}} {count:.0f}'


def _latencies(rows: Mapping[str, array[float]]) -> Iterator[str]:
    name = "toolkit_http_request_duration_seconds"
    yield f"# HELP {name} Time from a request's first byte to its answer's last."
    yield f"# TYPE {name} histogram"
    for labels, row in rows.items():
        below = 0.0
        for bound, count in zip((*BOUNDS, "+Inf"), row[_FIRST_BUCKET:_SUM], strict=True):
            below += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {below:.0f}'
        yield f"{name}_sum{{{labels}}} {row[_SUM]:.6f}"
        yield f"{name}_count{{{labels}}} {below:.0f}"
