"""Keys of pages, in a real browser: what carries a key is clicked by it, and whoever wants none has none."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from browser import Seen, look
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


def test_a_table_is_walked_chosen_and_peeked_at_by_keys(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?cols=m:rmse&cols=p:model&sort=m:rmse")
        names = page.locator("tr[data-run] .name > a").all_inner_texts()
        page.keyboard.press("j")
        page.keyboard.press("j")
        assert page.evaluate("document.activeElement.textContent") == names[1]
        page.keyboard.press("x")
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("X")
        assert page.locator("tr.chosen .name > a").all_inner_texts() == names[1:4]
        assert "3 chosen" in page.inner_text("[data-chosen]")
        page.keyboard.press("o")
        peek = page.get_by_role("complementary", name="The run at a glance")
        expect(peek.locator("h2")).to_have_text(names[3])
        seen.check()
        seen.shot("peek")
        page.keyboard.press("k")
        expect(peek.locator("h2")).to_have_text(names[2])
        page.keyboard.press("Escape")
        expect(peek).to_be_hidden()
        page.keyboard.press("Escape")
        assert page.locator("tr.chosen").count() == 0
        page.keyboard.press("f")
        expect(page.get_by_role("group", name="Filter by metrics.`rmse`")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        page.keyboard.press("x")
        page.keyboard.press("k")
        page.keyboard.press("x")
        with page.expect_navigation():
            page.keyboard.press("c")
        assert "/compare" in page.url


def test_all_runs_are_chosen_while_one_has_the_focus(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?cols=m:rmse")
        chosen = page.locator("#rows input[name=run]:checked")
        page.keyboard.press("?")
        dialog = page.get_by_role("dialog", name="Keys of this page")
        expect(dialog).to_contain_text("Ctrl+A")
        dialog.get_by_role("button", name="Close").click()
        page.keyboard.press("Control+a")
        assert chosen.count() == 0  # it is the browser's
        page.keyboard.press("j")
        page.keyboard.press("Control+a")
        expect(chosen).to_have_count(6)
        seen.check()


def test_others_are_held_against_a_baseline(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?cols=m:rmse&q=params.alpha+IS+NOT+NULL&sort=m:rmse")
        page.keyboard.press("j")
        with page.expect_navigation():
            page.keyboard.press("b")
        base = page.locator("tr.base")
        assert "gbm-0" in base.inner_text()
        assert page.locator("#rows .versus").all_inner_texts() == ["▼ +0.001000", "▼ +0.002000", "▼ +0.003000"]
        seen.check()
        seen.shot("baseline")
        page.fill("[data-page-filter]", "params.model = 'gbm'")
        page.keyboard.press("Enter")
        expect(page.locator("#rows tr[data-run]")).to_have_count(2)
        assert "gbm-0" in base.inner_text()  # it does not fit the filter, and stays
        with page.expect_navigation():
            base.get_by_role("link", name="No baseline").click()
        assert base.count() == 0


def test_a_colour_is_chosen_and_kept(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}")
        row = page.locator(f"tr[data-run='{there.run}']")
        row.get_by_role("button", name="Menu of gbm-1").click()
        seen.check()
        page.get_by_role("button", name="Colour 5").click()
        expect(row.locator(".dot")).to_have_class("dot d5")
        page.reload()
        assert row.locator(".dot").get_attribute("class") == "dot d5"
        assert server.stores.runs.get_run(there.run).data.tags["toolkit.colour"] == "5"
        server.stores.runs.log_batch(there.run, tags={"toolkit.colour": None})
        assert seen.wrong == []


def test_widths_are_set_by_keys_and_stand_in_the_address(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?cols=m:rmse&cols=p:model")
        grip = page.get_by_role("separator", name="Width of model")
        before = page.locator("th[data-column='p:model']").bounding_box()
        grip.focus()
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        after = page.locator("th[data-column='p:model']").bounding_box()
        assert before
        assert after
        assert round(after["width"] - before["width"]) == 80
        assert "~p:model" in unquote(page.url)
        seen.check()
        page.reload()
        again = page.locator("th[data-column='p:model']").bounding_box()
        assert again
        assert abs(again["width"] - after["width"]) < 1
        box = page.locator("th[data-column='m:rmse'] .grip").bounding_box()
        assert box
        page.mouse.move(box["x"] + 4, box["y"] + 10)
        page.mouse.down()
        page.mouse.move(box["x"] + 64, box["y"] + 10, steps=4)
        page.mouse.up()
        assert "~m:rmse" in unquote(page.url)
        page.keyboard.press("/")
        page.keyboard.type("params.model = 'rf'")
        page.keyboard.press("Enter")
        expect(page.locator("#rows tr[data-run]")).to_have_count(2)
        assert "~m:rmse" in unquote(page.url)


def test_hostile_names_do_nothing_beside_the_table(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(
            f"/experiments/{there.hostile}?cols=p:p&cols=m:m&base={there.hostile_run}&q=params.p+LIKE+'%25<img%25'"
        )
        page.keyboard.press("j")
        page.keyboard.press("o")
        peek = page.locator("#peek")
        expect(peek).to_contain_text("<img src=x")
        page.locator("#rows .mark").first.click()
        assert "<img src=x" in (page.locator("#cell-menu").get_attribute("aria-label") or "")
        assert "<img%" in page.inner_text(".chips.parts")
        assert page.locator("img[src=x]").count() == 0
        assert seen.wrong == []


def test_what_is_opened_can_be_read_in_the_dark(browser: Browser, shown: Place) -> None:
    """Menus of the page, of heads, cells and rows, the run at a glance, proposals, keys and the palette."""
    server, there = shown
    wrong: list[str] = []

    def contrast(seen: Seen, name: str) -> None:
        wrong.extend(f"{name}: {each}" for each in seen.serious("color-contrast"))

    with look(browser, server.url, dark=True) as seen:
        for place in (f"/experiments/{there.experiment}?cols=m:rmse&cols=p:model", f"/runs/{there.run}"):
            page = seen.go(place)
            page.wait_for_selector("html[data-ready]")
            summaries = page.locator("main details.menu > summary")
            opened = 0
            for each in [each for each in summaries.all() if each.is_visible()]:
                each.click()
                panel = each.locator("xpath=following-sibling::*").first
                expect(panel).to_be_visible()
                expect(panel).not_to_have_text("…")
                contrast(seen, f"{place}: {each.inner_text()}")
                each.click()
                opened += 1
            assert opened > 0
        page = seen.go(f"/experiments/{there.experiment}?cols=m:rmse&cols=p:model")
        page.wait_for_selector("html[data-ready]")
        for name in (".head-menu", "#rows .mark"):
            page.locator(name).first.click()
            expect(page.locator("#cell-menu")).to_be_visible()
            contrast(seen, name)
            page.keyboard.press("Escape")
        page.keyboard.press("j")
        page.keyboard.press("f")
        expect(page.get_by_role("group", name="Filter by")).to_be_visible()
        contrast(seen, "cell")
        page.keyboard.press("Escape")
        page.keyboard.press("o")
        expect(page.locator("#peek h2")).to_be_visible()
        contrast(seen, "peek")
        page.keyboard.press("Escape")
        page.keyboard.press("/")
        page.keyboard.type("met")
        expect(page.locator("main [role=option]").first).to_be_visible()
        contrast(seen, "proposals")
        page.keyboard.press("Escape")
        page.locator("h1").click()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys of this page")).to_be_visible()
        contrast(seen, "keys")
        page.keyboard.press("Escape")
        page.keyboard.press("Control+k")
        expect(page.locator("#palette [role=option]").first).to_be_visible()
        contrast(seen, "palette")
        assert seen.wrong == []
    assert wrong == [], "\n".join(wrong)
