"""Pages of deployments: what is remembered of them; what only the machine that keeps them may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser import look
from server import Server
from shown import HOSTILE, Shown

from toolkit.deployments.records import Deployment, DeploymentState, Release, ReleaseState
from toolkit.wiring.serving import open_deployment_store

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Place = tuple[Server, Shown]
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
        assert page.locator("button[value=rollback]").inner_text().strip() == "Roll back to 1"
        seen.check()
        seen.shot(f"deployment{'-dark' if dark else ''}{'-phone' if width < 600 else ''}")


def test_what_another_machine_keeps_is_neither_asked_nor_changed_from_here(deployed: Server) -> None:
    for path, body in (("/deployments/wine", b"action=rollback&to=1"), ("/deployments/wine/score", b"body={}")):
        answer = deployed.call("POST", path, body, FORM)
        assert answer.status == 400
        assert "elsewhere" in answer.body.decode() or "not kept by this machine" in answer.body.decode()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/deployments/nothing", b"action=rollback&to=1", 404),
        ("/deployments/wine", b"action=destroy", 400),
        ("/deployments/nothing/score", b"body={}", 404),
    ],
)
def test_what_cannot_be_done_says_why(deployed: Server, path: str, body: bytes, status: int) -> None:
    answer = deployed.call("POST", path, body, FORM)
    assert (answer.status, 'class="fault"' in answer.body.decode()) == (status, True)
