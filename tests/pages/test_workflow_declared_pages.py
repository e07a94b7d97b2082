"""Pages of workflows that have not run: deployed, or published, for real."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from browser import look
from grapes import Ran
from machine import write_project
from shown import HOSTILE

from toolkit.flows.published_graph import Published, PublishedDeployment, publish
from toolkit.flows.recorded_graph import PlannedStep

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PEARS = """
name: pears
entry_points:
  prepare:
    parameters: {rows: {type: int, default: 500}}
    command: "true"
    outputs: {data: data.txt}
  train: {parameters: {data: path, alpha: float}, command: "true {data} {alpha}", outputs: {model: model.txt}}
  report: {command: "true"}
workflows:
  main:
    description: Pears, every night.
    parameters: {alphas: {type: list, default: [0.1, 0.5]}, team: {type: str}}
    steps:
      prepare: {cache: true}
      train:
        foreach: {alpha: "${{ parameters.alphas }}"}
        parameters: {data: "${{ steps.prepare.outputs.data }}"}
        retries: 2
      report: {needs: [train], when: "${{ parameters.team == 'a' }}"}
  side:
    steps: {prepare: {}}
"""


def test_what_is_deployed_is_shown_before_it_runs(browser: Browser, ran: Ran) -> None:
    write_project(ran.folder / "pears", PEARS)
    done = ran.machine.toolkit(
        *("flows", "deploy", "pears", "-n", "nightly", "--cron", "0 2 * * *", "-P", "team=secret", "--json"),
        *("--experiment-name", "fruit"),
        cwd=ran.folder,
    )
    assert done.code == 0, done.err
    with look(browser, ran.server.url) as seen:
        page = seen.go("/workflows")
        row = page.inner_text("tr:has-text('pears/nightly')")
        for text in ("pears", "has not run yet", "cron 0 2 * * *", "fruit"):
            assert text in row
        seen.check()
        with page.expect_navigation():
            page.get_by_role("link", name="pears", exact=True).click()
        said = {
            str(node.get_attribute("data-step")): str(node.locator("title").first.text_content())
            for node in page.locator("[data-graph] .node").all()
        }
        assert said == {
            "prepare": "prepare, Declared, cached",
            "train": "train, Declared, for each alpha, 2 retries",
            "report": "report, Declared, on a condition",
        }
        assert page.locator(".edge[data-from=prepare] title").inner_html() == "prepare → train: data"
        assert page.locator(".edge.after[data-from=train][data-to=report]").count() == 1
        for text in ("Pears, every night.", "[0.1, 0.5]", "needs a value", "toolkit flows trigger pears/nightly"):
            assert text in page.inner_text("main")
        assert "secret" not in page.content()
        seen.check()
        assert seen.in_the_dark() == []
        seen.shot("workflow-declared")
        place = str(page.get_by_role("link", name="pears/nightly").get_attribute("href"))
        base, _, deployment = place.partition("/deployments/deployment/")
        assert f"{base}/api" == ran.machine.api_url
        assert ran.machine.prefect(f"deployments/{deployment}")["name"] == "nightly"
        page.locator(".node[data-step=prepare]").focus()
        page.keyboard.press("ArrowRight")
        assert {str(each.text_content()) for each in page.locator(".edge-label.lit").all()} == {"data"}
        page.keyboard.press("Enter")
        page.wait_for_selector("#h-step:has-text('train')")
        assert "${{ parameters.alphas }}" in page.inner_text("#live-panel")
        page.locator("#live-panel").get_by_role("link", name="prepare").click()
        page.wait_for_selector("#live-panel dd:has-text('500 by default')")
        page.fill("#select", "status:failed")
        page.wait_for_selector(".fault:has-text('nothing has run yet')")
        assert seen.wrong == []
    done = ran.machine.toolkit("flows", "delete", "pears/nightly", cwd=ran.folder)
    assert done.code == 0, done.err
    assert "pears" not in ran.server.call("GET", "/workflows").body.decode()


def test_a_project_here_is_shown_until_somebody_forgets_it(browser: Browser, ran: Ran) -> None:
    write_project(ran.folder / "plums", PEARS.replace("pears", "plums"))
    here = {"TOOLKIT_TRACKING_URI": ran.server.url}
    done = ran.machine.toolkit("ui", "plums", "--no-open", cwd=ran.folder, **here)
    assert (done.code, done.out.strip()) == (0, f"{ran.server.url}/workflows"), done.err
    done = ran.machine.toolkit("compile", "plums", "--publish", "-w", "side", cwd=ran.folder, **here)
    assert done.out.strip() == f"{ran.server.url}/experiments/0/workflows/{quote('plums: side')}"
    with look(browser, ran.server.url, dark=True, width=390) as seen:
        page = seen.go(done.out.strip().removeprefix(ran.server.url))
        assert page.inner_text("h1") == "plums: side"
        assert page.locator("table.steps").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        seen.check()
        page.locator("details.menu summary").first.click()
        with page.expect_navigation():
            page.get_by_role("button", name="Do not show it here any more").click()
        assert page.get_by_role("link", name="plums", exact=True).count() == 1
        assert page.get_by_role("link", name="plums: side").count() == 0


def test_names_that_are_script_do_nothing_before_anything_ran(browser: Browser, ran: Ran) -> None:
    runs = ran.server.stores.runs
    steps = [PlannedStep(name=HOSTILE, when=HOSTILE, gives={HOSTILE: HOSTILE}, outputs={HOSTILE: HOSTILE})]
    steps.append(PlannedStep(name="b", needs={HOSTILE: [HOSTILE]}, entry_point=HOSTILE))
    made = Published(name=HOSTILE, steps=steps, description=HOSTILE, uri=HOSTILE, code=HOSTILE, user=HOSTILE)
    deployment = PublishedDeployment(id="1", name=HOSTILE, schedule=HOSTILE, url="javascript:alert(1)")
    publish(runs, runs.get_experiment("0"), made, deployment)
    with look(browser, ran.server.url) as seen:
        seen.go("/workflows")
        seen.check()
        page = seen.go(f"/experiments/0/workflows/{quote(HOSTILE, safe='')}")
        page.locator("a[data-step]").first.click()
        page.wait_for_selector("#h-step")
        assert HOSTILE in page.inner_text("#live-panel")
        assert page.locator("a[href^=javascript]").count() == 0
        seen.check()


def test_what_is_not_published_is_told(ran: Ran) -> None:
    for path, status, text in (
        ("/experiments/0/workflows/nothing", 404, "toolkit compile --publish"),
        ("/experiments/99/workflows/grapes", 404, "99"),
    ):
        answer = ran.server.call("GET", path)
        assert (answer.status, text in answer.body.decode()) == (status, True), path
