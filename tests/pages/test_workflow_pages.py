"""Pages of workflows, of real runs: one that fails in several ways, and one that goes on from it and is followed."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from browser import look
from grapes import Ran
from machine import until
from shown import HOSTILE

from toolkit.tracking.records import NewRun, RunStatus

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def _nodes(page: Page) -> dict[str, str]:
    """Return what each step of the graph says, by its name."""
    return {
        str(node.get_attribute("data-step")): str(node.locator("title").first.text_content())
        for node in page.locator("[data-graph] .node").all()
    }


def test_the_graph_shows_what_became_of_each_step_and_why(browser: Browser, ran: Ran) -> None:
    with look(browser, ran.server.url) as seen:
        page = seen.go(f"/workflows/{ran.failed}")
        said = _nodes(page)
        assert said["prepare"].startswith("prepare, Finished, ")
        assert "Finished" in said["flaky"]
        assert "tried 2 times" in said["flaky"]
        assert "3 runs: 3 finished" in said["train"]
        assert "error 0.1000 – 0.5000" in said["train"]
        assert "Failed" in said["check"]
        assert said["ship"] == "ship, Skipped, needs check, which failed"
        assert said["report"] == "report, Skipped, its condition was not met: parameters.report"
        edges = {
            (str(edge.get_attribute("data-from")), str(edge.get_attribute("data-to")))
            for edge in page.locator("[data-graph] .edge").all()
        }
        assert edges == {
            *(("prepare", name) for name in ("train", "check", "report")),
            *(("flaky", "check"), ("train", "ship"), ("check", "ship")),
        }
        seen.check()
        assert seen.in_the_dark() == []
        seen.shot("workflow")


def test_a_step_opens_beside_the_graph_with_its_error_and_its_log(browser: Browser, ran: Ran) -> None:
    runs = ran.server.stores.runs
    with look(browser, ran.server.url) as seen:
        page = seen.go(f"/workflows/{ran.failed}")
        page.locator(".node[data-step=check]").click()
        page.wait_for_selector("#h-step:has-text('check')")
        assert page.evaluate("location.search").endswith("step=check")
        panel = page.inner_text("#live-panel")
        assert "step 'check' exited with 1" in panel
        assert "KeyError: 'no column <script>alert(1)</script> in the data'" in panel
        assert "takes data of prepare" in panel
        assert "comes after flaky" in panel
        task = str(page.get_by_role("link", name="Task run").get_attribute("href"))
        flow = runs.get_run(ran.failed).data.tags["prefect.flow_run_url"]
        assert task.startswith(flow.partition("/runs/")[0] + "/runs/task-run/")
        assert ran.machine.prefect(f"task_runs/{task.rpartition('/')[2]}")["name"] == "check"
        seen.check()
        seen.shot("workflow-step")
        page.get_by_role("link", name="ship", exact=True).click()
        page.wait_for_selector("#h-step:has-text('ship')")
        assert "Skipped: needs check, which failed" in page.inner_text("#live-panel")
        page.go_back()
        page.wait_for_selector("#h-step:has-text('check')")
        page.locator("[data-close]").click()
        page.wait_for_selector("#h-step", state="detached")
        page.locator(".node[data-step=train]").click()
        page.wait_for_selector("#live-panel td:has-text('0.5000')")
        assert page.locator("#live-panel tbody tr").count() == 3
        with page.expect_navigation():
            page.locator("#live-panel").get_by_role("link", name="alpha=0.5").click()
        assert page.inner_text("h1") == "train alpha=0.5"
        with page.expect_navigation():
            page.get_by_role("link", name="Workflow", exact=True).click()
        assert page.inner_text("#h-step").strip() == "train"


def test_keys_go_along_the_lines_and_what_hangs_together_stands_out(browser: Browser, ran: Ran) -> None:
    with look(browser, ran.server.url) as seen:
        page = seen.go(f"/workflows/{ran.failed}?view=graph")
        assert page.locator('.node[tabindex="0"]').count() == 1
        page.locator(".node[data-step=flaky]").focus()
        page.keyboard.press("ArrowRight")
        here = "document.activeElement.dataset.step"
        assert page.evaluate(here) == "check"
        dim = {str(each.get_attribute("data-step")) for each in page.locator(".node.dim").all()}
        assert dim == {"train", "report"}
        page.keyboard.press("ArrowLeft")
        assert page.evaluate(here) in ("flaky", "prepare")
        page.keyboard.press("Enter")
        page.wait_for_selector("#h-step")
        assert seen.wrong == []


def test_the_timeline_and_the_table_say_the_same(browser: Browser, ran: Ran) -> None:
    with look(browser, ran.server.url, dark=True) as seen:
        page = seen.go(f"/workflows/{ran.failed}?view=timeline&step=flaky")
        rows = page.locator(".gantt-rows > li")
        assert rows.count() == 6
        assert page.locator("li:has-text('flaky') .bar-of").count() == 2  # both tries
        assert page.locator("li:has-text('train') .bar-of").count() == 3
        assert "attempt 1" in page.inner_text("#live-panel")
        seen.check()
        seen.shot("workflow-timeline-dark")
        page.get_by_role("link", name="Table", exact=True).click()
        page.wait_for_selector("table.steps")
        table = page.inner_text("table.steps")
        for text in ("alpha=0.9", "its condition was not met", "after flaky", "data of prepare", "model of train"):
            assert text in table
        assert page.inner_text("#h-step").strip() == "flaky"
        seen.check()


def test_a_phone_gets_the_table_and_nothing_needs_scripts(browser: Browser, ran: Ran) -> None:
    with look(browser, ran.server.url, width=390, script=False) as seen:
        page = seen.go(f"/workflows/{ran.failed}")
        assert page.locator("table.steps").is_visible()
        assert not page.locator("[data-graph]").is_visible()
        assert page.locator(".tabs:visible [aria-current]").inner_text() == "Table"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        with page.expect_navigation():
            page.locator("table.steps").get_by_role("link", name="check").click()
        assert "exited with 1" in page.inner_text("#live-panel")
        seen.shot("workflow-phone")


def test_a_run_that_goes_on_is_followed_to_its_end(browser: Browser, ran: Ran) -> None:
    (ran.machine.home / "mended").touch()
    process = ran.machine.start("run", "--resume", ran.failed, "--json", cwd=ran.folder)
    runs = ran.server.stores.runs

    def resumed() -> str | None:
        from toolkit.tracking.records import SearchQuery

        found = runs.search_runs(SearchQuery(filter=f"tags.`toolkit.resumed_from` = '{ran.failed}'")).items
        return found[0].info.run_id if found else None

    run_id = until(resumed, what="a run that goes on")
    with look(browser, ran.server.url) as seen:
        page = seen.go(f"/workflows/{run_id}")
        page.wait_for_selector(".node.t-running[data-step=check]")
        said = _nodes(page)
        assert said["prepare"].startswith("prepare, Cached")
        assert said["ship"] == "ship, Waiting, waits for check"
        page.locator(".node[data-step=check]").focus()
        seen.shot("workflow-running")
        (ran.machine.home / "go").touch()
        page.wait_for_selector(".head .s-good")
        page.wait_for_selector(".node.t-good[data-step=ship]")
        assert page.evaluate("document.activeElement.dataset.step") == "check"
        assert page.get_by_role("link", name=f"resumed from {ran.failed[:8]}").count() == 1
        attempts = page.get_by_label("Attempts at this workflow")
        assert attempts.locator("[aria-current]").inner_text().strip() == "2 (last)"
        assert str(attempts.locator("a").first.get_attribute("href")).endswith(ran.failed)
        seen.check()
        page.locator(".node[data-step=prepare]").click()
        page.wait_for_selector("#live-panel .why:has-text('results of run')")
        assert ran.machine.end(process).code == 0


def test_the_list_has_what_ran_and_is_narrowed(browser: Browser, ran: Ran) -> None:
    with look(browser, ran.server.url) as seen:
        page = seen.go("/workflows")
        assert page.locator(f"tbody a[href='/workflows/{ran.failed}']").count() == 1
        assert "exited with 1" in page.inner_text("tbody")
        strips = [str(each.get_attribute("aria-label")) for each in page.locator(".states-strip").all()]
        assert any("runs of steps" in each and "1 failed" in each for each in strips)
        seen.check()
        seen.shot("workflows")
        page.select_option("[name=status]", "KILLED")
        with page.expect_navigation():
            page.get_by_role("button", name="Show").click()
        assert "No run of a workflow is as asked for" in page.inner_text("main")
        page = seen.go("/workflows?name=grapes&status=FAILED")
        assert page.locator("tbody th").count() == 1
        with page.expect_navigation():
            page.locator("tbody th a").click()
        with page.expect_navigation():
            page.get_by_role("link", name="The run").click()
        assert page.get_by_role("link", name="Workflow", exact=True).count() == 1


def test_what_is_asked_for_wrongly_is_said(ran: Ran) -> None:
    for path, status, text in (
        (f"/workflows/{'0a' * 16}", 404, "0a0a"),
        (f"/workflows/{ran.failed}?view=tree", 400, "wanted graph, timeline, table"),
        (f"/workflows/{ran.failed}?step=nothing", 404, "has no step"),
        ("/workflows?status=odd", 400, "there is no status"),
    ):
        answer = ran.server.call("GET", path)
        assert (answer.status, text in answer.body.decode()) == (status, True), path


def test_names_that_are_script_do_nothing_and_an_unknown_graph_is_none(browser: Browser, ran: Ran) -> None:
    runs, now = ran.server.stores.runs, time.time_ns() // 1_000_000
    other = HOSTILE + "2"
    graph = {"schema": 1, "steps": [{"name": HOSTILE}, {"name": other, "needs": {HOSTILE: [HOSTILE]}, "when": HOSTILE}]}
    tags = {"toolkit.workflow": HOSTILE, "prefect.flow_run_url": "javascript:alert(5)//runs/flow-run/1"}
    whole = NewRun(
        experiment_id="0",
        run_id="d" * 32,
        run_name=HOSTILE,
        user_id="u",
        start_time=now,
        tags={**tags, "toolkit.graph": json.dumps(graph)},
    )
    runs.create_run(whole)
    step = NewRun(
        experiment_id="0",
        run_id="e" * 32,
        run_name=HOSTILE,
        user_id="u",
        start_time=now,
        parent_run_id="d" * 32,
        tags={"toolkit.step": HOSTILE, "toolkit.attempt": HOSTILE, "prefect.task_run_id": HOSTILE},
    )
    runs.create_run(step)
    runs.update_run("d" * 32, status=RunStatus.FAILED, reason=HOSTILE)
    unknown = NewRun(
        experiment_id="0",
        run_id="f" * 32,
        run_name="of another version",
        user_id="u",
        start_time=now,
        tags={"toolkit.workflow": "later", "toolkit.graph": '{"schema": 99}'},
    )
    runs.create_run(unknown)
    runs.update_run("f" * 32, status=RunStatus.FINISHED)
    with look(browser, ran.server.url) as seen:
        page = seen.go("/workflows")
        assert HOSTILE in page.inner_text("tbody")
        for view in ("graph", "timeline", "table"):
            page = seen.go(f"/workflows/{'d' * 32}?view={view}")
            page.locator("a[data-step]").first.click()
            page.wait_for_selector("#h-step")
            assert page.locator("a[href^=javascript]").count() == 0
            seen.check()
        page = seen.go(f"/workflows/{'f' * 32}")
        assert "This run has no steps" in page.inner_text("main")
        assert "toolkit ui ." in page.inner_text("main")
        seen.check()
