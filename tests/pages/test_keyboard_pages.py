"""Keys of pages, in a real browser: what carries a key is clicked by it, and whoever wants none has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser import look
from server import Server
from shown import Shown

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=120_000)

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Place = tuple[Server, Shown]


def test_keys_click_what_carries_them(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{there.run}")
        with page.expect_navigation():
            page.keyboard.press("3")  # the third tab
        assert page.url.endswith("/artifacts")
        page.keyboard.press(".")
        expect(page.locator(".head details.menu")).to_have_attribute("open", "")
        page.keyboard.press("Escape")
        page.keyboard.press("/")
        page.keyboard.type("1t?")  # into the field: no key works there
        assert page.input_value("#find") == "1t?"
        assert page.url.endswith("/artifacts")
        page.locator("#find").blur()
        with page.expect_navigation():
            page.keyboard.press("t")
        assert page.locator("html").get_attribute("data-theme") == "dark"
        page.keyboard.press("g")
        with page.expect_navigation():
            page.keyboard.press("e")
        assert page.url.endswith("/experiments")
        assert seen.wrong == []


def test_the_list_of_keys_names_those_of_the_page_and_switches_them_off(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{there.run}")
        page.keyboard.press("?")
        dialog = page.get_by_role("dialog", name="Keys of this page")
        expect(dialog).to_contain_text("Charts")
        seen.check()
        seen.shot("keys")
        dialog.get_by_label("Single keys work").uncheck()
        dialog.get_by_role("button", name="Close").click()
        page.keyboard.press("2")
        page.keyboard.press("?")
        assert not dialog.is_visible()
        assert page.url.endswith(there.run)
        page.get_by_role("button", name="Keys of this page").click()
        dialog.get_by_label("Single keys work").check()
        dialog.get_by_role("button", name="Close").click()
        with page.expect_navigation():
            page.keyboard.press("2")
        assert page.url.endswith("/charts")
