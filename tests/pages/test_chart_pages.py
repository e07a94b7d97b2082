"""Charts of runs, one or many, in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser import look
from server import Server
from shown import Shown

from toolkit.tracking.records import SearchQuery

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Place = tuple[Server, Shown]


def _ids(server: Server, there: Shown) -> str:
    query = SearchQuery(experiment_ids=[there.experiment], filter="run_name LIKE 'gbm%'")
    return ",".join(run.info.run_id for run in server.stores.runs.search_runs(query).items)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_charts_of_a_run_are_drawn_and_accessible(browser: Browser, shown: Place, dark: bool) -> None:
    server, there = shown
    with look(browser, server.url, dark=dark) as seen:
        page = seen.go(f"/runs/{there.run}/charts")
        page.wait_for_selector("[data-drawn]")
        seen.shot(f"run-charts{'-dark' if dark else ''}")
        page.check("input[name=log]")
        assert "log=1" in page.url
        seen.check()


@pytest.mark.parametrize("tab", ["", "charts", "parallel", "scatter", "box"])
def test_runs_are_compared(browser: Browser, shown: Place, tab: str) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/compare?runs={_ids(server, there)}&tab={tab}")
        assert page.locator("h1").inner_text() == "Compare 4 runs"
        if tab == "":
            text = page.inner_text("main")
            assert "alpha" in text
            assert "same" not in [each.inner_text() for each in page.locator("tbody th").all()]
        elif tab == "charts":
            page.wait_for_selector("[data-chart][data-drawn]")
        else:
            page.wait_for_selector("#space[data-drawn]")
        seen.shot(f"compare-{tab or 'differences'}")
        seen.check()


def test_a_run_that_is_gone_does_not_spoil_the_comparison(shown: Place) -> None:
    server, there = shown
    answer = server.call("GET", "/compare", None, {}, runs=f"{there.run},nothing")
    assert answer.status == 200
    assert "1 of the chosen runs is not there" in answer.body.decode()
    many = ",".join(f"{i:032x}" for i in range(201))
    assert "wanted 2 to 200" in server.call("GET", "/compare", None, {}, runs=many).body.decode()
