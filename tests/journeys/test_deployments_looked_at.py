"""A deployment on its page, for real: somebody scores, releases, is refused, rolls back and stops, without a shell."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import browser as chromium
import pytest
from machine import Machine

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.timeout(1200), pytest.mark.slow]  # Bentos are built and served, on a busy machine

SCRIPT = Path(__file__).parent / "scripts" / "register_wines.py"
NAME = "looked-at"
LONG = 600_000


@pytest.fixture
def browser() -> Iterator[Browser]:
    if reason := chromium.why_not():
        pytest.skip(reason)
    with chromium.running() as found:
        yield found


@pytest.fixture
def pages(machine: Machine, tmp_path: Path) -> str:
    """The address of a server's pages; version 2 of a model serves, and version 1 did before."""
    made = subprocess.run(
        [sys.executable, str(SCRIPT)],
        cwd=tmp_path,
        env=machine.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    newest = max(int(each["version"]) for each in _versions(machine, tmp_path))
    for verb, number in (("create", newest - 2), ("update", newest - 1)):
        done = machine.toolkit("deployments", verb, "-n", NAME, "-m", f"models:/wines/{number}", cwd=tmp_path)
        assert done.code == 0, done.err
    services = json.loads((machine.home / "services.json").read_text())["services"]
    (url,) = [each["url"] for each in services if each["name"] == "tracking"]
    return str(url)


def _versions(machine: Machine, folder: Path) -> list[dict[str, str]]:
    done = machine.toolkit("registry", "show", "wines", "--json", cwd=folder)
    assert done.code == 0, done.err
    found: list[dict[str, str]] = done.json["versions"]
    return found


def _send(page: Page, button: str) -> None:
    with page.expect_navigation():
        page.click(button)


def _serves(page: Page, version: int, release: int) -> None:
    from playwright.sync_api import expect

    told = page.locator("#now .facts").first
    expect(told).to_contain_text(f"serves wines version {version} as release {release}", timeout=LONG)


def test_a_deployment_is_asked_and_changed_on_its_page(
    browser: Browser, pages: str, machine: Machine, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    store = machine.toolkit("deployments", "show", NAME, "--json", cwd=tmp_path).json
    second, first = (int(each["version"]) for each in store["releases"])
    with chromium.look(browser, pages) as seen:
        page = seen.go("/deployments")
        row = page.locator("tr", has=page.get_by_role("link", name=NAME))
        expect(row).to_contain_text(f"wines version {second}")
        expect(row).to_contain_text("Ready", timeout=120_000)  # the supervisor has looked
        seen.check()
        seen.shot("deployments")
        _send(page, f"a:text-is('{NAME}')")
        _serves(page, second, 2)

        # It is asked, by the fields of the model's signature and in JSON.
        assert [each.get_attribute("value") for each in page.locator(".trial input").all()] == ["14.23", "1.71", "2.43"]
        _send(page, ".trial button")
        assert page.inner_text("#try p[role=status]").strip().startswith("200 in ")
        answered = json.loads(page.locator("#try pre[aria-label='The answer']").evaluate("box => box.firstChild.data"))
        rows = b'{"dataframe_split": {"columns": ["alcohol", "malic_acid", "ash"], "data": [[14.23, 1.71, 2.43]]}}'
        assert answered == _asked(store["address"], rows)
        page.click("summary:has-text('In JSON')")
        page.fill("textarea[name=body]", "{}")
        _send(page, "button:has-text('Score the JSON')")
        assert page.inner_text("#try p[role=status]").strip().startswith("400 in ")
        expect(page.locator("#now figure").first).to_contain_text("at most", timeout=120_000)
        seen.check()
        seen.shot("deployment-serving")

        # It goes back, and the page says to what, what happens to requests, and how it goes.
        _send(page, "a:has-text('Roll back to 1')")
        effect = page.inner_text(".effect")
        assert f"wines version {first}, as release 1 was configured, is started beside release 2" in effect
        assert "Requests that run then are answered by release 2" in effect
        seen.check()
        page.fill(".decide input[name=user]", "ann")
        page.fill(".decide input[name=reason]", "it is milder")
        _send(page, "button[value=rollback]")
        expect(page.locator("#h-begun")).to_contain_text("Finished Roll back to release 1", timeout=LONG)
        assert "answers its example as the model itself does" in page.inner_text("pre[aria-label='What it said']")
        _serves(page, first, 3)
        told = page.locator("#h-releases ~ .scroll tbody tr").first.inner_text().split("\t")
        assert (told[0], told[6]) == ("3", "ann")
        assert "rollback to release 1: it is milder" in told[7]
        _send(page, ".trial button")
        assert page.inner_text("#try p[role=status]").strip().startswith("200 in ")
        seen.check()
        page = seen.go(f"/deployments/{NAME}/releases/3")
        steps = page.locator(".steps-of li").all_inner_texts()
        assert [each.split()[0] for each in steps] == ["Build", "Start", "Check", "Move"]
        assert "Service wines initialized" in page.inner_text("#h-log ~ pre")
        seen.check()

        # What fails its check takes no traffic, and the page says why.
        page = seen.go(f"/deployments/{NAME}")
        page.select_option("select[name=version]", str(second + 1))
        _send(page, "button[value=release]")
        expect(page.locator("#h-begun")).to_contain_text(f"Failed Release wines version {second + 1}", timeout=LONG)
        assert "predictions[0] is 1, not 0" in page.inner_text("pre[aria-label='What it said']")
        _serves(page, first, 3)
        seen.check()

        # What somebody regrets is taken back before it serves.
        page.select_option("select[name=version]", str(second))
        _send(page, "button[value=release]")
        _send(page, "button[value=cancel]")
        expect(page.locator("#h-begun")).to_contain_text(f"Failed Release wines version {second}", timeout=LONG)
        _serves(page, first, 3)

        # A version's own page lets what serves it score its example.
        page = seen.go(f"/models/wines/versions/{first}")
        page.click("summary:has-text('Score the example there')")
        _send(page, "button:has-text('Score')")
        assert page.inner_text("#try p[role=status]").strip().startswith("200 in ")

        # It is stopped for good only by its name.
        page.click("summary:has-text('for good')")
        page.fill("input[name=typed]", "another")
        _send(page, "button[value=stop]")
        assert "only if its name is typed" in page.inner_text(".fault[role=alert]")
        seen.wrong.clear()  # the browser notes that a form was refused
        page.fill("input[name=typed]", NAME)
        _send(page, "button[value=stop]")
        expect(page.locator(".notice")).to_contain_text(f"Finished {NAME}: Stop for good", timeout=LONG)
        expect(page.get_by_role("link", name=NAME)).to_have_count(0)
    gone = machine.toolkit("deployments", "predict", "-n", NAME, "-i", "rows.csv", cwd=tmp_path)
    assert "there is no deployment" in gone.err


def _asked(address: str, body: bytes) -> object:
    asked = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=300) as answer:
        return json.load(answer)
