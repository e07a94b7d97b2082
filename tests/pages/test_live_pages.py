"""Pages of a run that goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from browser import look
from server import Server
from shown import Shown

from toolkit.tracking.records import Metric, NewRun, RunStatus

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Place = tuple[Server, Shown]


def _run(server: Server, run_id: str, name: str) -> None:
    now = time.time_ns() // 1_000_000
    server.stores.runs.create_run(NewRun(experiment_id="0", run_id=run_id, run_name=name, user_id="u", start_time=now))


def test_a_page_follows_its_run_until_it_ends(browser: Browser, shown: Place) -> None:
    server, _ = shown
    runs = server.stores.runs
    run_id = "a" * 32
    _run(server, run_id, "going on")
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}")
        page.wait_for_selector(".head .s-running")
        runs.log_batch(run_id, metrics=[Metric(key="rmse", value=0.125, timestamp=1, step=3)])
        page.wait_for_selector("th:has-text('rmse')")
        assert "0.125" in page.inner_text("#live-metrics")
        runs.update_run(run_id, status=RunStatus.FINISHED)
        page.wait_for_selector(".head .s-good")
        assert seen.wrong == []
