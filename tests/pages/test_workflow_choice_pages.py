"""Pages of workflows, of a real run: which steps are shown, which attempt, and what a step was given and left."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from browser import look
from grapes import Ran
from machine import until
from server import Server
from shown import Shown

from toolkit.tracking.records import NewRun, Owner, RunStatus

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page


def _drawn(page: Page) -> set[str]:
    return {str(node.get_attribute("data-name")) for node in page.locator("[data-graph] .node").all()}


def test_steps_are_chosen_by_text_while_one_writes(browser: Browser, ran: Ran) -> None:
    from playwright.sync_api import expect

    with look(browser, ran.server.url) as seen:
        page = seen.go(f"/workflows/{ran.failed}")
        page.keyboard.press("/")
        page.keyboard.type("+ship and not tr*")
        expect(page.locator("[data-graph] .node")).to_have_count(4)
        assert _drawn(page) == {"prepare", "flaky", "check", "ship"}
        assert page.evaluate("document.activeElement.name") == "select"
        assert "4 of 6 steps" in page.inner_text(".chosen-of")
        seen.check()
        seen.shot("workflow-chosen")
        page.get_by_role("link", name="Table", exact=True).click()
        expect(page.locator("table.steps tbody tr")).to_have_count(4)
        page.get_by_role("link", name="Timeline", exact=True).click()
        expect(page.locator(".gantt-rows > li")).to_have_count(4)
        page = seen.go("/workflows/" + page.url.rpartition("/")[2])  # the address says all
        assert page.locator(".gantt-rows > li").count() == 4
        page.fill("#select", "status:failed")
        expect(page.locator(".gantt-rows > li")).to_have_count(1)
        page.fill("#select", "trian+")
        expect(page.locator(".fault").last).to_contain_text("there is no step 'trian': did you mean 'train'?")
        assert page.locator(".gantt-rows > li").count() == 6
        page.fill("#select", "nothing*")
        page.get_by_role("link", name="Show all 6").click()
        expect(page.locator(".gantt-rows > li")).to_have_count(6)
        assert page.input_value("#select") == ""


def test_steps_are_chosen_without_script(browser: Browser, ran: Ran) -> None:
    with look(browser, ran.server.url, width=390, script=False) as seen:
        page = seen.go(f"/workflows/{ran.failed}?view=table")
        page.fill("#select", "status:failed,skipped")
        with page.expect_navigation():
            page.get_by_role("button", name="Show").click()
        assert page.locator("tr[data-row]").count() == 3
        assert "view=table" in page.url


def test_an_attempt_is_looked_at_and_the_axis_fits_it(browser: Browser, ran: Ran) -> None:
    runs = ran.server.stores.runs
    with look(browser, ran.server.url, dark=True) as seen:
        page = seen.go(f"/workflows/{ran.failed}?view=timeline&step=flaky")
        assert page.locator("li:has-text('flaky') .bar-of").count() == 2
        assert page.locator("#live-panel .attempts [aria-current]").inner_text() == "2 (last)"
        tasks = {str(page.get_by_role("link", name="Task run").get_attribute("href"))}
        with page.expect_navigation():
            page.get_by_role("link", name="attempt 1", exact=True).first.click()
        assert page.locator(".gantt-rows li:has-text('flaky') .bar-of").count() == 1
        assert page.locator(".gantt-rows li:has-text('ship') .bar-of").count() == 0
        assert "around attempt 1 of flaky" in page.inner_text(".legend")
        assert "step 'flaky' exited with 1" in page.inner_text("#live-panel")
        assert "ConnectionError: not yet" in page.inner_text("#live-panel .log")
        seen.check()
        tasks.add(str(page.get_by_role("link", name="Task run").get_attribute("href")))
        base, flow = runs.get_run(ran.failed).data.tags["prefect.flow_run_url"].split("/runs/flow-run/")
        assert f"{base}/api" == ran.machine.api_url
        assert ran.machine.prefect(f"flow_runs/{flow}")["name"] == runs.get_run(ran.failed).info.run_name
        assert "Prefect’s server" not in page.inner_text(".head")
        assert page.get_by_role("link", name="In Prefect").get_attribute("href") == f"{base}/runs/flow-run/{flow}"
        for task in tasks:
            told = ran.machine.prefect(f"task_runs/{task.removeprefix(f'{base}/runs/task-run/')}")
            assert (told["name"], told["flow_run_id"]) == ("flaky", flow)
    for attempt in ("0", "3", "x"):
        answer = ran.server.call("GET", f"/workflows/{ran.failed}?step=flaky&attempt={attempt}")
        assert answer.status == 400
        assert "wanted 1 to 2" in answer.body.decode()


def test_a_step_tells_what_it_was_given_and_what_it_left(browser: Browser, ran: Ran) -> None:
    with look(browser, ran.server.url) as seen:
        page = seen.go(f"/workflows/{ran.failed}?step=train")
        panel = page.locator("#live-panel")
        data = panel.locator("li", has_text="data.txt")
        assert "of prepare" in data.inner_text()
        digest = hashlib.sha256(b"1 2 3").hexdigest()
        assert data.locator("[data-copy-text]").get_attribute("data-copy-text") == digest
        left = panel.locator("li", has_text="model").locator("a")
        with page.expect_navigation():
            left.first.click()
        assert "model" in page.inner_text(".files")
        assert seen.wrong == []


def test_many_steps_are_folded_and_found(browser: Browser, ran: Ran) -> None:
    runs, now = ran.server.stores.runs, time.time_ns() // 1_000_000
    names = [f"train-{number:03}" for number in range(1, 241)]
    steps = [*({"name": name} for name in names), {"name": "merge", "needs": {name: ["outputs.m"] for name in names}}]
    whole = "a1" * 16
    tags = {
        "prefect.flow_run_url": "http://127.0.0.1:9/runs/flow-run/1",
        "toolkit.workflow": "many",
        "toolkit.graph": json.dumps({"schema": 1, "steps": steps})[:8_000],
    }
    runs.create_run(
        NewRun(experiment_id="0", run_id=whole, run_name="many", user_id="u", start_time=now, tags={**tags})
    )
    for number, name in enumerate(names):
        new = NewRun(
            experiment_id="0",
            run_id=f"{number:032x}",
            run_name=name,
            user_id="u",
            start_time=now + number,
            parent_run_id=whole,
            tags={"toolkit.step": name},
        )
        runs.create_run(new)
        runs.update_run(new.run_id or "", status=RunStatus.FAILED if number == 99 else RunStatus.FINISHED)
    runs.update_run(whole, status=RunStatus.FAILED)
    with look(browser, ran.server.url) as seen:
        page = seen.go(f"/workflows/{whole}")
        assert _drawn(page) == {"train-*"}
        assert page.locator("[data-graph] .small").text_content() == "1\u202f× 239\u202f✓"
        assert page.locator(".folded aside a").first.inner_text() == "train-100"
        told = f"It ran with Prefect’s server at http://127.0.0.1:9; now there is one at {ran.machine.api_url[:-4]}."
        assert told in page.inner_text(".head")
        seen.check()
        assert seen.in_the_dark() == []
        seen.shot("workflow-many")
        page.locator(".node").first.click()
        page.wait_for_selector("[data-graph] .node, .folded p:has-text('240 steps')")
        page.fill("#select", "train-09*")
        page.wait_for_selector(".node[data-name='train-091']")
        assert len(_drawn(page)) == 10
        page = seen.go(f"/workflows/{whole}?all=1")
        assert len(_drawn(page)) == 240
        assert seen.wrong == []


def test_a_link_to_a_prefect_server_that_does_not_run_says_so(shown: tuple[Server, Shown]) -> None:
    server, _ = shown
    tags = {"toolkit.workflow": "w", "prefect.flow_run_url": "http://127.0.0.1:4200/runs/flow-run/1"}
    for number, (own, text) in enumerate(
        [
            (tags, "Prefect’s server does not run (not started): toolkit up starts it."),
            ({"toolkit.workflow": "w"}, "No Prefect server is known that has this run."),
        ]
    ):
        run_id = f"{number + 1:x}c" * 16
        new = NewRun(experiment_id="0", run_id=run_id, run_name="w", user_id="u", start_time=1, tags=own)
        server.stores.runs.create_run(new)
        until(lambda: text in server.call("GET", f"/workflows/{run_id}").body.decode(), what="told")  # noqa: B023 - called at once


def test_a_run_has_the_same_state_wherever_it_is_shown(browser: Browser, shown: tuple[Server, Shown]) -> None:
    server, _ = shown
    runs = server.stores.runs
    experiment, whole = runs.create_experiment("states").experiment_id, "a0" * 16
    new = NewRun(experiment_id=experiment, run_id=whole, run_name="stately", user_id="u", start_time=1)
    runs.create_run(replace(new, tags={"toolkit.workflow": "main"}))
    wanted = {"gone": "Lost", "taken": "Cached", "cut": "Pruned", "plain": "Finished"}
    tags = {"taken": {"toolkit.cached_from": "b" * 32}, "cut": {"toolkit.pruned": "{}"}}
    ids = {name: f"{number:032x}" for number, name in enumerate(wanted, 0xA0)}
    for name, run_id in ids.items():
        step = {"toolkit.step": f"step-{name}", **tags.get(name, {})}
        runs.create_run(
            replace(new, run_id=run_id, run_name=f"stately-{name}", parent_run_id=whole, tags=step, owner=_OWNER)
        )
        if name == "gone":
            assert runs.mark_lost(run_id, "heartbeat_lost: gone", owner=_OWNER, expired=False)
        else:
            runs.update_run(run_id, status=RunStatus.KILLED if name == "cut" else RunStatus.FINISHED, end_time=2)
    runs.update_run(whole, status=RunStatus.FAILED, end_time=2)
    listed = [
        f"/experiments/{experiment}?q=run_name+LIKE+'stately-%25'",
        f"/runs/{whole}/children",
        f"/runs/{whole}/logs",
        "/find?q=stately",
    ]
    with look(browser, server.url) as seen:
        for place in listed:
            page = seen.go(place)
            for name, word in wanted.items():
                row = page.locator("main :is(tr, li)").filter(has=page.get_by_role("link", name=f"stately-{name}"))
                assert _state(row.first) == word, (place, name)
        seen.check()
        for name, word in wanted.items():
            for place in ("", "/peek"):
                assert _state(seen.go(f"/runs/{ids[name]}{place}").locator("body")) == word, (place, name)
        page = seen.go(f"/compare?runs={','.join(ids.values())}")
        told = page.locator("tr").filter(has=page.get_by_role("rowheader", name="State", exact=True)).locator(".state")
        assert [text.strip() for text in told.all_inner_texts()] == list(wanted.values())
        page = seen.go(f"/workflows/{whole}?view=table&select=status:lost")
        assert page.locator("tr[data-row]").count() == 1
        assert _state(page.locator("tr[data-row]")) == "Lost"


def test_tags_of_the_machinery_are_not_among_those_that_people_gave(shown: tuple[Server, Shown]) -> None:
    server, _ = shown
    runs = server.stores.runs
    experiment = runs.create_experiment("tagged").experiment_id
    tags = {"wine-team": "red", "prefect.made_up": "1", "toolkit.made_up": "1", "mlflow.made_up": "1"}
    new = NewRun(experiment_id=experiment, run_id="a7" * 16, run_name="tagged", user_id="u", start_time=1, tags=tags)
    runs.create_run(new)
    for place in (f"/runs/{new.run_id}", f"/runs/{new.run_id}/peek", f"/experiments/{experiment}/columns"):
        text = server.call("GET", place).body.decode()
        assert "wine-team" in text, place
        assert "made_up" not in text, place


_OWNER = Owner(host="elsewhere", pid=1, started=1)


def _state(place: Locator) -> str:
    """Return the first state that is shown in a place."""
    first = place.locator(".state").first
    return first.inner_text().strip() or str(first.locator("svg").get_attribute("aria-label"))
