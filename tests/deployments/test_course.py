"""How deployments of this machine did: what the supervisor sees of a service, and what is read of it later."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from toolkit.deployments import course
from toolkit.deployments.course import Look
from toolkit.deployments.looking import Looking, Served
from toolkit.ids import now_ms

COUNTED = """
toolkit_requests_total{{endpoint="/invocations",status="200"}} {good}
toolkit_requests_total{{endpoint="/invocations",status="400"}} 1
toolkit_requests_total{{endpoint="/health",status="200"}} 50
toolkit_request_seconds_bucket{{endpoint="/invocations",le="0.01"}} 0
toolkit_request_seconds_bucket{{endpoint="/invocations",le="0.025"}} {good}
toolkit_request_seconds_bucket{{endpoint="/invocations",le="+Inf"}} {good}
"""


class Service(ThreadingHTTPServer):
    """A service that counts, and says whether it is ready."""

    good = 10
    ready = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        service = self.server
        assert isinstance(service, Service)
        well = service.ready or self.path != "/readyz"
        body = COUNTED.format(good=service.good) if self.path == "/metrics" else '{"message": "no model"}'
        self.send_response(200 if well else 503)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has there
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(("127.0.0.1", 0), _Answers) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def _home(tmp_path: Path) -> Path:
    (tmp_path / "deployments" / "wine").mkdir(parents=True)
    return tmp_path


def test_looks_tell_what_came_since_the_one_before_and_whether_it_is_ready(tmp_path: Path, service: Service) -> None:
    home, looking = _home(tmp_path), Looking(tmp_path)
    served = Served(id="wine-1", deployment="wine", release=1, address=service.url)
    looking.at(served)
    service.good = 13
    looking.at(served)
    service.ready = False
    looking.at(served)
    first, second, third = course.read(home, "wine")
    assert (first.requests, first.refused, first.failed) == (11, 1, 0)
    assert (second.requests, second.refused, second.healthy) == (3, 0, True)
    assert second.buckets == {0.01: 0, 0.025: 3, math.inf: 3}
    assert (third.status, third.message, third.requests) == (503, "/readyz answers 503: no model", 0)
    told = course.summary([first, second, third])
    assert (told.requests, told.share_failed) == (14, 0.0)
    assert told.median is not None
    assert 0.01 < told.median < 0.025


def test_what_does_not_answer_is_told_so_and_counts_nothing(tmp_path: Path) -> None:
    look = Looking(_home(tmp_path)).at(Served(id="x", deployment="wine", release=1, address="http://127.0.0.1:9"))
    assert (look.status, look.healthy, look.requests) == (0, False, 0)
    assert "does not answer" in look.message


def test_a_release_that_is_new_begins_at_nothing(tmp_path: Path, service: Service) -> None:
    looking = Looking(_home(tmp_path))
    one, two = (Served(id=f"wine-{n}", deployment="wine", release=n, address=service.url) for n in (1, 2))
    looking.at(one)
    looking.forget_but([two])
    assert looking.at(two).requests == 11


def test_a_deployment_that_is_gone_gets_no_folder_again(tmp_path: Path) -> None:
    course.leave(tmp_path, "gone", Look(time=now_ms(), seconds=1, release=1, status=200))
    assert not (tmp_path / "deployments").exists()


def test_old_looks_and_broken_lines_are_passed_over_and_the_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    home = _home(tmp_path)
    file = home / "deployments" / "wine" / "course.jsonl"
    old = now_ms() - int(course.KEPT * 1000) - 60_000
    for each in (old, now_ms()):
        course.leave(home, "wine", Look(time=each, seconds=10, release=1, status=200, buckets={math.inf: 2.0}))
    with file.open("a") as lines:
        lines.write("{half a line\n" + json.dumps({"time": "noon"}) + "\n[]\n")
    (found,) = course.read(home, "wine")
    assert found.buckets == {math.inf: 2.0}
    long = Look(time=now_ms(), seconds=10, release=1, status=0, message="x" * 10_000)
    sizes = []
    for _ in range(120):
        course.leave(home, "wine", long)
        sizes.append(file.stat().st_size)
    assert max(sizes) < 600_000
    assert sizes[-1] < max(sizes)
    assert len(course.read(home, "wine")) > 20
    assert course.read(home, "nothing") == []
