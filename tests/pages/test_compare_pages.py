"""Runs compared, in a real browser: what differs, their pictures, their code, and charts of many of them."""

from __future__ import annotations

import csv
import html
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from browser import look
from server import Server, serving
from shown import HOSTILE
from sqlalchemy import event

from toolkit.tracking.records import ArtifactEntry, Lifecycle, Metric, SearchQuery
from toolkit.wiring.registry import files_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_SCRIPT = """
import io, math, sys, zipfile
import toolkit
from PIL import Image

hostile, runs = sys.argv[1], int(sys.argv[2])
toolkit.set_experiment("sweep")
for i in range(runs):
    with toolkit.start_run(run_name=f"try-{i:02}"):
        rate = 10 ** (-4 + 3 * i / runs)
        toolkit.log_params({"rate": rate, "depth": 3 + i % 3, "model": "gbm" if i % 2 else "forest", "batch": 64})
        error = 0.4 + abs(math.log10(rate) + 2.5) / 10
        toolkit.log_metrics({"rmse": error, "accuracy": 1 - error / 2, "epochs": 30})
        if i % 2:
            toolkit.log_metric("extra", i)
        toolkit.set_tag("mlflow.source.git.commit", f"{i % 2:040x}")
        if i > 3:
            continue
        for step in range(3):
            if i != 3:
                toolkit.log_image(Image.new("RGB", (40, 30), (60 * i, 80 * step, 90)), key="val/samples", step=step)
        Image.new("RGB", (40, 30), (60 * i, 0, 200)).save("confusion.png")
        toolkit.log_artifact("confusion.png", "plots")
        lock = f"numpy==1.26.{i}\\npandas==2.2.0\\nOnly_{i % 2}==1 --hash=sha256:0\\n"
        toolkit.log_text(lock, "environment/requirements.lock")
        lines = [f"line forty of {i} {hostile}" if n == 40 else f"line {n}" for n in range(80)]
        toolkit.log_text("\\n".join(lines), "train.py")
        if i < 2:
            with zipfile.ZipFile("snapshot.zip", "w") as packed:
                packed.writestr("model.py", f"DEPTH = {i}\\nRATE = 1\\n")
                packed.writestr("same.py", "pass\\n")
                packed.writestr("weights.bin", bytes([i, 0, 1]))
            toolkit.log_artifact("snapshot.zip", "source")
        elif i < 4:
            head = "diff --git a/train.py b/train.py\\n--- a/train.py\\n+++ b/train.py\\n@@ -1 +1 @@\\n"
            toolkit.log_text(f"{head}-old\\n+new {i}\\n", "source/changes.diff")
toolkit.set_experiment("hostile")
for i in range(2):
    with toolkit.start_run(run_name=hostile):
        toolkit.log_param("p", hostile + str(i))
        toolkit.log_metric("m", math.nan if i else 1.0)
        toolkit.set_tag("t", hostile * i)
        toolkit.log_text(hostile + str(i), "requirements.txt")
"""
_RUNS = 30


@dataclass(frozen=True)
class Sweep:
    """Runs that were logged.

    Attributes:
        server: Whose pages show them.
        ids: By their names, of those of the sweep.
        hostile: Two whose names are script.
    """

    server: Server
    ids: Mapping[str, str]
    hostile: Sequence[str]

    def first(self, count: int) -> str:
        return ",".join(list(self.ids.values())[:count])


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    folder = tmp_path_factory.mktemp("sweep")
    script = folder / "train.py"
    script.write_text(_SCRIPT)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("TOOLKIT_", "MLFLOW_"))}
    with serving(folder / "home") as server:
        subprocess.run(
            [sys.executable, str(script), HOSTILE, str(_RUNS)],
            env={**plain, "TOOLKIT_HOME": str(server.home)},
            cwd=folder,
            check=True,
            timeout=300,
        )
        runs = server.stores.runs.search_runs(SearchQuery()).items
        ids = {run.info.run_name: run.info.run_id for run in runs if run.info.run_name.startswith("try-")}
        assert len(ids) == _RUNS
        hostile = [run.info.run_id for run in runs if run.info.run_name == HOSTILE]
        yield Sweep(server, dict(sorted(ids.items())), hostile)


def _query(page: Page) -> Mapping[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def _text(sweep: Sweep, runs: str, **query: str) -> str:
    answer = sweep.server.call("GET", "/compare", None, {}, runs=runs, **query)
    assert answer.status == 200, answer.body[:500]
    return answer.body.decode()


TABS = ("", "charts", "parallel", "scatter", "box", "importance", "images", "code")


@pytest.mark.parametrize(
    ("dark", "tabs"), [(False, ("charts", "scatter", "importance")), (True, TABS)], ids=["light", "dark"]
)
def test_every_way_to_compare_is_accessible(browser: Browser, sweep: Sweep, dark: bool, tabs: Sequence[str]) -> None:
    """The others are looked at in the light by the tests below."""
    with look(browser, sweep.server.url, dark=dark) as seen:
        for tab in tabs:
            page = seen.go(f"/compare?runs={sweep.first(4)}&tab={tab}")
            assert page.locator("h1").inner_text() == "Compare 4 runs"
            if tab in ("parallel", "scatter", "box"):
                page.wait_for_selector("#space[data-drawn]")
            seen.shot(f"compare-{tab or 'differences'}{'-dark' if dark else ''}")
            seen.check()


def test_nothing_but_boxes_scrolls_sideways_on_a_phone(browser: Browser, sweep: Sweep) -> None:
    with look(browser, sweep.server.url, width=390) as seen:
        for tab in TABS:
            page = seen.go(f"/compare?runs={sweep.first(30)}&tab={tab}")
            if tab in ("parallel", "scatter", "box"):
                page.wait_for_selector("#space[data-drawn]")
            seen.shot(f"compare-{tab or 'differences'}-phone")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
        assert seen.wrong == []


def test_a_baseline_is_chosen_and_a_run_is_left_out(browser: Browser, sweep: Sweep) -> None:
    base, other = sweep.ids["try-01"], sweep.ids["try-02"]
    with look(browser, sweep.server.url) as seen:
        page = seen.go(f"/compare?runs={sweep.first(4)}")
        with page.expect_navigation():
            page.get_by_role("button", name="Hold the others against try-01").click()
        assert _query(page)["base"] == [base]
        assert "baseline" not in _query(page)
        row = page.locator("tr", has=page.get_by_role("rowheader", name="rmse")).last
        assert "▼ +0.01" in row.inner_text()  # greater than the baseline's: worse
        assert row.locator("td.best").count() == 1
        with page.expect_navigation():
            page.get_by_role("button", name="Leave try-02 out").click()
        assert other not in page.url
        assert page.locator("h1").inner_text() == "Compare 3 runs"
        with page.expect_navigation():
            page.get_by_role("button", name="Leave try-01 out").click()
        assert "base" not in _query(page)
        assert seen.wrong == []


def test_what_differs_comes_first_and_what_is_the_same_is_counted(sweep: Sweep) -> None:
    text = _text(sweep, sweep.first(4))
    table, _, rest = text.partition("</table>")
    assert all(name in table for name in ("rate", "depth", "model", "Commit"))
    assert "batch" not in table
    assert "the same in all" in rest
    assert "batch" in rest
    assert "1 metric is the same in all" in text
    assert text.count('scope="row"><span class="one-line">') == 0  # few runs stand beside each other


def test_many_runs_stand_below_each_other_and_are_sorted(browser: Browser, sweep: Sweep) -> None:
    with look(browser, sweep.server.url) as seen:
        page = seen.go(f"/compare?runs={sweep.first(30)}")
        metrics = page.locator("table.compare").nth(1)
        assert metrics.locator("tbody tr").count() == 30
        with page.expect_navigation():
            metrics.get_by_role("button", name="rmse").click()
        assert _query(page)["order"] == ["rmse"]
        first = page.locator("table.compare").nth(1).locator("tbody tr").first
        assert first.locator("td.best").count() == 2  # the best by the one is the best by the other here
        with page.expect_navigation():
            page.locator("table.compare").nth(1).get_by_role("button", name="extra").click()
        last = page.locator("table.compare").nth(1).locator("tbody tr").last
        assert "not logged" in last.inner_text()
        seen.check()


def test_charts_of_many_runs_are_one_page_with_as_many_queries(sweep: Sweep) -> None:
    assert sweep.server.stores.database is not None
    engine = sweep.server.stores.database.engine
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        for tab in ("", "charts", "parallel", "importance", "images"):
            counts = []
            for runs in (5, 30):
                _text(sweep, sweep.first(runs), tab=tab)
                asked.clear()
                _text(sweep, sweep.first(runs), tab=tab)
                counts.append(len(asked))
            assert counts[0] == counts[1] <= 12, tab
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_pictures_follow_one_slider(browser: Browser, sweep: Sweep) -> None:
    with look(browser, sweep.server.url) as seen:
        page = seen.go(f"/compare?runs={sweep.first(4)}&tab=images")
        assert page.locator("#pictures h2").inner_text().startswith("plots/confusion.png")
        page.select_option("select[name=picture]", "val/samples")
        page.wait_for_selector("#pictures-box:not(.htmx-added) input[type=range]")
        page.locator("input[type=range]").focus()
        page.keyboard.press("End")
        page.get_by_role("heading", name="val/samples step 2, 3 of 4 runs").wait_for()
        assert page.locator("#pictures-said").text_content() == "Step 2, 3 of 4 runs"
        assert page.evaluate("document.activeElement.name") == "at"
        assert page.locator(".thumb.none").inner_text() == "None at step 2."
        assert page.locator(".thumb img").count() == 3
        assert page.locator(".thumb img").first.get_attribute("loading") == "lazy"
        assert page.evaluate("document.querySelector('.thumb img').naturalWidth") == 40
        page.get_by_label("Size").select_option("large")
        page.wait_for_selector("#pictures .pictures.large")
        assert _query(page)["size"] == ["large"]
        assert page.locator("#pictures h2").inner_text() == "val/samples step 2, 3 of 4 runs"
        seen.go(page.url.removeprefix(sweep.server.url))
        assert page.locator("input[type=range]").input_value() == "2"
        assert page.get_by_label("Size").input_value() == "large"
        seen.check()


def test_pictures_need_no_script(browser: Browser, sweep: Sweep) -> None:
    with look(browser, sweep.server.url, script=False) as seen:
        page = seen.go(f"/compare?runs={sweep.first(30)}&tab=images")
        page.select_option("select[name=picture]", "val/samples")
        with page.expect_navigation():
            page.get_by_role("button", name="Show").click()
        assert page.locator("#pictures h2").inner_text() == "val/samples step 0, 3 of 30 runs"
        assert page.locator(".thumb.none").count() == 27


def test_the_code_of_two_runs_is_told_line_by_line(browser: Browser, sweep: Sweep) -> None:
    with look(browser, sweep.server.url) as seen:
        page = seen.go(f"/compare?runs={sweep.first(4)}&tab=code&file=train.py")
        text = page.inner_text("main")
        assert f"git diff {0:040x} {1:040x}" in text
        assert [each.inner_text() for each in page.locator(".file summary code").all()] == ["model.py", "weights.bin"]
        assert page.locator(".file del").first.inner_text() == "DEPTH = 0"
        assert page.locator(".file ins").first.inner_text() == "DEPTH = 1"
        assert "it is no text" in page.locator(".file").nth(1).text_content()  # type: ignore[operator]  # it has some
        assert page.locator("[aria-label='Packages'] tbody tr").all_inner_texts() == [
            "numpy\t1.26.0\t1.26.1",
            "only-0\t1\tnot there",
            "only-1\tnot there\t1",
        ]
        changed = page.locator(".diff").first
        assert changed.locator("del").inner_text() == f"line forty of 0 {HOSTILE}"
        assert "37 lines the same" in changed.inner_text()
        seen.check()
        page.select_option("select[name=a]", sweep.ids["try-02"])
        page.select_option("select[name=b]", sweep.ids["try-03"])
        with page.expect_navigation():
            page.get_by_role("button", name="Show").click()
        assert "1 file differs, of what was not committed" in page.inner_text("main")
        assert page.locator(".file ins").inner_text() == "+new 3"
        assert seen.wrong == []


def test_ranges_of_axes_choose_runs_and_stand_in_the_address(browser: Browser, sweep: Sweep) -> None:
    with look(browser, sweep.server.url) as seen:
        page = seen.go(f"/compare?runs={sweep.first(30)}&tab=parallel")
        page.wait_for_selector("#space[data-drawn]")
        assert page.locator("tr[data-axis='p:rate'] [data-does=log]").is_checked()  # its numbers are spread widely
        page.uncheck("tr[data-axis='p:rate'] [data-does=log]")
        assert _query(page)["logaxis"] == ["none"]
        page.get_by_label("model, to").select_option("forest")
        page.get_by_role("link", name="Compare these 15 alone").wait_for()
        page.get_by_label("depth, from").fill("4")
        page.keyboard.press("Tab")
        page.get_by_role("link", name="Compare these 10 alone").wait_for()
        assert _query(page)["range"] == ["p:model:~forest:~forest", "p:depth:~4:~5"]
        page.get_by_role("button", name="Move rate to the left").click()
        page.get_by_role("button", name="Move rate to the left").press("Enter")
        axes = [each.inner_text() for each in page.locator("#axes th").all()]
        assert axes[0] == "rate"
        seen.go(page.url.removeprefix(sweep.server.url))
        page.wait_for_selector("#space[data-drawn]")
        assert [each.inner_text() for each in page.locator("#axes th").all()] == axes
        assert "10 inside the chosen ranges" in page.inner_text("#space-said")
        page.get_by_text("As a table").click()
        assert page.locator("#space-table tbody tr").count() == 10
        seen.check()
        page.get_by_role("button", name="Clear the ranges").click()
        page.get_by_label("model, to").select_option("forest")
        with page.expect_navigation():
            page.get_by_role("button", name="Leave try-00 out").click()
        assert _query(page)["range"] == ["p:model:~forest:~forest"]  # not as it was when the page came
        page.get_by_role("link", name="Compare these 14 alone").wait_for()
        with page.expect_navigation():
            page.get_by_role("link", name="Compare these 14 alone").click()
        assert page.locator("h1").inner_text() == "Compare 14 runs"
        assert seen.wrong == []


def test_a_stretch_that_is_dragged_chooses_runs_too(browser: Browser, sweep: Sweep) -> None:
    with look(browser, sweep.server.url) as seen:
        page = seen.go(f"/compare?runs={sweep.first(30)}&tab=parallel&axis=p:rate&axis=m:rmse")
        page.wait_for_selector("#space[data-drawn]")
        page.locator("#space").scroll_into_view_if_needed()
        box = page.locator("#space").bounding_box()
        assert box is not None
        left, top, high = box["x"] + 64, box["y"] + 44, box["height"] - 72
        page.mouse.move(left, top + high * 0.2)
        page.mouse.down()
        page.mouse.move(left, top + high * 0.95, steps=8)
        page.mouse.up()
        page.get_by_role("link", name="alone").wait_for()
        assert _query(page)["range"][0].startswith("p:rate:~")
        assert "inside the chosen ranges" in page.inner_text("#space-said")
        assert seen.wrong == []


def test_any_field_is_drawn_over_any_other(browser: Browser, sweep: Sweep) -> None:
    with look(browser, sweep.server.url) as seen:
        page = seen.go(f"/compare?runs={sweep.first(30)}&tab=scatter")
        page.wait_for_selector("#space[data-drawn]")
        page.select_option("select[name=x]", "m:rmse")
        page.select_option("select[name=y]", "m:extra")
        page.select_option("select[name=colour]", "p:model")
        page.select_option("select[name=size]", "p:depth")
        assert "15 of 30 runs are drawn" in page.inner_text("#space-said")
        assert "size: depth from 3 to 5" in page.inner_text("#space-said")
        assert page.locator("#space-legend li").all_inner_texts() == ["Colour: model", "forest", "gbm"]
        assert _query(page)["colour"] == ["p:model"]
        assert page.locator("#space-table tbody tr").count() == 15
        seen.go(page.url.removeprefix(sweep.server.url))
        page.wait_for_selector("#space[data-drawn]")
        assert page.locator("select[name=size]").input_value() == "p:depth"
        page = seen.go(f"/compare?runs={sweep.first(30)}&tab=box&x=p:model&y=m:rmse")
        page.wait_for_selector("#space[data-drawn]")
        page.get_by_text("As a table").click()
        groups = [each.inner_text().split()[:2] for each in page.locator("#space-table tbody tr").all()]
        assert groups == [["forest", "15"], ["gbm", "15"]]
        seen.check()


def test_boxes_are_made_of_what_is_chosen(browser: Browser, sweep: Sweep) -> None:
    with look(browser, sweep.server.url) as seen:
        page = seen.go(f"/compare?runs={sweep.first(30)}&tab=box")
        page.wait_for_selector("#space[data-drawn]")
        page.get_by_label("Groups by").select_option("p:model")
        page.select_option("select[name=y]", "m:rmse")
        page.check("input[name=logy]")
        assert {name: _query(page).get(name) for name in ("x", "y", "logy")} == {
            "x": ["p:model"],
            "y": ["m:rmse"],
            "logy": ["1"],
        }
        page.get_by_text("As a table").click()
        groups = [each.inner_text().split()[:2] for each in page.locator("#space-table tbody tr").all()]
        assert groups == [["forest", "15"], ["gbm", "15"]]
        seen.go(page.url.removeprefix(sweep.server.url))
        page.wait_for_selector("#space[data-drawn]")
        assert page.get_by_label("Groups by").input_value() == "p:model"
        assert page.is_checked("#space-options input[name=logy]")
        seen.check()


def test_importance_is_of_the_metric_that_is_chosen(browser: Browser, sweep: Sweep) -> None:
    """By script at once, and by a button without."""
    with look(browser, sweep.server.url) as seen:
        page = seen.go(f"/compare?runs={sweep.first(30)}&tab=importance")
        assert "What goes with accuracy" in page.inner_text("#importance h2")
        page.get_by_label("Metric").select_option("rmse")
        page.get_by_role("heading", name="What goes with rmse among 30 of 30 runs that have it").wait_for()
        assert _query(page)["metric"] == ["rmse"]
        assert page.locator("#importance tbody th").first.inner_text() == "rate"
        seen.check()
        with page.expect_navigation():
            page.get_by_role("link", name="Draw it").first.click()
        page.wait_for_selector("#space[data-drawn]")
        assert (page.input_value("select[name=x]"), page.input_value("select[name=y]")) == ("p:rate", "m:rmse")
    with look(browser, sweep.server.url, script=False) as seen:
        page = seen.go(f"/compare?runs={sweep.first(30)}&tab=importance")
        page.get_by_label("Metric").select_option("extra")
        with page.expect_navigation():
            page.get_by_role("button", name="Show").click()
        assert "What goes with extra among 15 of 30 runs that have it" in page.inner_text("#importance h2")


def test_importance_finds_what_rises_and_falls_again(sweep: Sweep) -> None:
    text = _text(sweep, sweep.first(30), tab="importance", metric="rmse")
    rows = text.partition("<tbody>")[2].partition("</tbody>")[0].split("</tr>")
    assert "rate" in rows[0]
    assert "least in the middle" in rows[0]
    assert "not causal" in text
    assert "may be chance" in rows[1]
    few = _text(sweep, sweep.first(3), tab="importance")
    assert "Nothing can be said" in few


def test_names_that_are_script_do_nothing(browser: Browser, sweep: Sweep) -> None:
    with look(browser, sweep.server.url) as seen:
        for tab in TABS:
            page = seen.go(f"/compare?runs={','.join(sweep.hostile)}&tab={tab}&base={sweep.hostile[0]}")
            if tab in ("parallel", "scatter", "box"):
                page.wait_for_selector("#space[data-drawn]")
            page.wait_for_timeout(50)
            assert page.locator("img[src=x]").count() == 0, tab
            assert seen.wrong == [], tab


def test_what_is_compared_can_be_taken_along(sweep: Sweep) -> None:
    runs = sweep.first(3)
    answer = sweep.server.call("GET", "/compare/runs.csv", None, {}, runs=f"{runs},{sweep.hostile[0]}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(answer.body.decode().splitlines()))
    assert [row["run_name"] for row in rows] == ["try-00", "try-01", "try-02", HOSTILE]
    assert [row["m:extra"] for row in rows] == ["", "1.0", "", ""]
    assert rows[0]["p:rate"] == "0.0001"
    line = html.unescape(_text(sweep, runs).partition('data-copy-text="toolkit.')[2].partition('">')[0])
    said = f"import toolkit; found = toolkit.{line}; print(sorted(found.run_id) == sorted({runs!r}.split(',')))"
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("TOOLKIT_", "MLFLOW_"))}
    told = subprocess.run(
        [sys.executable, "-c", said],
        env={**plain, "TOOLKIT_HOME": str(sweep.server.home)},
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert told.stdout.strip() == "True"


def test_nothing_is_left_out_in_silence(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as server:
        ids = [server.new_run() for _ in range(9)]
        for place, run_id in enumerate(ids):
            params = {f"p{n:03}": str(place * n) for n in range(71)}
            points = [Metric(key=f"m{n:03}", value=place + n, timestamp=1) for n in range(65)]
            server.stores.runs.log_batch(run_id, params=params, metrics=points)

        def said(**query: str) -> str:
            return server.call("GET", "/compare", None, {}, runs=",".join(ids), **query).body.decode()

        assert "40 of 70 things in which they differ are shown" in said()
        assert "40 of 65 metrics that differ are shown" in said()
        assert "are shown" not in said(all="1")
        assert "60 of 70 parameters that differ can be chosen here" in said(tab="scatter")
        assert "60 of 65 metrics can be chosen here" in said(tab="parallel")
        assert '"p:p070"' in said(tab="scatter", x="p:p070")  # what an address names is there
        assert "the same in all" in said(all="1")


def test_runs_that_are_not_there(sweep: Sweep) -> None:
    run_id = sweep.ids["try-00"]
    alone = _text(sweep, f"{run_id},nothing,{'0' * 32}")
    assert "2 of the chosen runs are not there" in alone
    assert "One run alone has nothing to be compared with" in alone
    assert "Choose two or more runs" in _text(sweep, "")
    assert "Choose two or more runs" in _text(sweep, "'; DROP TABLE runs, %00,")
    many = ",".join(f"{i:032x}" for i in range(201))
    answer = sweep.server.call("GET", "/compare", None, {}, runs=many)
    assert answer.status == 400
    assert "201 runs are to be compared: wanted 2 to 200" in answer.body.decode()


def test_a_deleted_run_is_shown_as_such(sweep: Sweep) -> None:
    run_id = sweep.ids["try-29"]
    sweep.server.stores.runs.update_run(run_id, lifecycle=Lifecycle.DELETED)
    try:
        text = _text(sweep, f"{run_id},{sweep.ids['try-28']}")
    finally:
        sweep.server.stores.runs.update_run(run_id, lifecycle=Lifecycle.ACTIVE)
    assert "Compare 2 runs" in text
    assert text.count(">deleted</span>") == 1


def test_runs_of_one_name_are_told_apart(sweep: Sweep) -> None:
    text = _text(sweep, ",".join(sweep.hostile))
    assert all(f" · {run_id[:8]}</a>" in text for run_id in sweep.hostile)
    assert ">try-00</a>" in _text(sweep, sweep.first(2))


def test_what_an_address_says_wrongly_is_as_usual(sweep: Sweep) -> None:
    for query in (
        {"tab": "nothing"},
        {"tab": "images", "at": "-5", "picture": "no.png"},
        {"tab": "scatter", "x": "p:none", "y": "rmse", "size": "1e9"},
        {"tab": "parallel", "axis": "p:none", "range": "p:rate:~x:~y"},
        {"tab": "code", "a": "none", "b": sweep.ids["try-00"], "file": "../../etc/passwd"},
        {"base": "none", "order": "none"},
    ):
        assert "Compare 4 runs" in _text(sweep, sweep.first(4), **query)


def test_moved_addresses_keep_what_else_is_chosen(sweep: Sweep) -> None:
    answer = sweep.server.call(
        "GET", "/compare", None, {}, runs="a,b,c", tab="parallel", range="p:x:~1:~2", base="b", drop="b"
    )
    assert answer.status == 303
    place = answer.headers["location"]
    assert parse_qs(urlsplit(place).query) == {"runs": ["a,c"], "tab": ["parallel"], "range": ["p:x:~1:~2"]}
    assert Path(urlsplit(place).path) == Path("/compare")


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_files_of_many_runs_are_found_by_the_ends_of_their_names(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    uri = request.getfixturevalue("postgres_url") if kind == "postgres" else None
    with serving(tmp_path / "home", tracking_uri=uri) as server:
        ids = [server.new_run() for _ in range(3)]
        paths = ("b/Plot.PNG", "a.png", "a_png", "a.pngx", "100%.svg")
        entries = [ArtifactEntry(path=path, size=1, sha256="0" * 64) for path in paths]
        for run_id in ids[:2]:
            server.stores.runs.record_artifacts(run_id, entries)
        found = files_of(server.stores, [*ids, "nothing"], ends=(".png", "0%.svg"), limit=100)
        named = {run_id: sorted(entry.path for entry in told) for run_id, told in found.items()}
        assert named == {run_id: ["100%.svg", "a.png", "b/Plot.PNG"] for run_id in ids[:2]}
        few = files_of(server.stores, ids, ends=(".png",), limit=3)
        assert sum(map(len, few.values())) == 3
