"""Logs on pages, of runs that have ended: shown from their end, searched, as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from browser import look
from server import Server, serving
from shown import HOSTILE

import toolkit
from toolkit.recording.log_pieces import piece_path

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("logs") / "home") as made:
        yield made


def _logged(server: Server, text: str | bytes, path: str = "logs/output.log") -> str:
    client = toolkit.Client(tracking_uri=f"sqlite:///{server.home / 'toolkit.db'}")
    run_id = str(client.create_run("0", run_name="with a log").info.run_id)
    client.set_terminated(run_id)
    _log(server, run_id, text, path)
    return run_id


def _log(server: Server, run_id: str, text: str | bytes, path: str) -> None:
    client = toolkit.Client(tracking_uri=f"sqlite:///{server.home / 'toolkit.db'}")
    client.log_text(run_id, text if isinstance(text, str) else text.decode(), path)


def _numbers(page: Page) -> list[int]:
    return [int(text) for text in page.locator("#log .at").all_inner_texts()]


def _said(page: Page) -> str:
    return page.inner_text(".log-tools").replace("\u202f", "").replace("\xa0", "")


def test_a_log_is_shown_from_its_end_and_searched(browser: Browser, server: Server) -> None:
    text = "".join(f"line {i}\n" for i in range(1, 3001)) + f"\x1b[31mbad\x1b[0m {HOSTILE}\n10%\r20%\rdone\n"
    run_id = _logged(server, text)
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}/logs")
        assert _numbers(page) == list(range(2003, 3003))
        assert HOSTILE in page.inner_text("#log")
        assert "done" in page.inner_text("#L3002")
        assert "20%" not in page.inner_text("#log")
        assert "3002 lines; from line 2003 on" in _said(page)
        assert page.locator("#L3001 .s-bad").inner_text() == "bad"
        assert page.evaluate(
            "(b => b.scrollTop + b.clientHeight >= b.scrollHeight - 1)(document.getElementById('log'))"
        )
        with page.expect_navigation():
            page.get_by_role("link", name="Earlier lines").click()
        assert 2002 in _numbers(page)
        page.fill("[data-page-filter]", "LINE 77")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert "Line 1 of 11 that hold “LINE 77”" in _said(page)
        assert page.locator("#log .hit .at").inner_text() == "77"
        assert page.locator("#log .hit mark").inner_text() == "line 77"
        page.locator("#log").focus()
        with page.expect_navigation():
            page.keyboard.press("p")  # before the first is the last
        assert page.locator("#log .hit .at").inner_text() == "779"
        with page.expect_navigation():
            page.keyboard.press("n")
        assert page.locator("#log .hit .at").inner_text() == "77"
        page.check("[name=only]")
        with page.expect_navigation():
            page.get_by_role("button", name="Find", exact=True).click()
        assert _numbers(page) == [77, *range(770, 780)]
        with page.expect_navigation():
            page.locator("#log .at").first.click()
        assert page.evaluate("location.hash") == "#L77"
        assert page.locator("#L77").is_visible()
        page = seen.go(f"/runs/{run_id}/logs?find=nowhere")
        assert "No line holds “nowhere”" in _said(page)
        seen.check()


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390)])
def test_errors_are_chosen_and_a_line_has_an_address(browser: Browser, server: Server, dark: bool, width: int) -> None:
    text = "INFO fine\nWARNING: odd\n" + "more\n" * 3000 + "Traceback (most recent call last):\nKeyError: 'x'\n"
    run_id = _logged(server, text)
    with look(browser, server.url, dark=dark, width=width) as seen:
        page = seen.go(f"/runs/{run_id}/logs")
        page.select_option("[name=level]", "warning")
        with page.expect_navigation():
            page.get_by_role("button", name="Find", exact=True).click()
        assert _numbers(page) == [2, 3003, 3004]
        assert "3 of 3004 lines are warnings or errors" in _said(page)
        seen.check()
        seen.shot(f"log-{width}{'-dark' if dark else ''}")
        page = seen.go(f"/runs/{run_id}/logs#L120")  # not among the last thousand: it is fetched
        page.wait_for_selector("#L120:target")
        assert page.locator("#log").evaluate("each => each.scrollTop") > 0
        seen.check()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    with look(browser, server.url, script=False) as seen:
        page = seen.go(f"/runs/{run_id}/logs?level=error")
        assert _numbers(page) == [3003, 3004]


def test_a_log_comes_as_it_is_also_one_in_pieces(server: Server) -> None:
    data = "\x1b[31mred\x1b[0m\né\n"
    run_id = _logged(server, data, piece_path("logs/output.log", 0, len(data.encode())))
    _log(server, run_id, "second", piece_path("logs/output.log", len(data.encode()), len(data.encode()) + 6))
    answer = server.call("GET", f"/runs/{run_id}/logs/raw", None, {}, file="logs/output.log")
    assert answer.body.decode() == data + "second"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]
    for path, more in (("logs", {"file": "nothing"}), ("logs/raw", {"file": "x"}), ("logs", {"level": "loud"})):
        assert server.call("GET", f"/runs/{run_id}/{path}", None, {}, **more).status == 400
    assert server.call("GET", f"/runs/{run_id}/logs", None, {}, line="999999", match="x").status == 200
