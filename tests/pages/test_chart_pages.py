"""Charts of runs, one or many, in a real browser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from browser import Seen, look
from server import Server
from shown import Shown

from toolkit.ids import now_ms
from toolkit.server.pages import colours
from toolkit.tracking.records import Metric, NewRun, RunStatus, SearchQuery
from toolkit.tracking.series import smoothed

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Place = tuple[Server, Shown]
_DRAWN = """async ([place, key]) => {
  const { getInstanceByDom } = await import(place);
  const card = [...document.querySelectorAll("[data-chart]")].find((each) => each.dataset.chart === key);
  const told = getInstanceByDom(card.querySelector(".canvas")).getOption();
  return told.series.map(({ id, type, data, itemStyle }) => ({ id, type, color: itemStyle?.color,
    data: data.map((point) => point?.value ?? point) }));
}"""
"""What ECharts was given for the chart of a metric."""


def _ids(server: Server, there: Shown) -> str:
    query = SearchQuery(experiment_ids=[there.experiment], filter="run_name LIKE 'gbm%'")
    return ",".join(run.info.run_id for run in server.stores.runs.search_runs(query).items)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_charts_of_a_run_are_drawn_and_accessible(browser: Browser, shown: Place, dark: bool) -> None:
    server, there = shown
    with look(browser, server.url, dark=dark) as seen:
        page = seen.go(f"/runs/{there.run}/charts")
        page.wait_for_selector("[data-drawn]")
        seen.shot(f"run-charts{'-dark' if dark else ''}")
        page.check("input[name=log]")
        assert "log=1" in page.url
        seen.check()


def _log(server: Server, there: Shown, name: str, courses: dict[str, Sequence[float]], *, ends: bool = True) -> str:
    runs = server.stores.runs
    start = now_ms()
    new = NewRun(run_id=uuid4().hex, experiment_id=there.experiment, run_name=name, user_id="ada", start_time=start)
    run_id = runs.create_run(new).info.run_id
    for key, values in courses.items():
        points = [Metric(key=key, value=value, timestamp=start + 1_000 * n, step=n) for n, value in enumerate(values)]
        runs.log_batch(run_id, metrics=points)
    if ends:
        runs.update_run(run_id, status=RunStatus.FINISHED)
    return run_id


def _drawn(seen: Seen, key: str) -> dict[str, Any]:
    """Return the series of a chart by their ids."""
    seen.page.wait_for_selector(f'[data-chart="{key}"][data-drawn]')
    place = seen.page.evaluate("document.body.dataset.static + '/vendor/echarts-6.1.0/echarts.min.js'")
    return {each["id"]: each for each in seen.page.evaluate(_DRAWN, [place, key])}


def _said(seen: Seen, key: str, text: str) -> None:
    """Wait until a chart says something below."""
    from playwright.sync_api import expect

    expect(seen.page.locator(f'[data-chart="{key}"] .caption')).to_contain_text(text, timeout=120_000)


def test_what_is_no_number_is_marked_at_its_step(browser: Browser, shown: Place) -> None:
    """A gap in the line, a mark at the edge, and the count; on a log axis what has no place there is counted."""
    server, there = shown
    values = [0.5, math.nan, -2.0, math.inf, 0.25, math.nan, 0.125, -math.inf, 1.0, 2.0]
    run_id = _log(server, there, "strange", {"loss": values})
    with look(browser, server.url, dark=True) as seen:
        page = seen.go(f"/runs/{run_id}/charts")
        drawn = _drawn(seen, "loss")
        assert [(at, told) for at, _, told, _ in drawn["marks"]["data"]] == [
            (1, "NaN"),
            (3, "Infinity"),
            (5, "NaN"),
            (7, "-Infinity"),
        ]
        assert [y for _, y in drawn[run_id]["data"]] == [y if math.isfinite(y) else None for y in values]
        _said(seen, "loss", "4 not finite")
        page.check("input[name=log]")
        _said(seen, "loss", "1 value ≤ 0 not on a log axis")
        assert [y for _, y in _drawn(seen, "loss")[run_id]["data"]][2] is None
        seen.shot("run-chart-strange-dark")
        seen.check()


def test_more_points_come_where_one_looks_closer(browser: Browser, shown: Place) -> None:
    """A long history says how many of its points are drawn; a spike is among them; the address keeps the steps."""
    server, there = shown
    values = [math.sin(n / 300) for n in range(5_000)]
    values[2_222] = 9.0
    run_id = _log(server, there, "long", {"loss": values, "short": values[:40]})
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}/charts")
        few = _drawn(seen, "loss")[run_id]["data"]
        assert [2_222, 9.0] in few
        assert len(few) <= 800
        _said(seen, "loss", f"{len(few)} of 5,000 points")
        page.fill("input[name=from]", "2200")
        page.fill("input[name=to]", "2300")
        page.locator('[data-chart="loss"] .caption', has_not_text="of 5,000").wait_for()
        _said(seen, "short", "no point at these steps: all are shown")
        near = _drawn(seen, "loss")[run_id]["data"]
        assert [at for at, _ in near] == list(range(2_190, 2_311))
        assert page.url.endswith("from=2200&to=2300")
        seen.shot("run-chart-near")
        again = seen.go(page.url.removeprefix(server.url))
        assert [at for at, _ in _drawn(seen, "loss")[run_id]["data"]] == list(range(2_190, 2_311))
        again.keyboard.press("r")
        _said(seen, "loss", "of 5,000 points")
        assert "from=" not in again.url
        box = again.locator('[data-chart="loss"] .canvas').bounding_box()
        assert box is not None
        again.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        again.keyboard.down("Control")
        for _ in range(3):
            again.mouse.wheel(0, -200)
        again.keyboard.up("Control")
        _said(seen, "loss", "points here")
        assert 0 < int(again.input_value("input[name=from]")) < int(again.input_value("input[name=to]")) < 4_999
        seen.check()


def test_a_long_line_is_smoothed_before_points_are_left_out(browser: Browser, shown: Place) -> None:
    server, there = shown
    values = [math.sin(n / 30) + (n * 7919 % 13) / 10 for n in range(3_000)]
    run_id = _log(server, there, "rough", {"loss": values})
    line = smoothed(values, 0.9)
    with look(browser, server.url) as seen:
        seen.go(f"/runs/{run_id}/charts?smooth=0.9")
        _said(seen, "loss", "smoothed 0.9")
        drawn = _drawn(seen, "loss")
        assert len(drawn[run_id]["data"]) == len(drawn[f"{run_id} raw"]["data"]) < 800
        assert all(y == pytest.approx(line[at]) for at, y in drawn[run_id]["data"])
        assert all(y == pytest.approx(values[at]) for at, y in drawn[f"{run_id} raw"]["data"])
        seen.shot("run-chart-smoothed")
        seen.check()


def test_runs_of_one_value_are_bars_and_each_has_its_colour(browser: Browser, shown: Place) -> None:
    """The greatest is on top; what is no number has no bar, and is named. The table beside has the same order."""
    server, there = shown
    ids = [_log(server, there, f"one-{n}", {"score": [value]}) for n, value in enumerate((0.5, 0.75, math.nan))]
    slots = colours.slots(ids)
    with look(browser, server.url, width=390) as seen:
        page = seen.go(f"/compare?runs={','.join(ids)}&tab=charts")
        assert _drawn(seen, "score")["values"]["data"] == [0, 0.5, 0.75]
        _said(seen, "score", "1 not finite")
        page.click('[data-chart="score"] .values summary')
        rows = page.locator('[data-chart="score"] .values tbody tr')
        assert [row.inner_text().split() for row in rows.all()] == [
            ["one-1", "0.7500", "at", "0", "0.7500", "at", "0", "0.7500", "at", "0"],
            ["one-0", "0.5000", "at", "0", "0.5000", "at", "0", "0.5000", "at", "0"],
            ["one-2", "NaN", "at", "0"],
        ]
        dots = [dot.get_attribute("class") for dot in page.locator('[data-chart="score"] .values .dot').all()]
        assert dots == [f"dot d{slots[run_id] + 1}" for run_id in (ids[1], ids[0], ids[2])]
        seen.shot("compare-charts-bars-phone")
        seen.check()


def test_what_is_drawn_is_kept_as_a_picture_and_as_csv(browser: Browser, shown: Place, tmp_path: Path) -> None:
    """A name that a table program would take for a formula is a text there."""
    server, there = shown
    run_id = _log(server, there, '=HYPERLINK("x")', {"a/loss": [1.0, math.nan, 0.1]})
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}/charts")
        _drawn(seen, "a/loss")
        with page.expect_download() as told:
            page.click('[data-chart="a/loss"] [data-csv]')
        assert told.value.suggested_filename == "a-loss.csv"
        told.value.save_as(tmp_path / "points.csv")
        head, *rows = (tmp_path / "points.csv").read_text().splitlines()
        assert head == "run_id,run_name,key,step,timestamp,value"
        assert [row.split(",")[-1] for row in rows] == ["1", "NaN", "0.1"]
        assert all(row.startswith(f'{run_id},"\'=HYPERLINK(""x"")","a/loss",') for row in rows)
        with page.expect_download() as told:
            page.click('[data-chart="a/loss"] [data-png]')
        told.value.save_as(tmp_path / "chart.png")
        assert (tmp_path / "chart.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        seen.check()


def test_of_many_runs_those_that_cannot_be_told_share_one_grey_line(browser: Browser, shown: Place) -> None:
    """The first 24 keep their colours; of the others each point still says whose it is."""
    server, there = shown
    ids = [_log(server, there, f"many-{n:02}", {"loss": [n + 1.0, n + 0.5]}) for n in range(27)]
    with look(browser, server.url) as seen:
        page = seen.go(f"/compare?runs={','.join(ids)}&tab=charts")
        drawn = _drawn(seen, "loss")
        assert list(drawn) == ["others", *ids[:24]]
        assert drawn["others"]["data"] == [
            point for n in (24, 25, 26) for point in ([0, n + 1.0], [1, n + 0.5], [1, None])
        ]
        box = page.locator('[data-chart="loss"] .canvas').bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        tip = page.locator(".chart-tip", has_text="and 17 more")
        tip.wait_for()
        assert "27 many-26" in tip.inner_text()
        page.locator('[data-chart="loss"] .values tbody tr').nth(26).wait_for(state="attached")
        seen.shot("compare-charts-many")
        seen.check()


def test_charts_are_turned_smoothed_and_found_by_name(browser: Browser, shown: Place) -> None:
    """What is turned and smoothed stands in the address, and a reload keeps it; what is found by name does not."""
    from playwright.sync_api import expect

    server, there = shown
    run_id = _log(server, there, "turned", {"loss": [1.0, 0.0, 1.0, 0.0], "val/accuracy": [0.5, 0.75]})
    points = server.stores.runs.get_run(run_id).info.start_time
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}/charts")
        assert [at for at, _ in _drawn(seen, "loss")[run_id]["data"]] == [0, 1, 2, 3]
        page.select_option("#chart-options select[name=x]", "time")
        assert page.url.endswith("?x=time")
        assert [at for at, _ in _drawn(seen, "loss")[run_id]["data"]] == [points + 1_000 * n for n in range(4)]
        page.select_option("#chart-options select[name=x]", "relative")
        assert [at for at, _ in _drawn(seen, "loss")[run_id]["data"]] == [0, 1, 2, 3]
        page.locator("input[name=smooth]").fill("0.9")
        _said(seen, "loss", "smoothed 0.9")
        line = smoothed([1.0, 0.0, 1.0, 0.0], 0.9)
        assert [y for _, y in _drawn(seen, "loss")[run_id]["data"]] == pytest.approx(line)
        assert page.url.endswith("?x=relative&smooth=0.9")
        page.get_by_label("Find a chart").fill("^ACC|val/")
        expect(page.locator('[data-chart="loss"]')).to_be_hidden(timeout=120_000)
        expect(page.locator('[data-chart="val/accuracy"]')).to_be_visible(timeout=120_000)
        assert "ACC" not in page.url
        seen.check()
        page = seen.go(page.url.removeprefix(server.url))
        assert page.input_value("#chart-options select[name=x]") == "relative"
        _said(seen, "loss", "smoothed 0.9")
        expect(page.locator('[data-chart="loss"]')).to_be_visible(timeout=120_000)
        assert seen.wrong == []


def test_of_more_metrics_than_are_drawn_some_are_asked_for(browser: Browser, shown: Place) -> None:
    server, there = shown
    run_id = _log(server, there, "wide", {})
    points = [Metric(key=f"m/{n:03}", value=n, timestamp=now_ms()) for n in range(203)]
    server.stores.runs.log_batch(run_id, metrics=points)
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}/charts?smooth=0.5")
        assert "200 of 203 metrics are drawn." in page.inner_text("main")
        page.check("input[name=log]")
        page.get_by_label("Metrics with").fill("/202")
        with page.expect_navigation():
            page.get_by_role("button", name="Draw").click()
        assert page.locator("[data-chart]").count() == 1
        assert _drawn(seen, "m/202")["values"]["data"] == [202]
        assert page.is_checked("#chart-options input[name=log]")
        assert page.input_value("#chart-options input[name=smooth]") == "0.5"
        assert page.input_value("input[name=find]") == "/202"
        seen.check()


def test_charts_of_runs_without_a_metric_say_so(browser: Browser, shown: Place) -> None:
    """So does a part of a name that none has, and the field for another one stays."""
    server, there = shown
    ids = [_log(server, there, f"none-{n}", {}) for n in range(2)]
    with look(browser, server.url) as seen:
        page = seen.go(f"/compare?runs={','.join(ids)}&tab=charts")
        assert "No metric was logged." in page.inner_text("main")
        page = seen.go(f"/runs/{there.run}/charts?find=nothing")
        assert "No metric has that in its name." in page.inner_text("main")
        assert page.input_value("input[name=find]") == "nothing"
        seen.check()


def test_a_run_that_goes_on_grows_in_its_charts(browser: Browser, shown: Place) -> None:
    server, there = shown
    run_id = _log(server, there, "going", {"loss": [1.0, 0.5]}, ends=False)
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}/charts")
        _drawn(seen, "loss")
        server.stores.runs.log_batch(run_id, metrics=[Metric(key="loss", value=0.25, timestamp=now_ms(), step=2)])
        page.locator('[data-chart="loss"] .values tbody', has_text="0.2500 at 2").wait_for(state="attached")
        assert [y for _, y in _drawn(seen, "loss")[run_id]["data"]] == [1.0, 0.5, 0.25]
        server.stores.runs.update_run(run_id, status=RunStatus.FINISHED)
        seen.check()


def test_what_is_empty_says_which_call_fills_it(shown: Place) -> None:
    server, there = shown
    both = f"{there.broken},{there.parent}"
    for place, call in (
        (f"/runs/{there.broken}/children", "nested=True"),
        (f"/compare?runs={both}&tab=charts", "toolkit.log_metric("),
        (f"/compare?runs={both}&tab=importance", "toolkit.log_params("),
    ):
        assert call in server.call("GET", place).body.decode().partition('class="empty"')[2], place
