"""The table of an experiment's runs, in a real browser: groups, courses, saved views, completion, what goes on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest
from browser import look
from server import Server
from shown import HOSTILE, Shown
from sqlalchemy import event
from sqlalchemy.engine import Engine

from toolkit.server.pages.columns import Column, loaded
from toolkit.server.pages.groups import groups_of
from toolkit.server.pages.view import RunsView
from toolkit.tracking.memory import MemoryRunStore
from toolkit.tracking.records import Lifecycle, Metric, NewRun, RunStatus, SearchQuery

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=120_000)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Place = tuple[Server, Shown]


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390)], ids=["light", "dark", "phone"])
def test_groups_are_counted_summed_up_and_unfolded(browser: Browser, shown: Place, dark: bool, width: int) -> None:
    server, there = shown
    with look(browser, server.url, dark=dark, width=width) as seen:
        page = seen.go(f"/experiments/{there.experiment}?group=p:model&cols=m:rmse")
        groups = page.locator("tr[data-group-row]")
        assert [text.split("\n")[0].strip() for text in groups.locator("th").all_inner_texts()] == [
            "gbm 2 runs",
            "rf 2 runs",
            "none 2 runs",
        ]
        assert "0.8020" in groups.nth(0).inner_text()
        assert "0.8010 … 0.8030" in groups.nth(0).inner_text()
        groups.nth(0).get_by_role("button", name="Runs of gbm").click()
        expect(page.locator("tr.child[data-run]")).to_have_count(2)
        seen.shot(f"groups{'-dark' if dark else ''}{'-phone' if width < 600 else ''}")
        seen.check()
        with page.expect_navigation():
            groups.nth(2).get_by_role("link", name="none").click()
        assert page.locator("tr[data-run]").count() == 2
        seen.check()


def test_groups_of_hostile_values_do_nothing(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.hostile}?group=p:p&cols=m:m")
        page.locator("tr[data-group-row] .fold").click()
        expect(page.locator("tr.child[data-run]")).to_have_count(1)
        assert HOSTILE[:20] in page.inner_text("main")
        assert seen.wrong == []


def test_groups_leave_out_what_is_no_number() -> None:
    store = MemoryRunStore()
    for n, value in enumerate((1.7e308, 1.7e308, float("nan"))):
        run = store.create_run(
            NewRun(experiment_id="0", run_id=f"{n:032x}", run_name="r", user_id="u", start_time=n, params={"p": "it's"})
        )
        store.log_batch(run.info.run_id, metrics=[Metric(key="m", value=value, timestamp=n, step=0)])
    view = RunsView.read([("group", "p:p"), ("cols", "m:m")], "0")
    (group,) = groups_of(store, view, [Column("m", "m")]).items
    (spread,) = group.spreads
    assert spread is not None
    assert (group.count, spread.count, spread.mean) == (3, 2, "1.7e308")
    assert len(store.search_runs(view.within("it's").search()).items) == 3


def test_a_view_is_saved_shared_and_forgotten(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?q=params.model+%3D+%27gbm%27&cols=p:alpha")
        page.locator(".views summary").click()
        page.locator(".views input[name=view]").fill("only gbm")
        with page.expect_navigation():
            page.get_by_role("button", name="Save", exact=True).click()
        assert "Views: only gbm" in page.inner_text(".views summary")
        seen.go(f"/experiments/{there.experiment}")
        page.locator(".views summary").click()
        seen.check()
        with page.expect_navigation():
            page.get_by_role("link", name="only gbm").click()
        assert page.locator("tr[data-run]").count() == 2
        assert page.input_value("[data-page-filter]") == "params.model = 'gbm'"
        page.locator(".views summary").click()
        with page.expect_navigation():
            page.get_by_role("button", name="Forget the view only gbm").click()
        assert "toolkit.view.only gbm" not in server.stores.runs.get_experiment(there.experiment).tags


def test_what_is_filtered_now_is_what_a_view_saves(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}")
        page.fill("[data-page-filter]", "params.model = 'rf'")
        page.keyboard.press("Enter")
        expect(page.locator("tr[data-run]")).to_have_count(2)
        page.locator(".views summary").click()
        page.locator(".views input[name=view]").fill("forests")
        with page.expect_navigation():
            page.get_by_role("button", name="Save", exact=True).click()
        saved = server.stores.runs.get_experiment(there.experiment).tags["toolkit.view.forests"]
        assert saved == "q=params.model+%3D+%27rf%27&cols=usual"
        expect(page.locator(".views summary")).to_have_text("Views: forests")


def test_fields_are_completed_by_the_keyboard(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}")
        field = page.locator("[data-page-filter]")
        field.press_sequentially("alp")
        option = page.get_by_role("option", name="params.alpha")
        expect(option).to_be_visible()
        seen.check()
        field.press("ArrowDown")
        assert option.get_attribute("aria-selected") == "true"
        seen.shot("completion")
        field.press("Enter")
        assert field.input_value() == "params.alpha "
        field.press_sequentially("= '0.1' and val")
        expect(page.get_by_role("option", name="metrics.val/rmse")).to_be_visible()
        field.press("Escape")
        expect(page.locator("#fields")).to_be_hidden()
        assert field.input_value() == "params.alpha = '0.1' and val"


def test_a_cell_makes_a_filter(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?cols=p:model&cols=m:rmse")
        page.get_by_role("cell", name="rf", exact=True).first.click()
        page.get_by_role("button", name="only this").click()
        expect(page.locator("tr[data-run]")).to_have_count(2)
        assert page.input_value("[data-page-filter]") == "params.`model` = 'rf'"
        page.locator("tr[data-run] .name a").first.focus()
        for key in ("ArrowRight", "ArrowRight", "Enter"):
            page.keyboard.press(key)
        seen.check()
        page.keyboard.press("Enter")  # the first question: at least as much
        expect(page.locator("tr[data-run]")).to_have_count(1)


def test_the_primary_metric_has_a_course(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?cols=s:val%2Frmse&cols=m:rmse")
        expect(page.locator("td.s svg.spark")).to_have_count(4)
        seen.check()
        server.stores.runs.update_experiment(there.experiment, tags={"toolkit.primary_metric": "val/rmse"})
        page = seen.go(f"/experiments/{there.experiment}")
        expect(page.locator("td.s svg.spark")).to_have_count(4)


def test_only_runs_with_steps_fold(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}")
        fold = page.locator("tr[data-run] .fold")
        assert fold.count() == 1
        assert fold.inner_text().strip() == "2"
        fold.click()
        expect(page.locator("tr.child[data-run]")).to_have_count(2)
        seen.check()


def test_runs_that_go_on_move_and_new_ones_are_told(browser: Browser, shown: Place) -> None:
    server, there = shown
    runs = server.stores.runs
    new = NewRun(
        experiment_id=there.experiment, run_id="e" * 32, run_name="goes-on", user_id="ada", start_time=1, params={}
    )
    runs.create_run(new)
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?cols=m:rmse")
        row = page.locator(f"tr[data-run='{new.run_id}']")
        row.locator("input").check()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/live?" in request.url else None)
        runs.log_batch(new.run_id, metrics=[Metric(key="rmse", value=0.25, timestamp=1, step=0)])
        runs.update_run(new.run_id, status=RunStatus.FINISHED)
        later = NewRun(
            experiment_id=there.experiment, run_id="d" * 32, run_name="l", user_id="ada", start_time=2**42, params={}
        )
        runs.create_run(later)
        page.evaluate("document.body.dispatchEvent(new Event('toolkit:beat'))")
        expect(row.locator("td.n")).to_have_text("0.2500")
        expect(page.locator("[data-new-runs]")).to_have_text("1 new run")
        assert row.locator("input").is_checked()
        assert asked[0].count("run=") == 1  # not those that have ended
        assert row.get_attribute("data-goes-on") is None
        seen.check()
    for run_id in (new.run_id, later.run_id):
        runs.update_run(run_id, status=RunStatus.FINISHED)


def test_a_page_asks_the_store_as_often_for_many_rows_as_for_one(shown: Place) -> None:
    server, _ = shown
    runs = server.stores.runs
    counts = []
    for number in (1, 40):
        experiment = runs.create_experiment(f"wide-{number}").experiment_id
        for n in range(number):
            new = NewRun(
                experiment_id=experiment, run_id=f"{number:016x}{n:016x}", run_name="w", user_id="u", start_time=n
            )
            runs.create_run(new)
            runs.log_batch(new.run_id, params={"alpha": str(n)})
        asked: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object, asked: list[str] = asked) -> None:
            asked.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        try:
            told = httpx.get(f"{server.url}/experiments/{experiment}")
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        assert told.text.count("<tr data-run") == number
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_only_values_that_are_shown_are_loaded() -> None:
    shown = [Column("a", "started"), Column("m", "rmse"), Column("p", "alpha"), Column("s", "rmse")]
    assert loaded(shown) == ["metrics.`rmse`", "params.`alpha`"]


def test_a_column_shows_the_least_or_the_greatest_value(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?cols=m:val%2Frmse&cols=p:model&q=params.model+IS+NOT+NULL")
        page.get_by_role("button", name="Menu of val/rmse").click()
        seen.check()
        with page.expect_navigation():
            page.get_by_role("button", name="Greatest value").click()
        assert page.locator("#rows td.n").all_inner_texts() == ["1", "1", "1", "1"]
        assert "cols=max%3Aval%2Frmse&cols=p%3Amodel" in page.url
        seen.check()
        seen.shot("greatest")
        page.get_by_role("button", name="Menu of model").click()
        with page.expect_navigation():
            page.get_by_role("button", name="Move left").click()
        assert page.locator("th[data-column]").nth(1).get_attribute("data-column") == "p:model"
        page.get_by_role("button", name="Menu of model").click()
        with page.expect_navigation():
            page.get_by_role("button", name="Hide").click()
        assert page.locator("th[data-column='p:model']").count() == 0
    told = server.call("GET", f"/experiments/{there.experiment}/runs.csv?cols=min:val/rmse&cols=max:val/rmse")
    row = next(line for line in told.body.decode().splitlines() if "gbm-1" in line)
    low, high = map(float, row.split(",")[-2:])
    assert (round(low, 4), high) == (0.008, 1.0)


def test_best_values_are_marked_where_the_direction_is_known(shown: Place) -> None:
    server, there = shown
    told = server.call("GET", f"/experiments/{there.experiment}?cols=m:rmse&cols=p:alpha&q=params.alpha+IS+NOT+NULL")
    assert told.body.decode().count('class="n best"') == 1
    assert '<td class="n best" title="0.8">' in told.body.decode()


def test_columns_are_remembered_until_the_usual_ones_are_wanted(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?cols=p:same&cols=m:rmse")
        heads = page.locator("th[data-column]:not(.name)")
        page = seen.go(f"/experiments/{there.experiment}")
        assert [head.get_attribute("data-column") for head in heads.all()] == ["p:same", "m:rmse"]
        page = seen.go(f"/experiments/{there.hostile}")
        assert "p:same" not in [head.get_attribute("data-column") for head in heads.all()]  # it is another experiment
        page = seen.go(f"/experiments/{there.experiment}")
        page.click("details.columns summary")
        with page.expect_navigation():
            page.get_by_role("link", name="The usual ones").click()
        assert heads.first.get_attribute("data-column") == "a:started"
        page = seen.go(f"/experiments/{there.experiment}")
        assert heads.first.get_attribute("data-column") == "a:started"
        seen.check()


def copied(page: Page) -> str:
    """Return what *Copy the address* copies."""
    page.evaluate(
        "Object.defineProperty(navigator.clipboard, 'writeText', {value: async (t) => { window.copied = t; }})"
    )
    page.locator(".views summary").click()
    page.get_by_role("button", name="Copy the address").click()
    page.wait_for_function("window.copied")
    text: str = page.evaluate("window.copied")
    page.keyboard.press("Escape")
    return text


def columns_of(page: Page) -> list[str | None]:
    return [head.get_attribute("data-column") for head in page.locator("th[data-column]:not(.name)").all()]


def test_an_address_that_is_copied_shows_the_same_to_somebody_else(browser: Browser, shown: Place) -> None:
    server, there = shown
    plain = f"/experiments/{there.experiment}"
    with look(browser, server.url) as seen, look(browser, server.url) as other:
        page = seen.go(f"{plain}?cols=p:same&cols=m:rmse")
        page = seen.go(f"{plain}?sort=m:rmse&theme=light")
        expect(page).to_have_url(f"{server.url}{plain}?sort=m%3Armse&theme=light&cols=p%3Asame&cols=m%3Armse")
        address = copied(page)
        page.fill("[data-page-filter]", "params.model = 'rf'")
        page.keyboard.press("Enter")
        expect(page.locator("tr[data-run]")).to_have_count(2)
        expect(page).to_have_url(re.compile(r"q=params.*cols=p%3Asame&cols=m%3Armse"))
        page.locator(".views summary").click()
        page.locator(".views input[name=view][required]").fill("remembered")
        with page.expect_navigation():
            page.get_by_role("button", name="Save", exact=True).click()
        saved = server.stores.runs.get_experiment(there.experiment).tags["toolkit.view.remembered"]
        assert saved.endswith("&cols=p%3Asame&cols=m%3Armse")
        seen.check()

        theirs = other.go(plain)
        usual = columns_of(theirs)
        assert usual[0] == "a:started"
        without = copied(theirs)
        theirs.goto(address)
        assert columns_of(theirs) == ["p:same", "m:rmse"]
        page.goto(without)
        assert columns_of(page) == usual
        other.check()


def test_columns_that_another_tab_chose_stand_in_the_address_of_the_next_search(browser: Browser, shown: Place) -> None:
    server, there = shown
    plain = f"/experiments/{there.experiment}"
    with look(browser, server.url) as seen:
        page = seen.go(plain)
        page.context.request.get(f"{server.url}{plain}?cols=p:same")
        page.fill("[data-page-filter]", "params.model = 'rf'")
        page.keyboard.press("Enter")
        expect(page.locator("th[data-column='p:same']")).to_have_count(1)
        expect(page).to_have_url(re.compile(r"cols=p%3Asame"))
        seen.check()


def test_columns_are_found_by_a_part_of_their_names(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?cols=p:alpha")
        page.click("details.columns summary")
        page.fill(".picker [data-narrow]", "RMSE")
        shown_now = page.locator(".picker [data-narrowed]:visible")
        assert {each.get_attribute("data-narrowed") for each in shown_now.all()} == {"rmse", "val/rmse"}
        page.check(".picker input[value='m:val/rmse']")
        seen.check()
        with page.expect_navigation():
            page.click(".picker button")
        assert set(columns_of(page)) == {"p:alpha", "m:val/rmse"}  # what is not seen stays chosen


def test_columns_are_chosen_without_script(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url, script=False) as seen:
        page = seen.go(f"/experiments/{there.experiment}?q=params.model+IS+NOT+NULL")
        page.click("details.columns summary")
        page.click("text=Choose columns")
        assert page.inner_text("h1") == "Columns of wine"
        page.uncheck("input[name=cols][value='a:duration']")
        page.check("input[name=cols][value='p:same']")
        page.click("text=Show these")
        assert "p:same" in columns_of(page)
        assert "a:duration" not in columns_of(page)
        assert page.locator("tr[data-run]").count() == 4
        page.click("details.columns summary")
        page.click("text=Choose columns")
        page.click("text=The usual ones")
        assert columns_of(page)[0] == "a:started"


def test_a_search_groups_and_takes_steps_and_deleted_runs(browser: Browser, shown: Place) -> None:
    server, there = shown
    runs = server.stores.runs
    gone = NewRun(
        experiment_id=there.experiment, run_id="90" * 16, run_name="gone", user_id="u", start_time=1_000, params={}
    )
    runs.create_run(gone)
    runs.update_run(gone.run_id, lifecycle=Lifecycle.DELETED)
    query = SearchQuery(experiment_ids=[there.experiment], limit=100)
    together = len(runs.search_runs(query).items)  # other tests have made some
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?cols=p:model&cols=m:rmse")
        search = page.locator("form.filter")
        search.get_by_label("Steps too").check()
        search.get_by_role("button", name="Search").click()
        expect(page.locator("tr[data-run]")).to_have_count(together)
        assert "children=1" in page.url
        search.get_by_label("Steps too").uncheck()
        search.get_by_label("Group by").select_option("p:model")
        search.get_by_role("button", name="Search").click()
        expect(page.locator("tr[data-group-row]")).to_have_count(3)
        search.get_by_label("Group by").select_option("")
        search.get_by_label("Deleted").check()
        search.get_by_role("button", name="Search").click()
        expect(page.locator("tr[data-run]", has_text="gone")).to_have_count(1)
        page.reload()
        assert search.get_by_label("Deleted").is_checked()
        seen.check()


@pytest.mark.parametrize("text", ["rubbish", "_w", "eno6cQ", "A" * 9_000], ids=["text", "bytes", "column", "long"])
def test_a_cookie_of_somebody_else_is_passed_over(shown: Place, text: str) -> None:
    server, there = shown
    answer = server.call("GET", f"/experiments/{there.experiment}", b"", {"Cookie": f"toolkit_columns={text}"})
    assert answer.status in (200, 431)
    assert "Traceback" not in answer.body.decode()
