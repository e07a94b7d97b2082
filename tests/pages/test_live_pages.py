"""Pages of a run that goes on, and what it writes on its terminal."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

from browser import look
from server import Server
from shown import HOSTILE, Shown

import toolkit
from toolkit.server.pages import logs
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


def test_a_log_is_shown_and_searched(browser: Browser, shown: Place) -> None:
    server, _ = shown
    run_id = "b" * 32
    _run(server, run_id, "with a log")
    text = "".join(f"line {i}\n" for i in range(1, 1501)) + f"\x1b[31mbad\x1b[0m {HOSTILE}\n10%\r20%\rdone\n"
    toolkit.Client(tracking_uri=f"sqlite:///{server.home / 'toolkit.db'}").log_text(run_id, text, "logs/output.log")
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}/logs")
        shown_text = page.inner_text(".log")
        assert HOSTILE in shown_text
        assert "done" in shown_text
        assert "20%" not in shown_text
        assert "1502 lines; the last 1000 are shown" in page.inner_text("main").replace("\u202f", "")
        assert page.locator(".log .s-bad").inner_text() == "bad"
        page.fill("[data-page-filter]", "line 7")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.locator(".log div").count() == 111
        assert page.locator(".log .at").first.inner_text() == "7"
        seen.check()


def test_what_a_terminal_obeys_is_not_shown() -> None:
    lines, total = logs.last_lines(
        io.BytesIO(b"\x1b]0;title\x07a\x1b[2Kb\x1b[1;32mc\x1b[0m\x00\xff\n" + b"x" * 100_000)
    )
    assert total == 3  # the longest line is taken in pieces
    assert str(lines[0][1]) == 'ab<span class="s-good">c</span>\ufffd'
    assert all(len(line) <= 2_000 for _, line in lines)
