"""Many tabs that follow runs at once, and a server that is started again meanwhile."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import look
from server import Server, serving
from shown import Shown

from toolkit.tracking.records import Metric, NewRun, RunStatus

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=120_000)

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Place = tuple[Server, Shown]
TABS = 8
"""A browser opens six connections to a server: with a stream for each tab the seventh would hang."""


def _run(server: Server, run_id: str) -> None:
    now = time.time_ns() // 1_000_000
    server.stores.runs.create_run(NewRun(experiment_id="0", run_id=run_id, run_name="r", user_id="u", start_time=now))


def test_eight_tabs_follow_a_run_to_its_end(browser: Browser, shown: Place) -> None:
    server, _ = shown
    run_id = "8" * 32
    _run(server, run_id)
    with look(browser, server.url) as seen:
        tabs = [seen.page, *(seen.page.context.new_page() for _ in range(TABS - 1))]
        for tab in tabs:
            tab.on("pageerror", lambda error: seen.wrong.append(str(error)))
            tab.goto(f"{server.url}/runs/{run_id}")
            tab.wait_for_selector(".head .s-running")
        server.stores.runs.log_batch(run_id, metrics=[Metric(key="rmse", value=0.125, timestamp=1)])
        for tab in tabs:
            expect(tab.locator("#live-metrics")).to_contain_text("0.125")
        tabs.pop(0).goto(f"{server.url}/experiments")  # who listened gives its place to another
        server.stores.runs.update_run(run_id, status=RunStatus.FINISHED)
        for tab in tabs:
            tab.wait_for_selector(".head .s-good")
        tabs[0].goto(f"{server.url}/experiments")
        assert tabs[0].locator("h1").inner_text() == "Experiments"
        assert seen.wrong == []


def test_a_page_is_live_again_after_the_server_was_started_again(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import server as support

    run_id = "9" * 32
    with serving(tmp_path / "home") as first:
        port = first.port
        _run(first, run_id)
        context = look(browser, first.url)
        seen = context.__enter__()
        page = seen.go(f"/runs/{run_id}")
        page.wait_for_selector(".head .s-running")
        page.wait_for_timeout(300)
    try:
        expect(page.locator("#stream-state")).to_contain_text("Not live now")
        assert "has ended" not in page.inner_text("#said")

        def again() -> socket.socket:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen(128)
            return listener

        monkeypatch.setattr(support, "free_socket", again)
        with serving(tmp_path / "home") as second:
            second.stores.runs.log_batch(run_id, metrics=[Metric(key="rmse", value=0.125, timestamp=1)])
            expect(page.locator("#live-metrics")).to_contain_text("0.125")
            expect(page.locator("#stream-state")).to_be_hidden()
            second.stores.runs.update_run(run_id, status=RunStatus.FINISHED)
            page.wait_for_selector(".head .s-good")
            told = [each for each in seen.wrong if "net::ERR_" not in each]  # the browser says that it was refused
            assert told == []
    finally:
        context.__exit__(None, None, None)
