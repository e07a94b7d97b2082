"""The palette, in a real browser: somewhere, something, or what the page can do, by the keyboard alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from browser import look
from server import Server
from shown import HOSTILE, Shown

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=120_000)

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Place = tuple[Server, Shown]


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390)], ids=["light", "dark", "phone"])
def test_something_is_found_and_opened(browser: Browser, shown: Place, dark: bool, width: int) -> None:
    server, there = shown
    with look(browser, server.url, dark=dark, width=width) as seen:
        page = seen.go("/")
        page.get_by_role("button", name="Go, find, do").click()
        page.keyboard.type("gbm-1")
        options = page.locator("#palette [role=option]")
        expect(options.first).to_contain_text("gbm-1")
        seen.shot(f"palette{'-dark' if dark else ''}{'-phone' if width < 600 else ''}")
        seen.check()
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.url.endswith(f"/runs/{there.run}")
        page.keyboard.press("Control+k")
        page.keyboard.type(there.parent[:8])
        expect(options.first).to_contain_text("pipeline")
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        expect(page.locator("#palette")).to_have_count(0)
        assert seen.wrong == []


def test_what_was_looked_at_and_what_the_page_can_do(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        seen.go(f"/runs/{there.run}")
        page = seen.go(f"/experiments/{there.experiment}")
        page.keyboard.press("Control+k")
        recent = page.get_by_role("group", name="Recent").get_by_role("option")
        assert recent.all_inner_texts()[0].split("\n")[0] == "gbm-1"
        page.keyboard.type("next run")
        expect(page.locator("#palette [role=option]")).to_have_count(1)
        page.keyboard.press("Enter")
        expect(page.locator("#rows tr[data-run] .name > a").first).to_be_focused()
        page.keyboard.press("Control+k")
        page.keyboard.type("deploy")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.url.endswith("/deployments")


def test_hostile_names_are_found_and_do_nothing(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        seen.go(f"/runs/{there.hostile_run}")
        page = seen.go(f"/experiments/{there.hostile}")
        page.keyboard.press("Control+k")
        expect(page.get_by_role("group", name="Recent")).to_contain_text("<img src=x")
        page.keyboard.type("<img src=x")
        expect(page.get_by_role("group", name="Runs")).to_contain_text("<img src=x")
        assert page.locator("img[src=x]").count() == 0
        assert seen.wrong == []
    told = json.loads(server.call("GET", f"/find/glance?q={quote(HOSTILE)}").body)
    assert [group["title"] for group in told["groups"]] == ["Runs"]


@pytest.mark.parametrize(
    "text",
    ["", "%", "'", "zzzz", "f" * 64, "x" * 5_000, "x" * 499 + "'"],
    ids=["no", "any", "quote", "none", "id", "long", "cut"],
)
def test_every_text_can_be_looked_for(shown: Place, text: str) -> None:
    server, _ = shown
    answer = server.call("GET", f"/find/glance?q={quote(text)}")
    assert answer.status == 200
    assert all(len(group["items"]) <= 8 for group in json.loads(answer.body)["groups"])
