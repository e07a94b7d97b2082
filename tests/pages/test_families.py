"""What a filter finds stays below the run that it is a part of; filters taken apart; rows taken along."""

from __future__ import annotations

import ast
import html
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from browser import look
from server import Server
from shown import Shown

from toolkit.server.pages import families
from toolkit.server.pages.filter_parts import parts
from toolkit.server.pages.view import RunsView
from toolkit.tracking.memory import MemoryRunStore
from toolkit.tracking.records import Metric, NewRun

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=120_000)

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Place = tuple[Server, Shown]


def study(store: MemoryRunStore, runs: int = 4, steps: int = 3) -> None:
    """Make runs that measured nothing themselves, and steps of theirs that did."""
    for n in range(runs):
        _make(store, f"{n:032x}", f"run-{n}", n, None)
        for m in range(steps):
            step = f"f{n:015x}{m:016x}"
            _make(store, step, f"step-{n}-{m}", n * 10 + m, f"{n:032x}")
            store.log_batch(step, metrics=[Metric(key="loss", value=n + m / 10, timestamp=1, step=0)])


def _make(store: MemoryRunStore, run_id: str, name: str, time: int, parent: str | None) -> None:
    store.create_run(
        NewRun(experiment_id="0", run_id=run_id, run_name=name, user_id="u", start_time=time, parent_run_id=parent)
    )


def names(found: families.Families) -> dict[str, list[str]]:
    return {
        run.info.run_name: [step.info.run_name for step in found.steps.get(run.info.run_id, ())]
        for run in found.runs.items
    }


def test_steps_that_fit_stand_below_their_runs() -> None:
    store = MemoryRunStore()
    study(store)
    view = RunsView.read([("q", "metrics.loss > 0.05 AND metrics.loss < 2"), ("sort", "-m:loss")], "0")
    found = families.search(store, view)
    assert names(found) == {"run-1": ["step-1-2", "step-1-1", "step-1-0"], "run-0": ["step-0-2", "step-0-1"]}
    assert found.beside == {f"{n:032x}" for n in (0, 1)}
    assert not found.flat


def test_a_run_that_fits_itself_is_not_beside() -> None:
    store = MemoryRunStore()
    study(store, runs=2, steps=1)
    found = families.search(store, RunsView(experiment_id="0", filter="run_name LIKE '%-0%'"))
    assert names(found) == {"run-0": ["step-0-0"], "run-1": ["step-1-0"]}
    assert found.beside == {f"{1:032x}"}


def test_steps_of_steps_stand_below_the_run_at_the_top() -> None:
    store = MemoryRunStore()
    _make(store, "a" * 32, "top", 1, None)
    _make(store, "b" * 32, "middle", 2, "a" * 32)
    _make(store, "c" * 32, "deep", 3, "b" * 32)
    _make(store, "d" * 32, "lost", 4, "e" * 32)  # its run is not there
    found = families.search(store, RunsView(experiment_id="0", filter="run_name IN ('deep', 'lost')"))
    assert names(found) == {"lost": [], "top": ["deep"]}
    assert found.beside == {"a" * 32}


def test_runs_that_are_parts_of_each_other_end() -> None:
    store = MemoryRunStore()
    _make(store, "a" * 32, "one", 1, "b" * 32)
    _make(store, "b" * 32, "other", 2, "a" * 32)
    found = families.search(store, RunsView(experiment_id="0", filter="run_name IN ('one', 'other')"))
    assert sum(1 + len(steps) for steps in names(found).values()) >= 1


def test_pages_part_no_step_from_its_run() -> None:
    store = MemoryRunStore()
    study(store, runs=7)
    seen: list[str] = []
    token = None
    for _ in range(3):
        view = RunsView(experiment_id="0", filter="metrics.loss >= 0", after=token)
        found = families.search(store, view, limit=3)
        seen += names(found)
        assert all(len(steps) == 3 for steps in names(found).values())
        token = found.runs.next_page_token
    assert token is None
    assert sorted(seen) == [f"run-{n}" for n in range(7)]


def test_of_very_many_steps_all_are_shown_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryRunStore()
    study(store)
    monkeypatch.setattr(families, "MOST", 5)
    found = families.search(store, RunsView(experiment_id="0", filter="metrics.loss >= 0"))
    assert found.flat
    assert len(found.runs.items) == 12


def test_a_filter_finds_steps_below_their_run_on_the_page(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?q=metrics.rmse+%3C+0.6&cols=m:rmse")
        rows = page.locator("#rows tr[data-run] .name > a")
        assert rows.all_inner_texts()[0] == "pipeline"
        assert sorted(rows.all_inner_texts()[1:]) == ["prepare", "train"]
        assert page.locator("#rows tr.beside input").count() == 0  # it does not fit: nothing chooses it
        assert page.locator("#rows tr.child").count() == 2
        seen.check()
        seen.shot("families")
        page.locator(".fold").click()
        expect(page.locator("#rows tr.child")).to_have_count(0)
        page = seen.go(f"/experiments/{there.experiment}?q=metrics.rmse+%3C+0.6&children=1")
        assert "part of pipeline" in page.locator("#rows tr[data-run]").first.inner_text()


def test_parts_of_a_filter_are_taken_away_and_explain_why_nothing_fits(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        page = seen.go(f"/experiments/{there.experiment}?q=params.model+%3D+%27gbm%27+and+metrics.rmse+%3E+7")
        told = page.locator(".why-nothing tbody tr")
        expect(told).to_have_count(2)
        assert [row.split("\t")[:2] for row in told.all_inner_texts()] == [
            ["metrics.rmse > 7", "no run"],
            ["params.model = 'gbm'", "2"],
        ]
        seen.check()
        seen.shot("why-nothing")
        with page.expect_navigation():
            page.get_by_role("link", name="Without metrics.rmse > 7").click()
        assert page.locator("#rows tr[data-run]").count() == 2
        assert page.input_value("[data-page-filter]") == "params.model = 'gbm'"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("metrics.a < 1", ["metrics.a < 1"]),
        ("metrics.a < 1 and params.b = 'x AND y'", ["metrics.a < 1", "params.b = 'x AND y'"]),
        ("metrics.a BETWEEN 1 AND 2 AND NOT tags.t = 'it''s'", ["metrics.a BETWEEN 1 AND 2", "NOT tags.t = 'it''s'"]),
        ("(metrics.a < 1 OR metrics.a > 2) AND params.`a and b` = '1'", None),
        ("metrics.a < 1 OR metrics.a > 2 AND params.b = '1'", ["metrics.a < 1 OR metrics.a > 2 AND params.b = '1'"]),
        ("metrics.a < AND params.b = '1'", ["metrics.a < AND params.b = '1'"]),
        ("params.x IN ('a', 'b') AND run_name LIKE '%(%'", ["params.x IN ('a', 'b')", "run_name LIKE '%(%'"]),
    ],
    ids=["nothing", "one", "quoted", "between", "brackets", "or", "broken", "list"],
)
def test_a_filter_is_taken_apart(text: str, wanted: list[str] | None) -> None:
    if wanted is None:
        wanted = ["(metrics.a < 1 OR metrics.a > 2)", "params.`a and b` = '1'"]
    assert parts(text) == wanted


def test_rows_are_taken_along_as_json(shown: Place) -> None:
    server, there = shown
    told = json.loads(server.call("GET", f"/experiments/{there.experiment}/runs.json?cols=m:rmse&cols=p:model").body)
    assert {row["p:model"] for row in told} == {"gbm", "rf", None}
    assert all("run_id" in row and "m:rmse" in row for row in told)
    assert json.loads(server.call("GET", f"/experiments/{there.hostile}/runs.json").body)[0]["m:m"] == "nan"
    assert json.loads(server.call("GET", "/experiments/0/runs.json").body) == []
    assert server.call("GET", "/experiments/0/runs.json?q=x+y").status == 400


def test_the_line_of_python_gives_what_is_shown(shown: Place) -> None:
    server, there = shown
    filter_ = "params.model = 'gbm'"
    page = server.call("GET", f"/experiments/{there.experiment}?q={quote(filter_)}&cols=m:rmse&sort=-m:rmse")
    line = html.unescape("toolkit.search_runs(" + page.body.decode().partition("toolkit.search_runs(")[2])
    call = ast.parse(line.partition("</pre>")[0], mode="eval").body
    assert isinstance(call, ast.Call)
    assert {each.arg: ast.literal_eval(each.value) for each in call.keywords} == {
        "experiment_ids": [there.experiment],
        "filter_string": filter_,
        "order_by": ["metrics.`rmse` DESC"],
        "fields": ["metrics.`rmse`"],
    }
