"""Pages of models: what stands where, who may move it, what a version takes, and where it comes from."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from browser import Seen, look
from server import Server, serving
from shown import HOSTILE

from toolkit.deployments.records import Deployment, DeploymentState, Release, ReleaseState
from toolkit.registry.catalog import Catalog
from toolkit.registry.gates import read_gate
from toolkit.registry.history import Author
from toolkit.registry.promotion import NewRequest, Policy, RequestState, Target
from toolkit.registry.records import Stage
from toolkit.registry.registering import Registration, register
from toolkit.tracking.records import Metric
from toolkit.wiring.registry import open_catalog
from toolkit.wiring.serving import open_deployment_store

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BAD = HOSTILE.replace("/", "|")

_SCRIPT = """
import pandas as pd
import toolkit
from sklearn.dummy import DummyClassifier

rows = pd.DataFrame({"alcohol": [12.5, 13.0], "ash": [2.0, 2.5]})
toolkit.set_experiment("wine")
import pathlib
code = pathlib.Path("trainer.py")
for number, accuracy in ((1, 0.75), (2, 0.82), (3, 0.85)):
    with toolkit.start_run(run_name=f"train-{number}"):
        toolkit.log_param("depth", number)
        toolkit.log_input(toolkit.data.from_pandas(rows, name="wine-data"), context="training")
        toolkit.log_metric("accuracy", accuracy)
        code.write_text(f"import sklearn\\nDEPTH = {number}\\n")
        toolkit.sklearn.log_model(
            DummyClassifier().fit(rows, [0, 1]),
            name="model",
            input_example=rows,
            code_paths=[str(code)],
            registered_model_name="wine",
        )
"""


@dataclass(frozen=True)
class Wines:
    """A server with models.

    Attributes:
        server: The server.
        catalog: Its models.
        run: The run of version 1.
    """

    server: Server
    catalog: Catalog
    run: str


@pytest.fixture(scope="module")
def wines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wines]:
    """A server with three versions of a model, rules, a deployment, and a model whose names are script."""
    folder = tmp_path_factory.mktemp("models")
    script = folder / "train.py"
    script.write_text(_SCRIPT)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TOOLKIT_", "MLFLOW_"))}
    with serving(folder / "home") as server:
        subprocess.run(
            [sys.executable, str(script)],
            env={**environment, "TOOLKIT_HOME": str(server.home)},
            cwd=folder,
            check=True,
            timeout=300,
        )
        catalog = open_catalog(server.stores, pickles=False)
        ada = catalog.acting(Author(user="ada", reason="the first one"))
        ada.registered.set_alias("wine", "champion", 1)
        rules = (
            Policy(target=Target.read("Staging"), gates=(read_gate("accuracy >= 0.8"),), approvals=1),
            Policy(target=Target.read("Production"), gates=(read_gate("accuracy >= 0.99"), read_gate("signature"))),
            Policy(target=Target.read("@canary"), gates=(read_gate("example"),)),
        )
        ada.promotions.set_policies("wine", rules)
        version = catalog.registered.get_version("wine", 1)
        _deploy(server, version.run_id)
        _hostile(server, catalog, f"models:/{version.model_id}")
        assert version.run_id is not None
        yield Wines(server, catalog, version.run_id)


def _deploy(server: Server, run_id: str | None) -> None:
    store = open_deployment_store(server.stores)
    made = store.create(
        Deployment(id="", name="live", target="local", state=DeploymentState.CREATING, follow_alias="wine@champion")
    )
    release = Release(deployment_id=made.id, number=0, model="wine", version=1, run_id=run_id, bento="wine:1")
    begun = store.begin_release(release)
    store.change_release(made.id, begun.number, state=ReleaseState.SERVING)
    store.change(made.id, state=DeploymentState.SERVING, release=begun.number, address="http://127.0.0.1:9")


def _hostile(server: Server, catalog: Catalog, uri: str) -> None:
    name = f"bad {BAD}"
    tagged = Registration(uri=uri, name=name, description=HOSTILE, tags={"t": HOSTILE}, user_id=HOSTILE)
    register(tagged, server.stores, catalog)
    who = catalog.acting(Author(user=HOSTILE, reason=HOSTILE))
    who.registered.update_model(name, description=f"{HOSTILE} [x](javascript:alert(3))", tags={"k": HOSTILE})
    who.promotions.set_policies(name, [Policy(target=Target.read("Staging"), gates=(read_gate(f"tag t = {BAD}"),))])
    who.registered.set_alias(name, "champion", 1)
    who.promotions.request(NewRequest(name=name, version=1, target=Target.read("Production")))


def _send(page: Page, button: str) -> None:
    with page.expect_navigation():
        page.click(button)


def _name(page: Page, name: str) -> None:
    """Say who looks, on the page of a version."""
    page.fill(".waiting .decide input[name=user]", name)


def test_the_list_shows_what_stands_where(browser: Browser, wines: Wines) -> None:
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models")
        row = page.locator("tr", has=page.get_by_role("link", name="wine", exact=True)).inner_text()
        assert re.sub(r"\s+", " ", row).startswith("wine @champion 1 3 1")
        seen.check()
        seen.shot("models")
        page.fill("input[name=q]:not(#find)", "nothing of this name")
        _send(page, "form.bar button")
        assert "No model has “nothing of this name” in its name." in page.inner_text("main")
        seen.check()


def test_versions_are_compared_with_what_differs_first(browser: Browser, wines: Wines) -> None:
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models/wine")
        assert page.locator("tbody tr").count() == 3
        assert re.fullmatch(r"@champion version 1 .* by ada", " ".join(page.inner_text(".strip li").split()))
        seen.check()
        seen.shot("model")
        _send(page, "button:has-text('Compare')")
        assert page.inner_text("h1") == "Compare 2 versions of wine"
        assert "versions=3&versions=2" in page.url
        params = page.locator("section[aria-label^='Parameters'] tbody tr").first.inner_text()
        assert params.split() == ["depth", "3", "2"]
        assert "0.8500" in page.inner_text("section[aria-label=Metrics]")
        assert "0 differ" in page.inner_text("section[aria-label=Requirements]")
        assert "from version 2 to 3: 1 differ of" in page.inner_text("section[aria-label=Code] h2")
        assert page.locator("section[aria-label=Code] .gi").all_inner_texts() == ["+DEPTH = 3"]
        assert page.locator("section[aria-label=Code] .gd").all_inner_texts() == ["-DEPTH = 2"]
        seen.check()
        seen.shot("model-compare")


def test_versions_show_their_gates_files_and_how_they_differ_from_what_is_in_production(
    browser: Browser, wines: Wines
) -> None:
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models/wine")
        third = " ".join(page.locator("tbody tr").first.inner_text().split())
        assert "Staging 1/1" in third
        assert "Production 1/2" in third
        assert "canary" not in third  # its gate loads the model: that is judged when it is asked for
        assert "0.8500 ▲ +0.1000 (+13.3 %)" in third
        assert "sklearn" in third
        assert "kB" in third
        assert "differences are to version 1 (@champion)" in page.inner_text(".tools")
        dots = page.locator(".versions a")
        assert dots.first.text_content() == "version 1: 0.7500 (@champion)"
        with page.expect_navigation():
            dots.nth(1).click()
        assert page.inner_text("h1") == "wine version 2"
        page = seen.go("/models/wine?m=accuracy&m=nothing")
        assert page.locator(".versions").count() == 1
        seen.check()


def test_a_history_is_taken_away_as_a_file(wines: Wines) -> None:
    wines.catalog.acting(Author(user="ada", reason="=1+1")).registered.update_version("wine", 1, tags={"x": "y"})
    wines.catalog.acting(Author(user="ada", reason="-1")).registered.update_version("wine", 1, tags={"x": None})
    told = wines.server.call("GET", "/models/wine/history/export?format=json").body
    changes = json.loads(told)["changes"]
    assert {each["name"] for each in changes} == {"wine"}
    assert any({"user": "ada", "to": "1", "key": "champion"}.items() <= each.items() for each in changes)
    answer = wines.server.call("GET", "/models/wine/versions/1/history/export?format=csv&action=version.tagged")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert [row["key"] for row in rows] == ["x", "x"]
    assert [row["reason"] for row in rows] == ["-1", "'=1+1"]
    assert wines.server.call("GET", "/models/wine/history/export?format=xml").status == 400


def test_a_request_is_made_and_nobody_approves_their_own(browser: Browser, wines: Wines) -> None:
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models/wine/versions/3")
        page.click("summary:has-text('Move to a stage')")
        form = page.locator("form", has=page.locator("select[name=stage]"))
        form.locator("select").select_option("Staging")
        form.locator("input[name=reason]").fill("a point better")
        form.locator("input[name=user]").fill("ada")
        _send(page, "form:has(select[name=stage]) button[value=move]")
        assert "only by a request that 1 other must approve" in page.inner_text(".fault")
        assert page.input_value("select[name=stage]") == "Staging"
        page.locator("form:has(select[name=stage]) input[name=user]").fill("ada")
        seen.wrong.clear()  # the browser notes that a form was refused
        _send(page, "form:has(select[name=stage]) button[value=request]")
        assert page.inner_text(".waiting h2").endswith("ada asks that this version takes Staging")
        assert "Then: version 3 takes Staging." in page.inner_text(".waiting")
        assert "Passed" in page.inner_text(".waiting table")
        approve = page.locator(".waiting button[value=approve]")
        assert approve.is_disabled()
        assert "ada asked for this, and nobody decides on a request of their own." in page.inner_text(".waiting")
        seen.check()
        seen.shot("model-version-own-request")
        page.fill(".waiting form:has(button[value=who]) input[name=user]", "bob")
        _send(page, "button[value=who]")
        page.fill(".waiting input[name=reason]", "looked at it")
        _send(page, "button[value=approve]")
        assert page.locator(".head .stage").inner_text() == "Staging"
        assert "asked for by ada, “a point better” · bob: “looked at it”" in page.inner_text("#h-closed + ul")
        version = wines.catalog.registered.get_version("wine", 3)
        assert str(version.stage) == "Staging"
        page = seen.go("/models/wine/versions/3/history")
        lines = [row.split("\t") for row in page.locator("tbody tr").all_inner_texts()]
        moved = next(line for line in lines if line[2].startswith("stage"))
        assert moved[1:2] + moved[3:5] == ["bob", "None", "Staging"]
        seen.check()
        seen.shot("model-history")


def test_a_rejection_needs_a_reason(browser: Browser, wines: Wines) -> None:
    ada = wines.catalog.acting(Author(user="ada"))
    made = ada.promotions.request(NewRequest(name="wine", version=2, target=Target.read("Staging")))
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models/wine/versions/2")
        _name(page, "bob")
        _send(page, "button[value=reject]")
        assert f"request {made.id} is rejected without a reason: say why" in page.inner_text(".fault")
        page.fill(".waiting input[name=reason]", "last year's data")
        _name(page, "bob")
        _send(page, "button[value=reject]")
        assert "bob: “last year's data”" in page.inner_text("#h-closed + ul")
    assert wines.catalog.promotions.get_request(made.id).closed_by == "bob"


def test_a_request_is_talked_about_and_what_it_changed_is_said(browser: Browser, wines: Wines) -> None:
    wines.catalog.acting(Author(user="ada")).registered.set_alias("wine", "spoken", 1)
    made = wines.catalog.acting(Author(user="ada")).promotions.request(
        NewRequest(name="wine", version=2, target=Target.read("@spoken"))
    )
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models/wine/versions/2")
        page.keyboard.press("a")
        assert page.evaluate("document.activeElement.name") == "reason"
        page.keyboard.type("which data? " + HOSTILE)
        _name(page, "bob")
        _send(page, "button[value=comment]")
        assert page.inner_text(".comments .words") == "which data? " + HOSTILE
        assert wines.catalog.promotions.get_request(made.id).state is RequestState.PENDING
        seen.check()
        seen.shot("model-version-request")
        _send(page, "button[value=approve]")
        told = page.inner_text(".notice[role=status]").strip()
        assert told == "Done: @spoken moved from version 1 to 2."
        assert "which data?" in page.inner_text("section[aria-labelledby=h-closed] .comments")
        seen.check()
        page = seen.go("/models/wine/history?action=request.commented")
        assert page.locator("tbody tr").first.inner_text().split("\t")[3].startswith("said to a request")
    wines.catalog.registered.delete_alias("wine", "spoken")


def test_an_alias_is_given_and_taken_away_without_script(browser: Browser, wines: Wines) -> None:
    with look(browser, wines.server.url, script=False) as seen:
        page = seen.go("/models/wine/versions/2")
        page.click("summary:has-text('Give it an alias')")
        page.fill("form:has(input[name=alias][required]) input[name=alias]", "shadow")
        page.fill("form:has(input[name=alias][required]) input[name=user]", "cy")
        _send(page, "form:has(input[name=alias][required]) button[value=move]")
        assert "@shadow" in page.inner_text(".head")
        assert wines.catalog.registered.find_alias("wine", "shadow").version == 2
        _send(page, "button[aria-label='Take the alias shadow away']")
        assert "@shadow" not in page.inner_text(".head")
        assert wines.catalog.registered.get_model("wine").aliases == {"champion": 1}


def test_an_alias_goes_back_to_what_it_was(browser: Browser, wines: Wines) -> None:
    wines.catalog.acting(Author(user="ada")).registered.set_alias("wine", "back", 1)
    wines.catalog.acting(Author(user="ada")).registered.set_alias("wine", "back", 3)
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models/wine")
        page.click("summary:has-text('Edit'):visible >> nth=0")
        form = "form:has(button[value=rollback]) "
        page.fill(form + "input[name=target]", "@back")
        page.fill(form + "input[name=reason]", "answers too slowly")
        page.fill(form + "input[name=user]", "bob")
        _send(page, form + "button")
        assert "@back version 1" in " ".join(page.inner_text(".strip").split())
        page = seen.go("/models/wine/history?key=back")
        first = page.locator("tbody tr").first.inner_text().split("\t")
        assert first[1:3] + first[4:] == ["bob", "1", "3", "1", "answers too slowly"]
        seen.check()
    wines.catalog.registered.delete_alias("wine", "back")


def test_a_server_without_models_teaches_how_to_register_one(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "home") as server, look(browser, server.url) as seen:
        page = seen.go("/models")
        assert "toolkit registry register runs:/RUN_ID/model wine" in page.inner_text(".empty")
        page.click("summary:has-text('Register')")
        page.fill("form:has(button[value=create]) input", "wine")
        _send(page, "button[value=create]")
        assert "This model has no version." in page.inner_text(".empty")
        assert "Nothing is asked for" in seen.go("/models/wine/rules").inner_text(".empty")
        seen.check()


def test_descriptions_and_tags_are_edited_in_place(browser: Browser, wines: Wines) -> None:
    with look(browser, wines.server.url) as seen:
        for path in ("/models/wine", "/models/wine/versions/1"):
            page = seen.go(path)
            page.click("summary:has-text('Write a description')")
            page.fill("textarea[name=description]", "# Title\n\nof *this*")
            _send(page, "button[value=describe]")
            assert page.inner_text(".note em") == "this"
            page.click("summary:has-text('Add a tag')")
            page.fill("input[name=key]:visible", "team")
            page.fill("input[name=value]:visible", "cellar")
            _send(page, "button[value=tag]")
            assert "team: cellar" in page.inner_text("#h-tags + ul")
            seen.check()
            _send(page, "button[aria-label='Remove the tag team']")
            assert "No tags." in page.inner_text("section[aria-labelledby=h-tags]")


def test_gates_are_judged_line_by_line_and_models_are_loaded_only_when_asked(browser: Browser, wines: Wines) -> None:
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models/wine/versions/1/gates")
        rows = page.locator("section[aria-label=Production] tbody tr").all_inner_texts()
        assert [row.split("\t")[0].strip() for row in rows] == ["Failed", "Passed"]
        assert "it is 0.75" in rows[0]
        canary = page.locator("section[aria-label='@canary']")
        assert canary.get_by_label("Not judged yet").count() == 1
        seen.check()
        seen.shot("model-gates")
        page.click("text=Judge now")
        page.wait_for_selector("section[aria-label='@canary'] tbody tr")
        assert "example" in page.inner_text("section[aria-label='@canary'] tbody")


def test_rules_are_set_and_lifted(browser: Browser, wines: Wines) -> None:
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models/wine/rules")
        page.click("summary:has-text('Add a rule')")
        box = "form.narrow "
        page.fill(box + "input[name=target]", "@gold")
        page.fill(box + "textarea", "accuracy >= high")
        page.fill(box + "input[name=user]", "ada")
        _send(page, box + "button[value=rule]")
        assert "is no gate" in page.inner_text(".fault")
        assert page.input_value(box + "textarea") == "accuracy >= high"
        page.fill(box + "textarea", "accuracy >= 0.9\ntag reviewed = yes")
        page.fill(box + "input[name=approvers]", "bob, cy")
        _send(page, box + "button[value=rule]")
        seen.wrong.clear()  # as above
        gold = page.locator("section[aria-label='@gold']")
        assert "bob, cy must approve." in gold.inner_text()
        assert gold.locator("li").count() == 2
        seen.check()
        seen.shot("model-rules")
        gold.locator("summary").click()
        _send(page, "section[aria-label='@gold'] button[value=lift]")
        assert page.locator("section[aria-label='@gold']").count() == 0


def test_a_version_says_what_it_takes_and_how_it_is_used(browser: Browser, wines: Wines) -> None:
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models/wine/versions/1/contract")
        inputs = page.locator("section[aria-labelledby=h-in] tbody tr").all_inner_texts()
        assert [row.split("\t")[:2] for row in inputs] == [["alcohol", "double"], ["ash", "double"]]
        example = page.locator("section[aria-labelledby=h-example] tbody tr").first.inner_text()
        assert example.split() == ["12.5", "2.0"]
        assert "scikit-learn==" in page.inner_text("section[aria-labelledby=h-needs]")
        href = page.locator("section[aria-labelledby=h-files] a", has_text="MLmodel").get_attribute("href")
        assert href is not None
        assert b"sklearn" in wines.server.call("GET", href).body
        seen.check()
        seen.shot("model-contract")
        page = seen.go("/models/wine/versions/1/use")
        told = page.inner_text(".uses")
        assert 'toolkit.load_model("models:/wine@champion")' in told
        assert f'mlflow.set_tracking_uri("{wines.server.url}")' in told
        assert "toolkit deployments create -n wine -m models:/wine@champion" in told
        assert str(wines.server.home) not in told
        line = next(line for line in told.splitlines() if line.startswith("curl"))
        assert json.loads(shlex.split(line)[4])["dataframe_split"]["data"] == [[12.5, 2.0], [13.0, 2.5]]
        seen.check()


def test_lineage_goes_both_ways_and_each_thing_is_a_link(browser: Browser, wines: Wines) -> None:
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models/wine/versions/1/lineage")
        names = [name.split("\n")[0] for name in page.locator("svg a.node").all_text_contents()]
        drawn = " ".join(names)
        for name in ("wine-data", "train-1", "model", "wine version 1", "wine:1", "live"):
            assert name in drawn
        seen.check()
        seen.shot("model-lineage")
        with page.expect_navigation():
            page.locator("svg a.node", has_text="train-1").click()
        assert page.url.endswith(f"/runs/{wines.run}/lineage")
        assert page.locator("nav.tabs [aria-current]").inner_text() == "Lineage"
        seen.check()
        with page.expect_navigation():
            page.locator("svg a.node", has_text="wine-data").click()
        assert page.inner_text("h1") == "wine-data"
        assert (
            page.locator("svg a.node").count() == 13
        )  # data; of three versions run and model; one more version; Bento, deployment
        seen.check()
        assert "wanted way=up" in seen.go("/models/wine/versions/1/lineage?depth=0").inner_text("main")


def test_what_a_run_made_is_registered_from_its_page(browser: Browser, wines: Wines) -> None:
    with look(browser, wines.server.url) as seen:
        page = seen.go(f"/runs/{wines.run}/lineage")
        page.click("summary:has-text('Register it')")
        page.fill(".made input[name=name]", "wine/copy")
        page.fill(".made input[name=user]", "ada")
        _send(page, ".made button[value=register]")
        assert "Names cannot contain '/' or ':'" in page.locator(".fault").first.inner_text()
        seen.wrong.clear()  # as above
        page = seen.go(f"/runs/{wines.run}/lineage")
        page.click("summary:has-text('Register it')")
        page.fill(".made input[name=name]", "copy")
        _send(page, ".made button[value=register]")
        assert page.inner_text("h1") == "copy version 1"
        assert page.locator("p.facts").inner_text().strip().startswith("ada")
        page = seen.go("/models/copy")
        page.click("summary:has-text('Edit')")
        page.fill("input[name=typed]", "copies")
        _send(page, "button[value=delete]")
        assert "only if its name is typed: copy" in page.inner_text(".fault")
        page.click("summary:has-text('Edit')")
        page.fill("input[name=typed]", "copy")
        _send(page, "button[value=delete]")
        assert page.inner_text("h1") == "Models"


def test_the_other_forms_do_what_they_say(browser: Browser, wines: Wines) -> None:
    version = wines.catalog.registered.get_version("wine", 1)
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models")
        page.click("summary:has-text('Register')")
        page.fill(".menu input[name=name] >> nth=0", "formed")
        page.fill(".menu input[name=uri]", f"models:/{version.model_id}")
        page.fill(".menu input[name=user]", "cy")
        _send(page, ".menu button[value=register]")
        assert page.inner_text("h1") == "formed version 1"
        page = seen.go("/models/formed")
        page.click("summary:has-text('Edit')")
        page.fill("input[name=new_name]", "reformed")
        _send(page, "button[value=rename]")
        assert page.inner_text("h1") == "reformed"
        page = seen.go("/models/reformed/versions/1")
        page.click("summary:has-text('Move to a stage')")
        page.select_option("select[name=stage]", "Staging")
        _send(page, "form:has(select[name=stage]) button[value=request]")
        _send(page, "button[value=withdraw]")
        assert "Request" in page.inner_text(".notice[role=status]")
        assert page.locator(".waiting").count() == 0
        page.click("summary:has-text('Delete')")
        page.fill("input[name=typed]", "1")
        _send(page, "button[value=delete]")
        assert "This model has no version." in page.inner_text(".empty")
        page = seen.go("/models/wine/rules")
        staging = "section[aria-label=Staging] "
        page.click(staging + "summary")
        page.fill(staging + "textarea", "accuracy >= 0.81")
        _send(page, staging + "button[value=rule]")
        assert page.inner_text(staging + "li").strip() == "accuracy >= 0.81"
        page.click(staging + "summary")
        page.fill(staging + "textarea", "accuracy >= 0.8")
        _send(page, staging + "button[value=rule]")
        page = seen.go("/models/wine/history")
        page.select_option("select[name=action]", "gates")
        page.fill("form.bar input[name=key]", "Staging")
        _send(page, "form.bar button")
        assert {row.split("\t")[3] for row in page.locator("tbody tr").all_inner_texts()} == {"gates Staging"}
        with page.expect_download() as taken:
            page.click("a[download]:has-text('CSV')")
        assert taken.value.suggested_filename == "wine-history.csv"
        assert len(list(csv.DictReader(io.StringIO(taken.value.path().read_text())))) == 3
        seen.check()


def test_where_a_version_serves_is_shown(browser: Browser, wines: Wines) -> None:
    with look(browser, wines.server.url) as seen:
        for path in ("/models/wine", "/models/wine/versions/1"):
            page = seen.go(path)
            assert "follows wine@champion" in page.inner_text("section[aria-labelledby=h-serving]")
        page.click("summary:has-text('Score the example there')")
        assert json.loads(page.input_value("textarea[name=body]"))["dataframe_split"]["columns"] == ["alcohol", "ash"]
        assert page.locator("form:has(textarea[name=body])").get_attribute("action") == "/deployments/live/score"
        ada = wines.catalog.acting(Author(user="ada"))
        made = ada.promotions.request(NewRequest(name="wine", version=2, target=Target.read("@champion")))
        page = seen.go("/models/wine/versions/2")
        told = page.inner_text(".waiting")
        assert "Then: @champion moves from version 1 to 2; deployment live follows it." in told
        ada.promotions.withdraw(made.id)


def test_who_logs_in_is_who_acts(wines: Wines) -> None:
    login = {"Authorization": "Basic " + base64.b64encode(b"cy:secret").decode()}
    page = wines.server.call("GET", "/models/wine/versions/1", None, login).body.decode()
    assert "As cy" in page
    assert 'name="user"' not in page
    form = {**login, "Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    sent = b"action=describe&description=by+cy&user=ada"
    assert wines.server.call("POST", "/models/wine/versions/2", sent, form).status == 303
    changes = wines.server.call("GET", "/models/wine/versions/2/history?action=version.described").body.decode()
    assert changes.count("<td>cy</td>") == 1
    elsewhere = {**form, "Sec-Fetch-Site": "cross-site"}
    assert wines.server.call("POST", "/models/wine/versions/2", sent, elsewhere).status == 403


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/models/nothing", 404, "nothing"),
        ("/models/wine/versions/99", 404, "99"),
        ("/models/wine/versions/x", 404, "is no number of a version"),
        ("/models/wine/compare?versions=1,x", 400, "is no number of a version"),
        ("/models/wine/compare", 200, "Tick two or more versions"),
        ("/models/wine/history?action=magic", 400, "there is no change"),
        ("/lineage?kind=cat&id=1", 400, "lineage knows no"),
        ("/lineage?kind=dataset&id=none", 404, "there is no dataset none"),
    ],
)
def test_what_is_not_there_is_said_so(wines: Wines, path: str, status: int, told: str) -> None:
    answer = wines.server.call("GET", path)
    assert (answer.status, told in answer.body.decode()) == (status, True)


def test_hostile_names_do_nothing(browser: Browser, wines: Wines) -> None:
    name = quote(f"bad {BAD}", safe="")
    own = [f"/{name}/versions/1{end}" for end in ("", "/gates", "/contract", "/lineage", "/history", "/use")]
    with look(browser, wines.server.url, dark=True) as seen:
        for path in ("", f"/{name}", f"/{name}/rules", f"/{name}/history", f"/{name}/compare?versions=1", *own):
            seen.go(f"/models{path}")
            assert seen.wrong == [], path
        lines = seen.page.inner_text(".uses").splitlines()
        served = next(line for line in lines if line.startswith("toolkit deployments create"))
        assert shlex.split(served)[-1] == f"models:/bad {BAD}@champion"
        for path in (f"/{name}", own[0], own[3]):
            seen.go(f"/models{path}")
            seen.check()


def test_pages_of_models_are_read_on_a_phone(browser: Browser, wines: Wines) -> None:
    with look(browser, wines.server.url, width=390) as seen:
        for path in ("", "/wine", "/wine/versions/1", "/wine/versions/1/lineage", "/wine/compare?versions=1,2"):
            page = seen.go(f"/models{path}")
            assert _overflow(page) == 0, path
        _shot(seen)


def _overflow(page: Page) -> int:
    """Return by how many pixels a page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def _shot(seen: Seen) -> None:
    seen.go("/models/wine/versions/1")
    seen.check()
    seen.shot("model-version-phone")


def test_a_version_takes_a_stage_at_once_and_the_other_goes_to_archived(browser: Browser, wines: Wines) -> None:
    """No rule stands in the way of Archived, nor of a model that has none."""
    version = wines.catalog.registered.get_version("wine", 1)
    for _ in range(2):
        register(Registration(uri=f"models:/{version.model_id}", name="moved"), wines.server.stores, wines.catalog)
    wines.catalog.acting(Author(user="ada")).registered.set_stage("moved", 1, Stage.PRODUCTION)
    form = "form:has(select[name=stage]) "
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models/moved/versions/2")
        page.click("summary:has-text('Move to a stage')")
        page.select_option(form + "select", "Production")
        page.check(form + "input[name=archive]")
        page.fill(form + "input[name=reason]", "measured again")
        page.fill(form + "input[name=user]", "bob")
        _send(page, form + "button[value=move]")
        assert page.locator(".head .stage").inner_text() == "Production"
        assert page.locator(".fault").count() == 0
        seen.check()
        stages = [str(wines.catalog.registered.get_version("moved", number).stage) for number in (1, 2)]
        assert stages == ["Archived", "Production"]
        page = seen.go("/models/moved/versions/1/history")
        page.select_option("select[name=action]", "stage")
        _send(page, "form.bar button")
        rows = [row.split("\t") for row in page.locator("tbody tr").all_inner_texts()]
        assert [row[3:5] for row in rows] == [["Production", "Archived"], ["None", "Production"]]
        assert rows[0][1] == "bob"
        page.fill("form.bar input[name=key]", "nothing of it")
        _send(page, "form.bar button")
        assert "No such change was made." in page.inner_text(".empty")
        seen.check()
        with page.expect_navigation():
            page.get_by_role("link", name="Show all").click()
        assert page.locator("tbody tr").count() > 2
        assert page.input_value("form.bar input[name=key]") == ""


def test_an_alias_is_asked_for(browser: Browser, wines: Wines) -> None:
    form = "form:has(input[name=alias][required]) "
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models/wine/versions/2")
        page.click("summary:has-text('Give it an alias')")
        page.fill(form + "input[name=alias]", "wanted")
        page.fill(form + "input[name=reason]", "for the night")
        page.fill(form + "input[name=user]", "ada")
        _send(page, form + "button[value=request]")
        told = page.inner_text(".waiting")
        assert "ada asks that this version takes @wanted" in told
        assert "Then: @wanted is version 2." in told
        assert "for the night" in told
        assert "wanted" not in wines.catalog.registered.get_model("wine").aliases
        seen.check()
        _send(page, ".waiting button[value=withdraw]")
        assert page.locator(".waiting").count() == 0


def test_metrics_of_a_model_are_chosen(browser: Browser, wines: Wines) -> None:
    """By how they are called, in pictures and in the table; the address keeps them."""
    for number in (1, 2, 3):
        run_id = wines.catalog.registered.get_version("wine", number).run_id
        assert run_id is not None
        wines.server.stores.runs.log_batch(run_id, metrics=[Metric(key="recall", value=number / 4, timestamp=1)])
    with look(browser, wines.server.url) as seen:
        page = seen.go("/models/wine")
        courses = page.locator("section[aria-labelledby=h-courses]")
        assert courses.locator("figcaption strong").all_inner_texts() == ["accuracy", "recall"]
        courses.locator("summary").click()
        courses.get_by_role("checkbox", name="accuracy").uncheck()
        with page.expect_navigation():
            courses.get_by_role("button", name="Show these").click()
        assert page.url.endswith("?m=recall")
        assert courses.locator("figcaption strong").all_inner_texts() == ["recall"]
        heads = page.locator("[aria-label=Versions] th[scope=col]").all_inner_texts()
        assert "recall" in heads
        assert "accuracy" not in heads
        seen.check()


def test_lineage_is_followed_one_way_and_so_far(browser: Browser, wines: Wines) -> None:
    with look(browser, wines.server.url) as seen:
        page = seen.go(f"/runs/{wines.run}/lineage")

        def shown(way: str, depth: str) -> str:
            page.select_option("main select[name=way]", way)
            page.fill("main input[name=depth]", depth)
            with page.expect_navigation():
                page.get_by_role("button", name="Show", exact=True).click()
            assert (page.input_value("main select[name=way]"), page.input_value("main input[name=depth]")) == (
                way,
                depth,
            )
            assert page.url.endswith(f"/runs/{wines.run}/lineage?way={way}&depth={depth}")
            return " ".join(page.locator("svg a.node").all_text_contents())

        before = shown("up", "1")
        assert "wine-data" in before
        assert "wine version 1" not in before
        after = shown("down", "1")
        assert "wine-data" not in after
        assert "live" not in after
        assert "It goes on beyond what is shown" in page.inner_text("main")
        assert "live" in shown("down", "9")
        seen.check()
        data = wines.server.stores.runs.get_run(wines.run).inputs[0].dataset
        page = seen.go("/models/wine/versions/1/lineage")
        with page.expect_navigation():
            page.locator("svg a.node", has_text="wine-data").click()
        page.select_option("main select[name=way]", "up")
        with page.expect_navigation():
            page.get_by_role("button", name="Show", exact=True).click()
        assert page.inner_text("h1") == data.name  # it is still the same thing
        assert "Nothing is known of where this comes from" in page.inner_text("main")
        seen.check()
