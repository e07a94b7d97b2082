"""Every page with the strangest data that a store takes, on the smallest screen, and as one reads it without script."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import quote

import planted
import pytest
from browser import look
from planted import Planted
from server import Server, serving

from toolkit.tracking.records import Metric, NewRun, RunStatus

if TYPE_CHECKING:
    from playwright.sync_api import Browser

A, B, MANY, EMPTY = "a" * 32, "b" * 32, "c" * 32, "d" * 32
_RTL, _EMOJI, _LONG = "\u202egnp.tac\u202c \u05e9\u05dc\u05d5\u05dd", "👩‍🔬 run 🎉", "long " * 20 + "x" * 5_800
_KEYS = 5_000


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """A server whose store has script in every place, long as can be."""
    with serving(tmp_path_factory.mktemp("planted") / "home") as server:
        yield planted.plant(server)


@dataclass(frozen=True)
class Extreme:
    """A server with extreme runs, and the metrics that they have."""

    server: Server
    keys: Sequence[str]


def _courses() -> dict[str, list[tuple[float, int]]]:
    """Return courses as value and step, by their keys."""
    return {
        "nan": [(math.nan, i) for i in range(20)],
        "infinite": [(math.inf, 0), (-math.inf, 1), (1.0, 2), (math.inf, 3)],
        "great": [(1e308, 0), (-1e308, 1), (1.7976931348623157e308, 2)],
        "small": [(1e-308, 0), (5e-324, 1), (-0.0, 2)],
        "constant": [(7.0, i) for i in range(5)],
        "negative": [(-float(i), i) for i in range(5)],
        "one point": [(0.5, 0)],
        "back": [(float(i), 10 - i) for i in range(10)],
        "twice": [(float(i), i // 2) for i in range(10)],
        "far": [(1.0, -(2**62)), (2.0, 2**62)],
        "Loss": [(1.0, 0), (2.0, 1)],
        "loss": [(3.0, 0), (4.0, 1)],
        "a/b/c.d/e": [(1.0, 0), (2.0, 1)],
        "a.b.c": [(1.0, 0), (2.0, 1)],
        "k" * 250: [(1.0, 0), (2.0, 1)],
        "системы/точность": [(1.0, 0), (2.0, 1)],
    }


@pytest.fixture(scope="module")
def extreme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Extreme]:
    with serving(tmp_path_factory.mktemp("extreme") / "home") as server:
        runs, now = server.stores.runs, time.time_ns() // 1_000_000
        courses = _courses()
        starts = {A: now, B: 0, MANY: now + 10 * 86_400_000, EMPTY: now}  # one in 1970, one by a clock that is ahead
        names = {A: _EMOJI, B: _RTL, MANY: "x" * 250, EMPTY: ""}
        for run_id, start in starts.items():
            name = names[run_id]
            new = NewRun(experiment_id="0", run_id=run_id, run_name=name, user_id=_RTL, start_time=start)
            runs.create_run(new)
        for run_id in (A, B):
            tags = {
                "mlflow.note.content": f"# {_EMOJI}\n{_RTL}\n{_LONG}",
                "Team": "a",
                "team": "b",
                "empty": "",
                "nan": "NaN",
            }
            runs.log_batch(run_id, params={"P": "NaN", "p": _LONG, "e": "", "n": "1e400", "z": "007"}, tags=tags)
            points = [
                Metric(key=key, value=value, timestamp=now + at, step=step)
                for key, course in courses.items()
                for at, (value, step) in enumerate(course)
            ]
            runs.log_batch(run_id, metrics=points)
        for first in range(0, _KEYS, 1000):
            some = [Metric(key=f"g{i % 50}/m{i:04d}", value=i / 7, timestamp=now) for i in range(first, first + 1000)]
            runs.log_batch(MANY, metrics=some)
        for first in range(0, 1000, 100):
            runs.log_batch(MANY, params={f"p{i}": str(i) for i in range(first, first + 100)})
        runs.update_run(A, status=RunStatus.FINISHED, end_time=now + 400 * 86_400_000)
        runs.update_run(B, status=RunStatus.FAILED, end_time=0, reason=_LONG[:900])
        yield Extreme(server, list(courses))


class _Page(HTMLParser):
    """What a page is made of: its headings, its title, its tables and their captions."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.title = ""
        self._in_title = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_title = tag == "title" and "svg" not in [each for each, _ in self.tags]

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the base's form
        self._in_title = False

    def count(self, tag: str) -> int:
        return sum(each == tag for each, _ in self.tags)


def _well_made(answer: bytes, address: str) -> None:
    text = answer.decode()
    if "</html>" not in text:
        return
    page = _Page(text)
    assert page.count("h1") == 1, address
    assert page.count("main") == 1, address
    assert page.title.strip().endswith("· toolkit"), (address, page.title)
    assert ("html", {"lang": "en"}) in [(tag, {"lang": told.get("lang")}) for tag, told in page.tags if tag == "html"]
    ids = [told["id"] for _, told in page.tags if "id" in told]
    assert len(ids) == len(set(ids)), (address, [each for each in ids if ids.count(each) > 1][:5])
    assert not [told for _, told in page.tags if "style" in told or any(name.startswith("on") for name in told)], (
        address
    )
    for tag, told in page.tags:
        if tag == "th":
            assert told.get("scope"), (address, "a header without a scope")
        if tag == "img":
            assert "alt" in told, address


def test_every_page_has_one_heading_a_title_and_no_id_twice(there: Planted) -> None:
    for addresses in planted.pages(there).values():
        for address in addresses:
            answer = there.server.call("GET", address)
            assert answer.status < 500, address
            if answer.headers.get("content-type", "").startswith("text/html"):
                _well_made(answer.body, address)


def _extreme_pages(keys: Sequence[str]) -> list[str]:
    columns = "&".join(f"cols=m:{quote(key)}&cols=s:{quote(key)}" for key in keys)
    shown = [
        "/",
        "/experiments/0",
        f"/experiments/0?{columns}&cols=p:p&cols=p:P&cols=p:e&cols=p:n&cols=t:team&cols=t:Team&cols=a:duration&cols=a:started",
        "/experiments/0?group=p:p",
        "/experiments/0?group=t:Team&cols=m:nan&cols=m:infinite&cols=m:great",
        "/experiments/0/columns?find=m00",
        "/experiments/0/columns",
        "/experiments/0/fields",
        "/experiments/0/runs.csv",
        "/experiments/0/runs.json",
        f"/find?q={quote(_EMOJI)}",
        f"/find?q={quote(_RTL)}",
        "/find?q=%",
        "/find?q='",
    ]
    shown += [f"/experiments/0?sort={sign}m:{quote(key)}" for key in keys for sign in ("", "-")]
    shown += [
        f"/runs/{run}{tab}" for run in (A, B, MANY, EMPTY) for tab in ("", "/charts", "/system", "/lineage", "/logs")
    ]
    shown += [f"/runs/{A}/charts?log=y&x={x}&smooth=0.9" for x in ("step", "time", "relative")]
    shown += [
        f"/compare?runs={A},{B},{MANY},{EMPTY}&tab={tab}"
        for tab in ("", "charts", "scatter", "parallel", "box", "code")
    ]
    return shown


def test_every_page_takes_the_strangest_data(extreme: Extreme) -> None:
    for address in _extreme_pages(extreme.keys):
        answer = extreme.server.call("GET", address)
        assert answer.status in (200, 400), (address, answer.status)
        if answer.status == 400:  # sorting by what nothing was measured of, in a grammar of its own: said, not failed
            assert b'class="fault"' in answer.body, address
        if answer.headers["content-type"].startswith("text/html"):
            _well_made(answer.body, address)
            assert len(answer.body) < 1_500_000, (address, len(answer.body))


def test_series_are_json_whatever_was_measured(extreme: Extreme) -> None:
    asked = {"run_ids": [A, B], "keys": list(extreme.keys)}
    answer = extreme.server.call("POST", "/api/v1/series", asked)
    assert answer.status == 200
    told = json.loads(answer.body, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert told


@pytest.mark.parametrize("tab", ["", "/charts"])
@pytest.mark.parametrize("run", [A, MANY], ids=["extreme", "many"])
def test_a_browser_takes_the_strangest_data(browser: Browser, extreme: Extreme, run: str, tab: str) -> None:
    with look(browser, extreme.server.url, width=320) as seen:
        page = seen.go(f"/runs/{run}{tab}")
        page.wait_for_selector("html[data-ready]")
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert seen.wrong == []


def test_states_are_told_in_forced_colours(browser: Browser, there: Planted) -> None:
    context = browser.new_context(forced_colors="active", viewport={"width": 1280, "height": 850})
    try:
        page = context.new_page()
        for address in ("/", f"/runs/{planted.FAILED}", f"/workflows/{planted.WORKFLOW}"):
            page.goto(there.server.url + address)
            assert page.evaluate("matchMedia('(forced-colors: active)').matches")
            for icon in page.locator("main .state .icon").all()[:10]:
                assert icon.evaluate(
                    "(each) => getComputedStyle(each).stroke !== 'none' || each.querySelector('use') !== null"
                )
            here = page.locator(".side a[aria-current]")
            assert here.evaluate("(each) => getComputedStyle(each).outlineStyle") == "solid"
    finally:
        context.close()
