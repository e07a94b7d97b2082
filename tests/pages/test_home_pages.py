"""The first page: what goes on, what needs somebody, and whether all services are well."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import look
from server import Server, serving

from toolkit.deployments.records import Deployment, DeploymentState, Release, ReleaseState
from toolkit.flows.recorded_graph import GRAPH
from toolkit.registry.promotion import NewRequest, Policy, Target
from toolkit.registry.records import NewVersion, Stage
from toolkit.tracking.records import Metric, NewRun, RunStatus
from toolkit.wiring.registry import open_catalog
from toolkit.wiring.serving import open_deployment_store

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=120_000)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_MINUTE = 60_000


def _now() -> int:
    return time.time_ns() // 1_000_000


class Store:
    """A store that is filled run by run, with times as they would have been."""

    def __init__(self, server: Server) -> None:
        self.runs = server.stores.runs
        self.count = 0

    def run(
        self,
        name: str,
        *,
        status: RunStatus = RunStatus.FINISHED,
        ago: int = 5 * _MINUTE,
        took: int = _MINUTE,
        reason: str | None = None,
        parent: str | None = None,
        tags: dict[str, str] | None = None,
    ) -> str:
        """Add a run; return its id."""
        self.count += 1
        run_id, start = f"{self.count:032x}", _now() - ago
        self.runs.create_run(
            NewRun(
                experiment_id="0",
                run_id=run_id,
                run_name=name,
                user_id="ann",
                start_time=start,
                parent_run_id=parent,
                tags=tags or {},
            )
        )
        if status is not RunStatus.RUNNING:
            self.runs.update_run(run_id, status=status, end_time=start + took, reason=reason)
        return run_id


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on which all kinds of things go on."""
    with serving(tmp_path_factory.mktemp("busy") / "home") as server:
        store = Store(server)
        for i in range(40):
            status = RunStatus.KILLED if i % 13 == 7 else RunStatus.FINISHED
            took, flow = (1 + i % 9) * _MINUTE, {"prefect.flow_run_id": f"{i}"}
            store.run(f"nightly-{i}", status=status, ago=(50 - i) * 20 * _MINUTE, took=took, tags=flow)
        for i in range(3):
            store.run(f"sweep-{i}", status=RunStatus.FAILED, ago=30 * _MINUTE, reason="OutOfMemoryError: 8 GB\nmore")
        store.run("other", status=RunStatus.FAILED, ago=20 * _MINUTE, reason="KeyError: 'alcohol'")
        store.run("old", status=RunStatus.FAILED, ago=3 * 24 * 60 * _MINUTE, reason="KeyError: 'long ago'")
        training = store.run("training", status=RunStatus.RUNNING, ago=2 * _MINUTE)
        points = [Metric(key="loss", value=1 / (1 + i), timestamp=_now(), step=i) for i in range(30)]
        store.runs.log_batch(training, metrics=points)
        steps = [
            {"name": "prepare"},
            {"name": "train", "needs": {"prepare": []}},
            {"name": "ship", "needs": {"train": []}},
        ]
        tags = {
            "toolkit.workflow": "wine",
            GRAPH: json.dumps({"schema": 1, "steps": steps}),
            "prefect.flow_run_id": "x",
        }
        pipeline = store.run("pipeline", status=RunStatus.RUNNING, ago=_MINUTE, tags=tags)
        store.run("prepare", parent=pipeline, tags={"toolkit.step": "prepare"})
        store.run("train", status=RunStatus.RUNNING, parent=pipeline, tags={"toolkit.step": "train"})
        _models(server)
        yield server


def _models(server: Server) -> None:
    catalog = open_catalog(server.stores, pickles=False)
    for name in ("wine", "grapes"):
        catalog.registered.create_model(name)
        for _ in range(2):
            catalog.registered.create_version(NewVersion(name=name, source="s", location="s"))
    catalog.registered.set_stage("wine", 1, Stage.PRODUCTION)
    catalog.promotions.set_policies("wine", [Policy(target=Target.read("Production"), approvals=1)])
    catalog.promotions.request(NewRequest(name="wine", version=2, target=Target.read("Production")))
    store = open_deployment_store(server.stores)
    made = store.create(Deployment(id="", name="live", target="local", state=DeploymentState.CREATING))
    begun = store.begin_release(Release(deployment_id=made.id, number=0, model="wine", version=1, bento="wine:1"))
    store.change_release(made.id, begun.number, state=ReleaseState.SERVING)
    store.change(made.id, state=DeploymentState.SERVING, release=begun.number)


def _card(page: Page, name: str) -> str:
    return page.inner_text(f"section[aria-labelledby=h-{name}]")


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390)], ids=["light", "dark", "phone"])
def test_home_says_what_goes_on_and_what_needs_somebody(browser: Browser, busy: Server, dark: bool, width: int) -> None:
    with look(browser, busy.url, dark=dark, width=width) as seen:
        page = seen.go("/")
        running = _card(page, "running")
        assert "1/3 steps" in running
        assert "train" in running
        assert "loss 0.03333" in running
        failed = _card(page, "failed")
        assert "3 × OutOfMemoryError: 8 GB" in failed
        assert "KeyError: 'alcohol'" in failed
        assert "long ago" not in failed
        assert "wine version 2 → Production" in _card(page, "requests")
        models = _card(page, "models")
        assert models.index("wine") < models.index("grapes")
        assert "version 1" in models
        assert "live" in models
        assert "The last 41 flow runs" in _card(page, "strip")
        assert page.locator(".run-strip a").count() == 41
        assert "Default" in _card(page, "experiments")
        expect(page.locator("#services-line")).to_contain_text("All services are well")
        seen.shot(f"home-busy{'-dark' if dark else ''}{'-phone' if width < 600 else ''}")
        seen.check()
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        page.focus(".run-strip a >> nth=40")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert "pipeline" in page.inner_text("h1")


def test_home_is_asked_again_and_sent_again_only_if_something_is_new(browser: Browser, busy: Server) -> None:
    with look(browser, busy.url) as seen:
        page = seen.go("/")
        beat = "document.body.dispatchEvent(new Event('toolkit:beat'))"

        def asked() -> int:
            with page.expect_response(lambda answer: answer.url.endswith(":" + str(busy.port) + "/")) as found:
                page.evaluate(beat)
            return int(found.value.status)

        first = asked()
        page.wait_for_timeout(50)
        page.focus("#h-experiments")
        assert [first, asked(), asked()] == [200, 304, 304]
        Store(busy).runs.create_run(
            NewRun(experiment_id="0", run_id="e" * 32, run_name="just begun", user_id="bob", start_time=_now())
        )
        assert asked() == 200
        expect(page.locator("section[aria-labelledby=h-running]")).to_contain_text("just begun")
        Store(busy).runs.update_run("e" * 32, status=RunStatus.FINISHED, end_time=_now())
        page.click("[data-pause]")
        assert page.get_attribute("[data-pause]", "aria-pressed") == "true"
        assert seen.wrong == []


def test_a_page_that_nobody_sees_or_that_was_paused_asks_for_nothing(browser: Browser, busy: Server) -> None:
    with look(browser, busy.url) as seen:
        page = seen.go("/")
        expect(page.locator("#services-line")).to_contain_text("All services are well")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.evaluate("Object.defineProperty(document, 'visibilityState', {get: () => window.seen ?? 'hidden'})")
        page.wait_for_timeout(6_000)
        assert asked == []
        page.evaluate("window.seen = 'visible'; document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_timeout(500)
        assert len(asked) == 2  # what it shows, and the services: at once


def test_an_empty_home_teaches_and_becomes_the_page(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "home") as server, look(browser, server.url) as seen:
        page = seen.go("/")
        assert "Nothing has run yet" in page.inner_text("#home")
        assert f"MLFLOW_TRACKING_URI=http://127.0.0.1:{server.port}" in page.inner_text("#home")
        seen.shot("home-empty")
        seen.check()
        server.new_run()
        expect(page.locator("section[aria-labelledby=h-running]")).to_contain_text("Running now 1")
        assert "Nothing has run yet" not in page.inner_text("#home")
        assert seen.wrong == []


def test_a_service_that_is_not_well_is_told_first(browser: Browser, tmp_path: Path) -> None:
    home = tmp_path / "home"
    record = {"name": "prefect", "url": "http://127.0.0.1:4", "host": "127.0.0.1", "port": 4, "pid": 2**22 + 1}
    more = {"process_started": 1.0, "log": "x", "started_at": 1, "version": "3"}
    with serving(home) as server, look(browser, server.url) as seen:
        (home / "services.json").write_text(json.dumps({"format": 1, "services": [{**record, **more}]}))
        page = seen.go("/")
        expect(page.locator("#services.not-well summary")).to_contain_text("Prefect: its process has ended")
        assert "toolkit up starts it again" in page.inner_text("#services")
        seen.check()


def test_home_is_read_without_script(browser: Browser, busy: Server) -> None:
    with look(browser, busy.url, script=False) as seen:
        page = seen.go("/")
        assert "pipeline" in page.inner_text("main")
        assert not page.is_visible("[data-pause]")
        page.click("#services summary")
        assert "Disk" in page.inner_text("#services")


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("/#/experiments/0/runs/" + "1".zfill(32), "/runs/" + "1".zfill(32)),
        ("/#/experiments/0", "/experiments/0"),
        ("/#/experiments/0?searchFilter=status%20%3D%20'FAILED'", "/experiments/0?q=status+%3D+%27FAILED%27"),
        ("/#/models/wine/versions/2", "/models/wine/versions/2"),
    ],
)
def test_links_that_mlflow_prints_lead_here(browser: Browser, busy: Server, address: str, place: str) -> None:
    with look(browser, busy.url) as seen:
        seen.page.goto(busy.url + address)
        seen.page.wait_for_url(busy.url + place)
        seen.page.wait_for_selector("html[data-ready]")
        assert seen.page.locator("h1").count() == 1
        assert seen.wrong == []
