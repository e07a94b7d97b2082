"""The last hour of a deployment as pictures: bins, gaps, marks, and what is said of it."""

from __future__ import annotations

import math
import re

from toolkit.deployments.course import Look
from toolkit.deployments.records import Release, ReleaseState
from toolkit.server.pages.deployment_course import Course, course

NOW = 1_790_000_000_000


def _look(ago: float, **values: object) -> Look:
    """Return a look so many seconds ago."""
    usual: dict[str, object] = {"seconds": 10.0, "release": 1, "status": 200, "took": 0.003}
    return Look(time=int(NOW - ago * 1000), **{**usual, **values})  # type: ignore[arg-type]  # a test's own values


def _shown(*looks: Look, releases: tuple[Release, ...] = ()) -> Course:
    found = course(looks, releases, at=NOW)
    assert found is not None
    return found


def _release(number: int, ago: float, state: ReleaseState = ReleaseState.SERVING) -> Release:
    ended = int(NOW - ago * 1000)
    steps = [{"name": "switch", "began": ended - 100, "ended": ended, "said": "", "failed": False}]
    return Release(
        deployment_id="d", number=number, model="wine", version=number, state=state, instance={"steps": steps}
    )


def test_nothing_is_drawn_of_what_nobody_looked_at() -> None:
    assert course([], [], at=NOW) is None


def test_a_look_that_comes_late_leaves_no_gap_and_a_stop_does() -> None:
    every = [_look(ago, requests=20, buckets={0.01: 10.0, 0.1: 20.0, math.inf: 20.0}) for ago in range(590, 0, -14)]
    whole = _shown(*every).pictures[0].drawn
    assert len(re.findall(r"M", whole)) == 1
    broken = _shown(*(each for each in every if not NOW - 400_000 < each.time < NOW - 200_000)).pictures[0].drawn
    assert len(re.findall(r"M", broken)) == 2


def test_what_is_said_is_of_the_last_minutes_and_what_failed_of_all() -> None:
    old = _look(3_000, requests=100, failed=50)
    new = _look(5, requests=20, refused=2, buckets={0.01: 10.0, 0.1: 20.0, math.inf: 20.0})
    shown = _shown(old, new)
    requests, latency, failed = (each.said for each in shown.pictures)
    assert requests == "2/s in the last 5 min, at most 10/s"
    assert latency == "half of the answers within 10 ms, 95 of 100 within 91 ms"
    assert failed == "50 of 120 (41.7 %); 2 refused as the client’s mistake"
    assert shown.minutes == 50
    assert [told.requests for _, told in shown.rows] == [100, 20]


def test_releases_that_had_the_traffic_are_marked_while_they_are_in_sight() -> None:
    releases = (
        _release(4, 60),
        _release(3, 120, ReleaseState.REFUSED),
        _release(2, 300, ReleaseState.REPLACED),
        _release(1, 90_000, ReleaseState.REPLACED),
    )
    shown = _shown(_look(500), _look(5), releases=releases)
    assert [number for number, _, _ in shown.marks] == [2, 4]
    assert shown.pictures[0].drawn.count('class="mark"') == 2


def test_health_is_drawn_look_by_look_and_an_old_one_is_stale() -> None:
    shown = _shown(_look(30), _look(20, status=503, message="<no model>"), _look(10))
    assert shown.health.count("t-good") == 2
    assert "&lt;no model&gt;" in shown.health
    assert "ready at 2 of the last 3 looks" in shown.health
    assert not shown.stale
    assert _shown(_look(90)).stale
