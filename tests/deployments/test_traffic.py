"""Traffic: what a service counts becomes numbers that people and alarms can use."""

from __future__ import annotations

import pytest

from toolkit.deployments.traffic import Counts, quantile, traffic

TEXT = """\
# HELP toolkit_requests_total Requests that were answered.
# TYPE toolkit_requests_total counter
toolkit_requests_total{endpoint="/invocations",status="200"} 90.0
toolkit_requests_total{endpoint="/invocations",status="400"} 8.0
toolkit_requests_total{endpoint="/invocations",status="503"} 2.0
toolkit_requests_total{endpoint="/ping",status="200"} 5.0 1700000000
toolkit_request_seconds_bucket{endpoint="/invocations",le="0.01"} 50.0
toolkit_request_seconds_bucket{endpoint="/invocations",le="0.1"} 98.0
toolkit_request_seconds_bucket{le="+Inf",endpoint="/invocations"} 100.0
toolkit_request_seconds_count{endpoint="/invocations"} 100.0
toolkit_request_seconds_sum{endpoint="/invocations"} 3.0
toolkit_batch_rows_sum 360.0
toolkit_batch_rows_count 60.0
bentoml_service_request_total{endpoint="/predict",http_response_code="200"} 0.0
something else entirely
toolkit_requests_total{endpoint="/broken",status="200"} many
toolkit_requests_total{endpoint="/nan",status="200"} NaN
"""


def test_counters_become_rates_shares_and_quantiles() -> None:
    found = traffic(Counts.read(TEXT), 50.0)
    invocations, ping = found.endpoints
    assert (invocations.endpoint, invocations.requests, invocations.rate) == ("/invocations", 100, 2.0)
    assert (invocations.refused, invocations.failed) == (8, 2)
    assert invocations.statuses == {"200": 90, "400": 8, "503": 2}
    assert invocations.mean == 0.03
    assert invocations.quantiles[0.5] == pytest.approx(0.01)
    assert invocations.quantiles[0.95] == pytest.approx(0.01 + 0.09 * 45 / 48)
    assert invocations.quantiles[0.99] == 0.1, "beyond the last bound nothing is known"
    assert (ping.requests, ping.mean, ping.quantiles[0.5]) == (5, None, None)
    assert found.batch_rows == 6.0


def test_what_was_counted_between_two_times() -> None:
    before, after = Counts.read(TEXT), Counts.read(TEXT.replace("} 90.0", "} 130.0").replace(" 98.0", " 138.0"))
    (invocations, ping) = traffic(after.since(before), 10.0).endpoints
    assert (invocations.requests, invocations.rate, invocations.refused) == (40, 4.0, 0)
    assert ping.requests == 0
    anew = Counts.read('toolkit_requests_total{endpoint="/invocations",status="200"} 3.0')
    (only,) = traffic(anew.since(before), 10.0).endpoints
    assert only.requests == 3, "the service was started anew"


def test_a_service_that_counts_nothing_of_ours() -> None:
    found = traffic(Counts.read("<html>no metrics</html>\n\n}{"), None)
    assert (found.endpoints, found.batch_rows, found.seconds) == ([], None, None)


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({}, 0.5, None),
        ({1.0: 0.0, float("inf"): 0.0}, 0.5, None),
        ({1.0: 10.0, float("inf"): 10.0}, 0.5, 0.5),
        ({1.0: 0.0, 2.0: 10.0, float("inf"): 10.0}, 0.5, 1.5),
        ({1.0: 0.0, float("inf"): 10.0}, 0.5, 1.0),
    ],
    ids=["none", "no answers", "first", "second", "beyond"],
)
def test_quantiles(buckets: dict[float, float], share: float, expected: float | None) -> None:
    assert quantile(buckets, share) == expected
