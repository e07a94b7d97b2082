"""The page of a run: why it is as it is, what was changed since the run before, what failed, how to go on."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from browser import look
from machine import Machine, until, write_project
from server import Server, serving
from shown import HOSTILE

import toolkit
from toolkit.ids import now_ms
from toolkit.recording.log_pieces import whole_of
from toolkit.server.pages.run_story import _again
from toolkit.tracking.records import NewRun, Run, RunQuery, RunStatus

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROJECT = """
name: grapes
entry_points:
  train:
    parameters: {alpha: {type: float, default: 0.1}, depth: {type: int, default: 3}}
    command: "python train.py {alpha}"
    metrics: metrics.json
  flaky: {command: "python flaky.py"}
  talk: {command: "python talk.py"}
workflows:
  main:
    parameters: {alpha: {type: float, default: 0.1}}
    steps:
      train: {parameters: {alpha: "${{ parameters.alpha }}"}}
      flaky: {retries: 1, needs: [train]}
"""
TRAIN = """
import json, sys
json.dump({"rmse": 0.5 + float(sys.argv[1]), "plain": 1}, open("metrics.json", "w"))
"""
FLAKY = f"""
for number in range(40):
    print("line", number)
print({HOSTILE!r})
raise ValueError("no such column: alcohol")
"""

TALK = """
import os, sys, time
from pathlib import Path

gate = Path(os.environ["GATE"])
for number in range(1, 81):
    print(f"line {number}")
for name in ("one", "two"):
    end = time.monotonic() + 300
    while not (gate / name).exists() and time.monotonic() < end:
        time.sleep(0.05)
    print(f"after gate {name}")
sys.exit("ValueError: no such column")
"""


@dataclass(frozen=True)
class Ran:
    """A server, and the runs of a workflow that failed twice: the second time with another parameter; what ran them."""

    server: Server
    runs: dict[str, Run]
    machine: Machine
    folder: Path


def _git(folder: Path, *arguments: str) -> None:
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    subprocess.run(["git", *arguments], cwd=folder, check=True, env={**os.environ, **identity}, capture_output=True)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("runs")
    project = write_project(folder / "project", PROJECT, train_py=TRAIN, flaky_py=FLAKY, talk_py=TALK)
    _git(project, "init", "-q")
    _git(project, "add", "-A")
    _git(project, "commit", "-qm", "first")
    (project / "train.py").write_text(TRAIN + "# changed\n")
    machine = Machine(home=folder / "home")
    try:
        for alpha in ("0.1", "0.3"):
            assert machine.toolkit("run", "project", "-P", f"alpha={alpha}", cwd=folder).code == 1
        with serving(machine.home) as server:
            runs: dict[str, Run] = {}
            for run in reversed(server.stores.runs.list_runs(RunQuery()).items):
                name = run.data.tags.get("toolkit.step", "whole")
                runs[f"{name} {sum(key.startswith(name) for key in runs) + 1}"] = run
            yield Ran(server=server, runs=runs, machine=machine, folder=folder)
    finally:
        machine.clean_up()
        machine.toolkit("down", cwd=folder)


def _numbers(page: Page) -> list[int]:
    return [int(text) for text in page.locator("#log .at").all_inner_texts()]


def _go(seen: object, ran: Ran, name: str) -> Page:
    page: Page = seen.go(f"/runs/{ran.runs[name].info.run_id}")  # type: ignore[attr-defined]
    return page


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390)])
def test_what_was_changed_since_the_run_before_comes_first(browser: Browser, ran: Ran, dark: bool, width: int) -> None:
    with look(browser, ran.server.url, dark=dark, width=width) as seen:
        page = _go(seen, ran, "train 2")
        assert "1 differs from train, the run before" in page.inner_text("#live-params")
        assert page.inner_text("#live-params .changed").split("\n") == ["alpha", "0.3 was 0.1"]
        assert "depth" in page.inner_text("#live-params .pairs:not(.changed)")
        row = page.inner_text("#live-metrics tr:has-text('rmse')")
        assert "▼ +0.2000" in row
        assert page.inner_text("#live-metrics tr:has-text('plain') td:nth-of-type(2)") == ""
        assert page.get_by_role("link", name="Compare", exact=True).get_attribute("href") == (
            f"/compare?runs={ran.runs['train 1'].info.run_id}&runs={ran.runs['train 2'].info.run_id}"
        )
        seen.check()
        seen.shot(f"run-{width}{'-dark' if dark else ''}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_says_what_it_is_a_part_of_and_how_to_go_on(browser: Browser, ran: Ran) -> None:
    whole, train = ran.runs["whole 2"], ran.runs["train 2"]
    with look(browser, ran.server.url) as seen:
        page = _go(seen, ran, "train 2")
        facts = page.locator("#live-facts")
        assert facts.get_by_role("link", name="step train").get_attribute("href") == (
            f"/workflows/{whole.info.run_id}?step=train"
        )
        task = str(facts.get_by_role("link", name="Prefect's task run").get_attribute("href"))
        assert task.endswith(f"/runs/task-run/{train.data.tags['prefect.task_run_id']}")
        assert page.locator(f"[data-copy-text='toolkit reproduce {train.info.run_id}']").count() == 1
        assert page.locator("[data-copy-text='python train.py 0.3']").count() == 1
        with page.expect_navigation():
            page.get_by_role("link", name="show them").click()  # what differs from the commit
        assert "+# changed" in page.inner_text(".shown")
        page = _go(seen, ran, "whole 2")
        assert page.locator(f"[data-copy-text='toolkit run --resume {whole.info.run_id}']").count() == 1
        again = page.locator("dt:has-text('Run it again') + dd button").get_attribute("data-copy-text")
        assert shlex.split(str(again)) == ["toolkit", "run", "project", "-w", "main", "-P", "alpha=0.3"]
        facts = page.locator("#live-facts")
        assert str(facts.get_by_role("link", name="Prefect's flow run").get_attribute("href")).startswith("http")
        tabs = {text.split()[0]: text for text in page.locator(".tabs a").all_inner_texts()}
        assert tabs["Children"] == "Children 3"
        assert tabs["Logs"] == "Logs"
        assert page.locator(".tabs .nothing").all_inner_texts() == ["Logs", "System"]
        with page.expect_navigation():
            page.keyboard.press("4")
        assert page.locator(".card li").count() == 3  # the logs of its steps
        seen.check()


def test_a_failed_run_shows_its_error_and_the_end_of_its_log(browser: Browser, ran: Ran) -> None:
    with look(browser, ran.server.url) as seen:
        page = _go(seen, ran, "flaky 4")
        failed = page.locator(".card.failed")
        assert failed.locator(".last-error").inner_text() == "ValueError: no such column: alcohol"
        assert failed.locator(".log > div").count() == 20
        assert HOSTILE in failed.locator(".log").inner_text()
        assert "attempt 2 of 2" in page.inner_text("#live-facts")
        seen.check()
        seen.shot("run-failed")
        with page.expect_navigation():
            failed.get_by_role("link", name="The whole log").click()
        assert "ValueError" in page.inner_text(".log :target")
        page = _go(seen, ran, "flaky 4")
        with page.expect_navigation():
            page.get_by_role("link", name="attempt 1").click()
        assert page.url.endswith(ran.runs["flaky 3"].info.run_id)
        page = _go(seen, ran, "whole 2")
        failed = page.locator(".card.failed")
        assert failed.locator("li").count() == 1  # the last try of the step
        assert failed.locator(".last-error").inner_text() == "ValueError: no such column: alcohol"
        assert "The whole log of flaky" in failed.inner_text()
        seen.check()


def _step(server: Server, known: set[str]) -> str:
    def find() -> str | None:
        for run in server.stores.runs.list_runs(RunQuery()).items:
            if "toolkit.step" in run.data.tags and run.info.run_id not in known:
                return run.info.run_id
        return None

    return until(find, what="a step that runs")


def test_a_log_is_followed_while_its_step_runs(browser: Browser, ran: Ran) -> None:
    server, machine = ran.server, ran.machine
    known = {run.info.run_id for run in server.stores.runs.list_runs(RunQuery()).items}
    gate = ran.folder / "followed"
    gate.mkdir()
    talks = machine.start(  # the log goes through the tracking server
        "run", "project", "-e", "talk", cwd=ran.folder, GATE=str(gate), TOOLKIT_TRACKING_URI=server.url
    )
    run_id = _step(server, known)
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}/logs")
        page.wait_for_selector("#L80")
        box, follow = page.locator("#log"), page.locator("[data-follow]")
        at_end = "each => each.scrollTop + each.clientHeight >= each.scrollHeight - 2"
        assert follow.is_checked()
        assert box.evaluate(at_end)
        assert "80 lines" in page.inner_text(".log-tools")
        seen.check()
        seen.shot("log-live")
        box.evaluate("each => { each.scrollTop = 0; }")
        page.wait_for_selector("[data-follow]:not(:checked)")
        (gate / "one").touch()
        page.wait_for_selector("#L81", state="attached")
        assert box.evaluate("each => each.scrollTop") == 0  # who reads is not moved
        follow.check()
        assert box.evaluate(at_end)
        (gate / "two").touch()
        page.wait_for_selector("#log-end:has-text('The run has ended: failed')")
        assert page.inner_text("#log").split("\n")[-1] == "ValueError: no such column"
        assert page.locator("#log .error").count() == 1
        assert _numbers(page) == list(range(1, 84))
        assert box.evaluate(at_end)
        page.wait_for_selector(".head .s-bad")
        seen.check()
    machine.end(talks)
    paths = [entry.path for entry in server.stores.runs.list_artifacts(run_id, prefix="logs").items]
    assert paths == ["logs/output.log"]  # the whole has taken the place of its pieces


def test_what_a_killed_step_has_written_stays(browser: Browser, ran: Ran) -> None:
    server, machine = ran.server, ran.machine
    known = {run.info.run_id for run in server.stores.runs.list_runs(RunQuery()).items}
    gate = ran.folder / "killed"
    gate.mkdir()
    talks = machine.start("run", "project", "-e", "talk", cwd=ran.folder, GATE=str(gate))
    run_id = _step(server, known)
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}/logs")
        page.wait_for_selector("#L80")
        os.killpg(talks.pid, signal.SIGKILL)
        machine.end(talks)
        (gate / "one").touch()
        (gate / "two").touch()
        paths = [entry.path for entry in server.stores.runs.list_artifacts(run_id, prefix="logs").items]
        assert {whole_of(path) for path in paths} == {"logs/output.log"}
        page = seen.go(f"/runs/{run_id}/logs")
        assert _numbers(page) == list(range(1, 81))


def test_models_and_their_versions_are_named(browser: Browser, ran: Ran) -> None:
    server = ran.server
    uri = f"sqlite:///{server.home / 'toolkit.db'}"
    client = toolkit.Client(tracking_uri=uri)
    run_id = str(client.create_run("0", run_name="with a model").info.run_id)
    client.log_text(run_id, "artifact_path: model\nflavors: {}\n", "model/MLmodel")
    client.create_registered_model("grapes")
    client.create_model_version("grapes", f"runs:/{run_id}/model", run_id=run_id)
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}")
        link = page.locator("section[aria-labelledby=h-models] a")
        assert link.inner_text() == "grapes 1"
        with page.expect_navigation():
            link.click()
        assert page.url.endswith("/models/grapes/versions/1")
        assert seen.wrong == []


def test_a_deleted_run_says_so_and_comes_back(browser: Browser, ran: Ran) -> None:
    runs = ran.server.stores.runs
    run_id = ran.runs["flaky 1"].info.run_id
    with look(browser, ran.server.url) as seen:
        page = seen.go(f"/runs/{run_id}")
        page.locator(".head summary").click()
        with page.expect_navigation():
            page.get_by_role("button", name="Delete").click()
        assert "This run is deleted" in page.inner_text(".notice")
        assert runs.get_run(run_id).info.lifecycle_stage == "deleted"
        seen.check()
        with page.expect_navigation():
            page.get_by_role("button", name="Restore").click()
        assert page.locator(".notice").count() == 0
        assert runs.get_run(run_id).info.lifecycle_stage == "active"


def test_a_run_is_tagged_and_coloured_where_one_stands(browser: Browser, ran: Ran) -> None:
    """A form leads back to the tab that it was sent from."""
    run_id = ran.runs["train 1"].info.run_id
    tab = f"/runs/{run_id}/charts?x=relative"

    def tags() -> Mapping[str, str]:
        return ran.server.stores.runs.get_run(run_id).data.tags

    with look(browser, ran.server.url) as seen:
        page = seen.go(tab)
        page.locator(".head summary").click()
        page.fill(".head input[name=key]", "team")
        page.fill(".head input[name=value]", f"wine & {HOSTILE}")
        with page.expect_navigation():
            page.get_by_role("button", name="Tag", exact=True).click()
        assert page.url == ran.server.url + tab
        assert tags()["team"] == f"wine & {HOSTILE}"
        page.locator(".head summary").click()
        seen.check()
        page.select_option(".head select[name=value]", "5")
        with page.expect_navigation():
            page.get_by_role("button", name="Keep the colour").click()
        assert page.url == ran.server.url + tab
        assert tags()["toolkit.colour"] == "5"
        page = seen.go(f"/runs/{run_id}")
        assert page.input_value(".head select[name=value]") == "5"
        chips = page.locator("section[aria-labelledby=h-tags]")
        assert chips.locator("li").inner_text().startswith("team: wine & <img")
        with page.expect_navigation():
            chips.get_by_role("button", name="Remove the tag team").click()
        assert chips.inner_text().endswith("No tags.")
        assert "team" not in tags()
        page.locator(".head summary").click()
        page.select_option(".head select[name=value]", "")
        with page.expect_navigation():
            page.get_by_role("button", name="Keep the colour").click()
        assert page.url == f"{ran.server.url}/runs/{run_id}"
        assert "toolkit.colour" not in tags()
        assert seen.wrong == []


@pytest.mark.parametrize(
    ("referer", "end"),
    [
        ("", ""),
        ("https://evil.example/", ""),
        ("https://evil.example/runs/ID/logs?x=1", "/logs?x=1"),
        ("//evil.example/runs/ID/charts/", ""),
        ("http://[/runs/ID/pictures", "/pictures"),
        ("/runs/other/charts", ""),
    ],
)
def test_a_form_leads_to_no_other_place(ran: Ran, referer: str, end: str) -> None:
    run_id = ran.runs["train 1"].info.run_id
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Sec-Fetch-Site": "same-origin",
        "Referer": referer.replace("ID", run_id),
    }
    answer = ran.server.call("POST", f"/runs/{run_id}", b"action=untag&key=nothing", headers)
    assert (answer.status, answer.headers["location"]) == (303, f"/runs/{run_id}{end}")


def test_a_run_that_took_results_over_leads_to_where_they_are_from(browser: Browser, ran: Ran) -> None:
    """A workflow that was resumed takes its finished step over, and both say so."""
    server, before = ran.server, ran.runs["whole 2"].info.run_id
    known = {run.info.run_id for run in server.stores.runs.list_runs(RunQuery()).items}
    assert ran.machine.toolkit("run", "--resume", before, cwd=ran.folder).code == 1  # flaky fails again
    new = [run for run in server.stores.runs.list_runs(RunQuery()).items if run.info.run_id not in known]
    named = {run.data.tags.get("toolkit.step", "whole"): run.info.run_id for run in new}
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{named['train']}")
        assert page.inner_text(".head #live-state").strip() == "Cached"
        origin = ran.runs["train 2"].info.run_id
        link = page.get_by_role("link", name=f"taken from the cache: the same as run {origin[:8]}")
        seen.check()
        with page.expect_navigation():
            link.click()
        assert page.url.endswith(f"/runs/{origin}")
        page = seen.go(f"/runs/{named['whole']}")
        with page.expect_navigation():
            page.get_by_role("link", name=f"resumed from run {before[:8]}").click()
        assert page.url.endswith(f"/runs/{before}")
        assert seen.wrong == []


def test_a_trial_that_was_pruned_says_so(browser: Browser, ran: Ran) -> None:
    runs = ran.server.stores.runs
    tags = {"toolkit.step": "tune", "toolkit.trial": "7", "toolkit.pruned": '{"3": 0.5}'}
    new = NewRun(run_id=uuid4().hex, experiment_id="0", run_name="tune", user_id="ada", start_time=now_ms(), tags=tags)
    run_id = runs.create_run(new).info.run_id
    runs.update_run(run_id, status=RunStatus.FINISHED)
    with look(browser, ran.server.url) as seen:
        page = seen.go(f"/runs/{run_id}")
        assert page.inner_text(".head #live-state").strip() == "Pruned"
        assert page.locator("#live-facts .why").all_inner_texts() == ["step tune", "trial 7", "pruned"]
        seen.check()


@pytest.mark.parametrize("request_", ["", "[]", "{}", '{"uri": 3}', '{"uri": "x", "parameters": []}', "not json"])
def test_a_request_that_cannot_be_read_gives_no_command(request_: str) -> None:
    assert _again(request_) == ""


def test_the_command_that_asks_again_is_quoted_for_a_shell() -> None:
    text = '{"uri": "a b", "version": "v1", "entry_point": "train", "parameters": {"x": "it\'s", "n": 3, "z": null}}'
    words = ["toolkit", "run", "a b", "-v", "v1", "-e", "train", "-P", "x=it's", "-P", "n=3"]
    assert shlex.split(_again(text)) == words
