"""What a service counts, for ``/metrics``: BentoML's registry, which adds its workers up."""

from __future__ import annotations

from typing import Any

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096, 16_384, 65_536)


class Metrics:
    """The counts of one process. It is made in the process that counts, never before a fork."""

    def __init__(self) -> None:
        import bentoml  # noqa: PLC0415 - only a service counts

        self._total = bentoml.metrics.Counter(
            "toolkit_requests_total", "Requests that were answered.", labelnames=["endpoint", "status"]
        )
        self._seconds = bentoml.metrics.Histogram(
            "toolkit_request_seconds", "Seconds that an answer took.", labelnames=["endpoint"], buckets=SECONDS
        )
        self._rows = bentoml.metrics.Histogram(
            "toolkit_batch_rows", "Rows that the model was given at once.", buckets=ROWS
        )
        self._labelled: dict[tuple[str, int], tuple[Any, Any]] = {}

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count an answer."""
        found = self._labelled.get((endpoint, status))
        if found is None:
            found = self._total.labels(endpoint=endpoint, status=str(status)), self._seconds.labels(endpoint=endpoint)
            self._labelled[endpoint, status] = found
        found[0].inc()
        found[1].observe(seconds)

    def batch(self, rows: int) -> None:
        """Count rows that the model was given at once."""
        self._rows.observe(rows)
