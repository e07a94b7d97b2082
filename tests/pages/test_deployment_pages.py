"""Pages of deployments: what is remembered of them; what only the machine that keeps them may do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import look
from server import Server, serving
from shown import HOSTILE, Shown

from toolkit.deployments.proofs import note
from toolkit.deployments.records import Deployment, DeploymentState, Release, ReleaseState
from toolkit.recording.process import host_name
from toolkit.wiring.serving import open_deployment_store

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Place = tuple[Server, Shown]
STEPS = [
    {"name": "build", "began": 1_000, "ended": 3_000, "said": "built", "failed": False},
    {"name": "check", "began": 3_000, "ended": 3_500, "said": HOSTILE, "failed": True},
]
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def deployed(shown: Place) -> Server:
    """A server that remembers a deployment on another machine, with two releases."""
    server, _ = shown
    store = open_deployment_store(server.stores)
    new = Deployment(
        id="d" * 32, name="wine", target="local", state=DeploymentState.CREATING, host="elsewhere", created_by="ann"
    )
    made = store.create(new)
    for version in (1, 2):
        begun = store.begin_release(
            Release(
                deployment_id=made.id,
                number=version,
                model="wine",
                version=version,
                bento=f"wine:{version}",
                why=HOSTILE,
                instance={"steps": STEPS} if version == 2 else {},
            )
        )
        if version == 2:
            store.change_release(made.id, 1, state=ReleaseState.REPLACED)
        store.change_release(made.id, begun.number, state=ReleaseState.SERVING)
        store.change(made.id, state=DeploymentState.SERVING, address="http://127.0.0.1:9", release=begun.number)
    return server


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390)], ids=["light", "dark", "phone"])
def test_deployments_are_shown(browser: Browser, deployed: Server, dark: bool, width: int) -> None:
    with look(browser, deployed.url, dark=dark, width=width) as seen:
        page = seen.go("/deployments")
        assert "wine version 2" in page.inner_text("tbody")
        seen.check()
        page.click("tbody a >> text=wine >> nth=0")
        page.wait_for_selector("h1:has-text('wine')")
        assert HOSTILE in page.inner_text("main")
        assert "It is not kept by this machine" in page.inner_text("#now")
        assert "deployment wine is on elsewhere: change it there" in page.inner_text("section[aria-labelledby=h-next]")
        assert page.locator("button[value]:visible").count() == page.locator("button[name=theme]").count()
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        seen.check()
        seen.shot(f"deployment{'-dark' if dark else ''}{'-phone' if width < 600 else ''}")


def test_a_release_says_what_a_roll_back_to_it_does(browser: Browser, deployed: Server) -> None:
    with look(browser, deployed.url, script=False) as seen:
        page = seen.go("/deployments/wine/releases/1")
        told = page.locator(".effect li").all_inner_texts()
        assert told[0].startswith("A new release of wine version 1, as release 1 was configured, is started beside")
        assert "release 2 (wine version 2), which goes on answering" in told[0]
        assert "It follows" not in told[-1]
        assert "deployment wine is on elsewhere: change it there" in page.inner_text("#back")
        assert page.locator("button[value=rollback]").count() == 0
        assert "toolkit deployments logs -n wine --release 1" in page.inner_text("#h-log ~ pre")
        assert seen.go("/deployments/wine/releases/2").locator("#back").count() == 0


def test_steps_of_a_release_are_shown(browser: Browser, deployed: Server) -> None:
    with look(browser, deployed.url, dark=True) as seen:
        page = seen.go("/deployments/wine/releases/2")
        lines = [" ".join(each.split()) for each in page.locator(".steps-of li").all_inner_texts()]
        assert lines == ["Build 2.0 s · built", f"Check 500 ms · {HOSTILE}"]
        assert page.locator(".steps-of .s-bad").count() == 1
        seen.check()


def test_what_another_machine_keeps_is_neither_asked_nor_changed_from_here(deployed: Server) -> None:
    for path, body in (("/deployments/wine", b"action=rollback&to=1"), ("/deployments/wine/score", b"body={}")):
        answer = deployed.call("POST", path, body, FORM)
        assert answer.status == 400
        assert "elsewhere" in answer.body.decode() or "not kept by this machine" in answer.body.decode()


def test_the_address_of_an_answer_leads_to_the_deployment(deployed: Server) -> None:
    answer = deployed.call("GET", "/deployments/wine/score")
    assert (answer.status, answer.headers["location"]) == (303, "/deployments/wine#try")


def test_from_elsewhere_one_only_goes_back_to_what_this_machine_has_served(deployed: Server) -> None:
    store = open_deployment_store(deployed.stores)
    made = store.create(
        Deployment(id="e" * 32, name="here", target="local", state=DeploymentState.CREATING, host=host_name())
    )
    store.begin_release(Release(deployment_id=made.id, number=1, model="wine", version=1, bento="wine:1"))
    away = {**FORM, "X-Forwarded-For": "203.0.113.9"}
    for body in (b"action=release&version=2&user=ann", b"action=stop&typed=here&user=ann", b"action=rollback&to=1"):
        answer = deployed.call("POST", "/deployments/here", body, away)
        assert (answer.status, "at the server&#39;s own machine" in answer.body.decode()) == (400, True), body
    folder = deployed.home / "deployments"
    kept = {"config": {"workers": 1}, "options": {}}
    note(folder, made, store.change_release(made.id, 1, state=ReleaseState.REPLACED, instance=kept))
    told = deployed.call("POST", "/deployments/here", b"action=rollback&to=1&user=", away).body.decode()
    assert "say your name" in told  # so it might be done
    page = deployed.call("GET", "/deployments/here", None, away).body.decode()
    assert 'value="stop"' not in page
    login = {"Authorization": "Basic YTpi"}
    assert 'value="stop"' not in deployed.call("GET", "/deployments/here", None, login).body.decode()
    assert 'value="stop"' in deployed.call("GET", "/deployments/here").body.decode()
    for changes in (
        {"config": {"workers": 9}, "options": {}},
        {"config": {"workers": 1}, "options": {"host": "0.0.0.0"}},
    ):
        store.change_release(made.id, 1, instance=changes)  # as a client may
        answer = deployed.call("POST", "/deployments/here", b"action=rollback&to=1&user=ann", {**FORM, "Via": "proxy"})
        assert (answer.status, "at the server&#39;s own machine" in answer.body.decode()) == (400, True)
    store.change(made.id, state=DeploymentState.DELETED)


def test_a_server_for_others_changes_nothing_from_its_pages_unless_it_is_told_to(tmp_path: Path) -> None:
    with serving(tmp_path / "home", change_from_pages=False) as server:
        store = open_deployment_store(server.stores)
        store.create(
            Deployment(id="e" * 32, name="here", target="local", state=DeploymentState.CREATING, host=host_name())
        )
        page = server.call("GET", "/deployments/here").body.decode()
        assert ("TOOLKIT_CHANGE_FROM_PAGES=true" in page, 'value="stop"' in page) == (True, False)
        told = server.call("POST", "/deployments/here", b"action=stop&typed=here&user=ann", FORM).body.decode()
        assert "TOOLKIT_CHANGE_FROM_PAGES=true" in told
        assert store.get("here").state is DeploymentState.CREATING


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/deployments/nothing", b"action=rollback&to=1", 404),
        ("/deployments/wine", b"action=destroy", 400),
        ("/deployments/nothing/score", b"body={}", 404),
        ("/deployments/wine", b"action=cancel", 400),
    ],
)
def test_what_cannot_be_done_says_why(deployed: Server, path: str, body: bytes, status: int) -> None:
    answer = deployed.call("POST", path, body, FORM)
    assert (answer.status, 'class="fault"' in answer.body.decode()) == (status, True)
