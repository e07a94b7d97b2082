"""Many runs at once: all that fit a filter, batch after batch; and back again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from browser import look
from server import Server
from shown import Shown

from toolkit.server.pages import runs_bulk
from toolkit.server.pages.view import RunsView
from toolkit.tracking.records import Lifecycle, NewRun, RunQuery

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=120_000)

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Place = tuple[Server, Shown]
MANY = 230
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def many(shown: Place) -> str:
    """An experiment with more runs than a page or a batch has."""
    server, _ = shown
    runs = server.stores.runs
    experiment = runs.create_experiment("many").experiment_id
    for n in range(MANY):
        params = {"half": "a" if n % 2 else "b"}
        new = NewRun(
            experiment_id=experiment,
            run_id=f"{n + 1:032x}",
            run_name=f"r{n}",
            user_id="ada",
            start_time=n,
            params=params,
        )
        runs.create_run(new)
    return experiment


def deleted(server: Server, experiment: str) -> int:
    query = RunQuery(experiment_ids=[experiment], lifecycle=Lifecycle.DELETED, limit=1_000)
    return len(server.stores.runs.list_runs(query).items)


def test_all_that_fit_are_deleted_and_undone(browser: Browser, shown: Place, many: str) -> None:
    server, _ = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{many}?cols=p:half")
        assert page.locator("#rows tr[data-run]").count() == 100
        expect(page.locator("#count")).to_have_text(f"{MANY} runs")
        page.check("[data-all]")
        page.get_by_role("button", name=f"Choose all {MANY} runs that fit").click()
        assert f"all {MANY} runs that fit are chosen" in page.inner_text("[data-chosen]")
        seen.shot("bulk")
        seen.check()
        page.click(".bulk button[value=delete]")
        expect(page.locator("#bulk-said")).to_contain_text(f"{MANY} runs deleted.")
        assert deleted(server, many) == MANY
        seen.check()
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("#bulk-said")).to_contain_text(f"{MANY} runs restored.")
        assert deleted(server, many) == 0
        assert seen.wrong == []


def test_only_what_fits_is_tagged(browser: Browser, shown: Place, many: str) -> None:
    server, _ = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{many}?q=params.half+%3D+%27a%27")
        page.check("[data-all]")
        page.click("button[data-whole]")
        page.click(".bulk summary")
        page.fill(".bulk input[name=key]", "team")
        page.fill(".bulk input[name=value]", "blue")
        page.click("text=Tag the chosen")
        expect(page.locator("#bulk-said")).to_contain_text(f"{MANY // 2} runs tagged.")
    found = server.stores.runs.search_runs(RunsView(experiment_id=many, filter="tags.team = 'blue'").search(limit=500))
    assert {run.data.params["half"] for run in found.items} == {"a"}
    assert len(found.items) == MANY // 2


def test_a_choice_of_all_ends_with_the_next_click(browser: Browser, shown: Place, many: str) -> None:
    server, _ = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{many}")
        page.check("[data-all]")
        page.click("button[data-whole]")
        page.locator("#rows input[name=run]").first.uncheck()
        assert "99 chosen" in page.inner_text("[data-chosen]")
        expect(page.locator("button[data-whole]")).to_be_hidden()
        page.click(".bulk button[value=delete]")
        expect(page.locator("#bulk-said")).to_contain_text("99 runs deleted.")
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("#bulk-said")).to_contain_text("99 runs restored.")


def test_a_batch_is_bounded_and_goes_on(shown: Place, many: str) -> None:
    server, _ = shown
    place = f"/experiments/{many}/runs/batch"
    first = server.call("POST", place, urlencode({"action": "delete", "view": "?sort=p:half"}).encode(), FORM)
    told = json.loads(first.body)
    assert len(told["runs"]) == runs_bulk.BATCH
    again = {"action": "delete", "view": "?sort=p:half", "after": told["after"]}
    last = json.loads(server.call("POST", place, urlencode(again).encode(), FORM).body)
    assert (len(last["runs"]), last["after"]) == (MANY - runs_bulk.BATCH, None)
    whole = {"action": "restore", "view": "?deleted=1", "after": ""}
    server.call("POST", place, urlencode(whole).encode(), FORM)
    assert deleted(server, many) == MANY - runs_bulk.BATCH
    for run_id in last["runs"]:
        server.stores.runs.update_run(run_id, lifecycle=Lifecycle.ACTIVE)


@pytest.mark.parametrize(
    "body",
    ["action=delete", "action=burn&run=x", "action=tag&run=x&key=a", "action=delete&view=q%3Dmetrics.x+%3C"],
    ids=["nothing", "unknown", "no-run", "bad-filter"],
)
def test_a_batch_that_cannot_be_done_says_why(shown: Place, many: str, body: str) -> None:
    server, _ = shown
    answer = server.call("POST", f"/experiments/{many}/runs/batch", body.encode(), FORM)
    assert answer.status in (400, 404)
    assert 'class="fault"' in answer.body.decode()
    assert deleted(server, many) == 0


def test_ids_are_copied_and_a_head_adds_an_order(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = seen.go(f"/experiments/{there.experiment}?cols=m:rmse&cols=p:alpha&sort=m:rmse")
        page.click("[data-copy-chosen]")
        expect(page.locator("#toasts")).to_contain_text("No run is chosen")
        chosen = page.locator("#rows input[name=run]")
        for place in (0, 1):
            chosen.nth(place).check()
        page.click("[data-copy-chosen]")
        expect(page.locator("#said")).to_have_text("Copied")
        ids = [chosen.nth(place).get_attribute("value") for place in (0, 1)]
        assert page.evaluate("navigator.clipboard.readText()").split() == ids
        with page.expect_navigation():
            page.click("th[data-column='p:alpha'] a", modifiers=["Shift"])
        assert "sort=m%3Armse%2Cp%3Aalpha" in page.url
        assert page.locator("th[aria-sort=ascending]").count() == 2
        assert seen.wrong == []
