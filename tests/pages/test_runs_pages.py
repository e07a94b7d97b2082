"""Pages of experiments and runs, in a real browser, with what real runs have logged."""

from __future__ import annotations

import html
import shlex
from typing import TYPE_CHECKING

import httpx
import pytest
from browser import look
from server import Server
from shown import HOSTILE, Shown

from toolkit.server.pages import experiments
from toolkit.tracking.records import Lifecycle, Metric, NewRun

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=120_000)

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Place = tuple[Server, Shown]


def pages(shown: Shown) -> dict[str, str]:
    return {
        "home": "/",
        "experiments": "/experiments",
        "experiment": f"/experiments/{shown.experiment}",
        "nothing-found": f"/experiments/{shown.experiment}?q=metrics.rmse+%3E+7",
        "bad-filter": f"/experiments/{shown.experiment}?q=metrics.rmse+%3C",
        "empty": "/experiments/0",
        "run": f"/runs/{shown.run}",
        "steps": f"/runs/{shown.parent}/children",
        "failed": f"/runs/{shown.broken}",
        "hostile-experiment": f"/experiments/{shown.hostile}?cols=p:p&cols=t:t",
        "hostile-run": f"/runs/{shown.hostile_run}",
        "not-found": "/runs/nothing",
    }


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390)], ids=["light", "dark", "phone"])
def test_every_page_is_accessible_and_quiet(browser: Browser, shown: Place, dark: bool, width: int) -> None:
    server, there = shown
    for name, path in pages(there).items():
        with look(browser, server.url, dark=dark, width=width) as seen:
            page = seen.go(path)
            assert page.locator("h1").count() == 1, name
            seen.shot(f"{name}{'-dark' if dark else ''}{'-phone' if width < 600 else ''}")
            if name in ("not-found",):
                seen.wrong.clear()  # the browser says that the answer was 404
            seen.check()
            wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
            assert not wide, f"{name} scrolls sideways"


def test_names_that_are_script_do_nothing(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        for path in (
            "/",
            "/experiments",
            f"/experiments/{there.hostile}?cols=p:p&cols=t:t",
            f"/runs/{there.hostile_run}",
        ):
            page = seen.go(path)
            assert page.locator("img[src=x]").count() == 0
            assert HOSTILE[:20] in page.inner_text("main")
        assert seen.wrong == []


def test_a_filter_finds_and_says_where_it_is_wrong(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}")
        assert page.locator("tbody tr[data-run]").count() == 6
        page.fill("[data-page-filter]", "metrics.rmse > 0.8005 and params.model = 'gbm'")
        page.keyboard.press("Enter")
        expect(page.locator("tbody tr[data-run]")).to_have_count(2)
        assert "q=metrics.rmse" in page.url
        page.reload()
        assert page.locator("tbody tr[data-run]").count() == 2
        page.fill("[data-page-filter]", "metrics.rmse LIEK 3")
        page.keyboard.press("Enter")
        page.wait_for_selector("pre.fault")
        assert "found 'LIEK', wanted an operator" in page.inner_text("pre.fault")
        assert "^" in page.inner_text("pre.fault")
        assert seen.wrong == []


def test_a_run_is_found_by_its_id_and_others_by_their_names(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go("/")
        page.fill("#find", there.run[:9])
        page.keyboard.press("Enter")
        page.wait_for_selector("main a:has-text('gbm-1')")
        seen.check()
        page.fill("#find", there.run)
        page.keyboard.press("Enter")
        page.wait_for_selector("h1:has-text('gbm-1')")
        page = seen.go("/find?q=WIN")
        assert page.locator("main a").first.inner_text() == "wine"
        page = seen.go("/find?q='%25%3Cimg src=x onerror=alert(1)%3E")
        assert "Nothing has" in page.inner_text("main")
        assert seen.wrong == []


def test_steps_unfold_below_their_run(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}")
        page.click(f'tr[data-run="{there.parent}"] .fold')
        expect(page.locator("tr.child")).to_have_count(2)
        names = [each.inner_text().strip() for each in page.locator("tr.child .name").all()]
        assert sorted(names) == ["prepare", "train"]


def test_steps_that_cannot_unfold_are_told_and_leave_the_table(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}")
        page.route("**/children/**", lambda route: route.fulfill(status=500, body="<p class='wrong'>fault</p>"))
        fold = page.locator(f'tr[data-run="{there.parent}"] .fold')
        fold.click()
        expect(page.locator("#toasts")).to_contain_text("The server answered 500")
        expect(fold).to_have_attribute("aria-expanded", "false")
        expect(page.locator(".wrong")).to_have_count(0)
        page.unroute("**/children/**")
        fold.click()
        expect(page.locator("tr.child")).to_have_count(2)
        seen.wrong.clear()  # the browser says that an answer was 500


def test_columns_are_chosen_and_stand_in_the_address(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?sort=-m:val/rmse")
        shown_first = page.locator("tbody tr[data-run] .name").first.inner_text().strip()
        assert shown_first == "gbm-3"
        page.click("details.columns summary")
        page.wait_for_selector(".picker")
        page.uncheck("input[name=cols][value='a:duration']")
        page.check("input[name=cols][value='p:same']")
        page.click(".picker button")
        page.wait_for_selector("th:has-text('same')")
        assert page.locator("th:has-text('duration')").count() == 0
        assert "cols=p%3Asame" in page.url


def test_runs_are_tagged_deleted_and_restored(browser: Browser, shown: Place) -> None:
    server, _ = shown
    runs = server.stores.runs
    made = [
        runs.create_run(
            NewRun(experiment_id="0", run_id=f"{i:032x}", run_name=f"bulk-{i}", user_id="u", start_time=1_000 + i)
        ).info.run_id
        for i in range(1, 4)
    ]
    with look(browser, server.url) as seen:
        page = seen.go("/experiments/0")
        page.check(f'input[value="{made[0]}"]')
        page.check(f'input[value="{made[1]}"]')
        assert "2 chosen" in page.inner_text(".bulk")
        page.click(".bulk summary")
        page.fill(".bulk input[name=key]", "team")
        page.fill(".bulk input[name=value]", "blue")
        with page.expect_navigation():
            page.click("text=Tag the chosen")
        assert [runs.get_run(each).data.tags.get("team") for each in made] == ["blue", "blue", None]
        page.check(f'input[value="{made[2]}"]')
        with page.expect_navigation():
            page.click(".bulk button[value=delete]")
        assert runs.get_run(made[2]).info.lifecycle_stage is Lifecycle.DELETED
        page = seen.go("/experiments/0?deleted=1")
        page.check(f'input[value="{made[2]}"]')
        with page.expect_navigation():
            page.click(".bulk button[value=restore]")
        assert runs.get_run(made[2]).info.lifecycle_stage is Lifecycle.ACTIVE
        assert seen.wrong == []


def test_a_run_is_renamed_noted_and_tagged(browser: Browser, shown: Place) -> None:
    server, _ = shown
    runs = server.stores.runs
    run_id = runs.create_run(
        NewRun(experiment_id="0", run_id="f" * 32, run_name="before", user_id="u", start_time=1_000)
    ).info.run_id
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}")
        page.click("main details.menu summary")
        page.fill("main .menu input[name=name]", "after")
        page.click("button[value=rename]")
        page.wait_for_selector("h1:has-text('after')")
        page.click("text=Write a note")
        page.fill("textarea[name=note]", "# good")
        with page.expect_navigation():
            page.click("button[value=note]")
        assert runs.get_run(run_id).data.tags["mlflow.note.content"] == "# good"
        assert seen.wrong == []


def test_pages_can_be_read_without_script(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url, script=False) as seen:
        page = seen.go(f"/experiments/{there.experiment}")
        page.fill("[data-page-filter]", "params.model = 'gbm'")
        page.click("button:has-text('Search')")
        assert page.locator("tbody tr[data-run]").count() == 2
        page.click("tbody a >> nth=0")
        assert page.locator("h1").inner_text().startswith("gbm-")


def test_runs_are_tagged_deleted_and_restored_without_script(browser: Browser, shown: Place) -> None:
    server, _ = shown
    runs = server.stores.runs
    experiment = runs.create_experiment("no script").experiment_id
    made = [
        runs.create_run(
            NewRun(experiment_id=experiment, run_id=f"{i:032x}", run_name=f"plain-{i}", user_id="u", start_time=i)
        ).info.run_id
        for i in range(11, 14)
    ]
    with look(browser, server.url, script=False) as seen:
        page = seen.go(f"/experiments/{experiment}?q=user_id+%3D+%27u%27")
        page.check(f'input[value="{made[0]}"]')
        page.check(f'input[value="{made[1]}"]')
        page.locator(".bulk summary").click()
        page.locator(".bulk").get_by_label("Key").fill("team")
        page.locator(".bulk").get_by_label("Value").fill("blue & green")
        page.get_by_role("button", name="Tag the chosen").click()
        assert [runs.get_run(each).data.tags.get("team") for each in made] == ["blue & green", "blue & green", None]
        assert page.input_value("[data-page-filter]") == "user_id = 'u'"  # back where it was
        page.check(f'input[value="{made[2]}"]')
        page.locator(".bulk button[value=delete]").click()
        expect(page.locator("tr[data-run]")).to_have_count(2)
        assert runs.get_run(made[2]).info.lifecycle_stage is Lifecycle.DELETED
        page = seen.go(f"/experiments/{experiment}?deleted=1")
        page.check(f'input[value="{made[2]}"]')
        page.locator(".bulk button[value=restore]").click()
        assert "No run is deleted" in page.inner_text("main")
        assert runs.get_run(made[2]).info.lifecycle_stage is Lifecycle.ACTIVE
        page.locator("text=Show the others").click()
        expect(page.locator("tr[data-run]")).to_have_count(3)


def test_an_experiment_is_renamed_noted_deleted_and_restored(browser: Browser, shown: Place) -> None:
    server, _ = shown
    runs = server.stores.runs
    experiment = runs.create_experiment("first name").experiment_id
    new = NewRun(experiment_id=experiment, run_id="e" * 32, run_name="one", user_id="u", start_time=1)
    runs.create_run(new)
    for step in range(3):
        points = [Metric(key=key, value=step, timestamp=step, step=step) for key in ("a", "b", "c", "d", "zeta")]
        runs.log_batch(new.run_id, metrics=points)
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{experiment}")
        assert page.locator("th[data-column='m:zeta']").count() == 0  # three metrics are shown: a, b, c
        menu = page.locator("details.menu", has=page.locator("summary", has_text="Edit"))
        menu.locator("summary").click()
        menu.get_by_label("Name").fill("second name")
        menu.get_by_label("Primary metric").fill("zeta")
        menu.get_by_label("Note").fill("# Why\n\nBecause.")
        seen.check()
        with page.expect_navigation():
            menu.get_by_role("button", name="Save").click()
        assert page.inner_text("h1") == "second name"
        assert page.locator(".note").inner_text().split() == ["Why", "Because."]
        columns = [head.get_attribute("data-column") for head in page.locator("th[data-column]").all()]
        assert columns[4:6] == ["m:zeta", "m:a"]  # the primary metric comes first
        assert "s:zeta" in columns
        menu.locator("summary").click()
        menu.get_by_label("Primary metric").fill("")
        with page.expect_navigation():
            menu.get_by_role("button", name="Save").click()
        assert page.locator("th[data-column='m:zeta']").count() == 0
        menu.locator("summary").click()
        with page.expect_navigation():
            menu.get_by_role("button", name="Delete with its runs").click()
        assert runs.get_run(new.run_id).info.lifecycle_stage is Lifecycle.DELETED
        page = seen.go("/experiments?q=second")
        assert "No experiment has “second” in its name" in page.inner_text("main")
        page = seen.go(f"/experiments/{experiment}")
        assert "Deleted" in page.inner_text(".head")
        menu.locator("summary").click()
        with page.expect_navigation():
            menu.get_by_role("button", name="Restore", exact=True).click()
        assert runs.get_run(new.run_id).info.lifecycle_stage is Lifecycle.ACTIVE
        assert page.locator("tr[data-run]").count() == 1
        seen.check()


def test_experiments_are_searched_and_paged(browser: Browser, shown: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    server, _ = shown
    runs = server.stores.runs
    for n in range(3):
        runs.create_experiment(f"paged {n}")
    gone = runs.create_experiment("paged and gone").experiment_id
    runs.update_experiment(gone, lifecycle=Lifecycle.DELETED)
    monkeypatch.setattr(experiments, "_PAGE", 2)
    with look(browser, server.url) as seen:
        page = seen.go("/experiments")
        search = page.locator("main form[role=search]")
        search.get_by_label("Name").fill("PAGED")
        search.get_by_role("button", name="Search").click()
        page.wait_for_url("**/experiments?q=PAGED")
        names = page.locator("main tbody td:first-child")
        first = names.all_inner_texts()
        told = page.request.get(server.url + str(page.get_by_text("from the API").get_attribute("href"))).json()
        assert [each["name"] for each in told["experiments"]] == first
        page.get_by_role("link", name="Next 2").click()
        expect(names).to_have_count(1)
        assert sorted([*first, *names.all_inner_texts()]) == ["paged 0", "paged 1", "paged 2"]
        seen.check()
        search.get_by_label("Deleted").check()
        search.get_by_role("button", name="Search").click()
        expect(names).to_have_text(["paged and gone"])
        told = page.request.get(server.url + str(page.get_by_text("from the API").get_attribute("href"))).json()
        assert [each["name"] for each in told["experiments"]] == ["paged and gone"]
        seen.check()


def test_the_form_of_find_finds_and_says_what_else_there_is(browser: Browser, shown: Place) -> None:
    server, _ = shown
    with look(browser, server.url) as seen:
        page = seen.go("/find")
        assert "a part of a name" in page.inner_text("main")
        search = page.locator("main form[role=search]")
        search.get_by_role("searchbox").fill("WIN")
        search.get_by_role("button", name="Find").click()
        page.wait_for_url("**/find?q=WIN")
        assert page.locator("main section a").all_inner_texts() == ["wine"]
        link = page.get_by_text("These experiments, from the API")
        told = page.request.get(server.url + str(link.get_attribute("href"))).json()
        assert [each["name"] for each in told["experiments"]] == ["wine"]
        search.get_by_role("searchbox").fill("nowhere")
        search.get_by_role("button", name="Find").click()
        page.wait_for_url("**/find?q=nowhere")
        assert "toolkit runs search" in page.inner_text("main .empty pre")
        seen.check()


def test_the_call_of_the_api_finds_what_the_page_shows(shown: Place) -> None:
    server, there = shown
    path = f"/experiments/{there.experiment}?q=params.model+%3D+%27gbm%27&sort=-m:rmse&cols=m:rmse"
    page = html.unescape(server.call("GET", path).body.decode())
    line = next(each for each in page.splitlines() if "curl -s" in each)
    words = shlex.split(line[line.index("curl") : line.index("</pre>")])
    assert words[2] == f"{server.url}/api/v1/runs/search"
    told = httpx.post(words[2], content=words[-1], headers={"Content-Type": "application/json"}).json()
    assert [run["run_name"] for run in told["runs"]] == ["gbm-3", "gbm-1"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=["nothing", "evil", "null", "cross", "same-site", "typed"],
)
def test_only_a_page_of_the_server_changes_something(shown: Place, headers: dict[str, str]) -> None:
    server, there = shown
    form = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    for path, body in (
        (f"/runs/{there.run}", b"action=rename&name=taken"),
        (f"/experiments/{there.experiment}/runs", f"action=delete&run={there.run}".encode()),
        (f"/experiments/{there.experiment}", b"name=taken"),
    ):
        assert server.call("POST", path, body, form).status == 403
    run = server.stores.runs.get_run(there.run)
    assert (run.info.run_name, run.info.lifecycle_stage) == ("gbm-1", Lifecycle.ACTIVE)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/experiments/999", 404),
        ("/experiments/x'y", 404),
        ("/runs/nothing", 404),
        ("/experiments/0?sort=zz:q", 400),
        ("/experiments/0?cols=zz:q", 400),
        ("/experiments/0?after=rubbish", 200),
        ("/experiments/0/runs.csv?q=x+y", 400),
        ("/compare?runs=" + ",".join(f"{i:032x}" for i in range(201)), 400),
    ],
)
def test_what_cannot_be_shown_says_why(shown: Place, path: str, status: int) -> None:
    server, _ = shown
    answer = server.call("GET", path)
    assert answer.status == status
    assert 'class="fault"' in answer.body.decode()
    assert "Traceback" not in answer.body.decode()
