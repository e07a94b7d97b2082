"""Where the steps of a workflow stand, and when they ran: without a browser."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from toolkit.flows.recorded_graph import read_graph
from toolkit.server.pages.workflow_folding import fold
from toolkit.server.pages.workflow_graph import HEIGHT, WIDTH, Drawing, draw
from toolkit.server.pages.workflow_steps import Item, Link, Step, WorkflowRun
from toolkit.server.pages.workflow_timeline import timeline, window_of
from toolkit.tracking.records import Run, RunData, RunInfo, RunStatus


def _check(drawing: Drawing) -> None:
    """Hold a drawing against what any must keep: nothing touches, nothing is outside."""
    for one, other in combinations(drawing.places, 2):
        assert abs(one.x - other.x) >= WIDTH or abs(one.y - other.y) >= HEIGHT, (one, other)
    for place in drawing.places:
        assert 0 <= place.x <= drawing.width - WIDTH
        assert 0 <= place.y <= drawing.height - HEIGHT


def test_a_step_is_right_of_all_that_it_needs() -> None:
    links = [Link("a", "b"), Link("b", "c"), Link("a", "c"), Link("x", "c")]
    drawing = draw(["c", "b", "a", "x"], links)
    column = {place.name: place.column for place in drawing.places}
    assert column == {"a": 0, "x": 0, "b": 1, "c": 2}
    assert [line.link for line in drawing.lines] == links
    _check(drawing)


def test_a_chain_is_a_straight_line() -> None:
    drawing = draw(["a", "b", "c", "d"], [Link("a", "b"), Link("b", "c"), Link("c", "d")])
    assert len({place.y for place in drawing.places}) == 1


def test_lines_that_need_not_cross_do_not() -> None:
    drawing = draw(["a", "b", "c", "d"], [Link("a", "d"), Link("b", "c")])
    y = {place.name: place.y for place in drawing.places}
    assert (y["a"] < y["b"]) == (y["d"] < y["c"])


def test_steps_that_have_nothing_to_do_with_each_other_stand_in_a_block() -> None:
    drawing = draw([f"step-{number}" for number in range(100)], [])
    assert {place.column for place in drawing.places} == {0, 1, 2, 3, 4}
    _check(drawing)


def test_nothing_alone_and_circles_are_drawn() -> None:
    assert draw([], []).places == []
    assert len(draw(["a"], [Link("a", "a")]).places) == 1
    drawing = draw(["a", "b", "c"], [Link("a", "b"), Link("b", "a"), Link("b", "c")])
    assert len(drawing.lines) == 3
    _check(drawing)


@pytest.mark.parametrize("seed", range(5))
def test_any_graph_is_drawn_without_touching(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"step-{number}" for number in range(60)]
    links = [Link(names[i], names[j]) for i, j in combinations(range(60), 2) if chance.random() < 0.05]
    drawing = draw(names, links)
    column = {place.name: place.column for place in drawing.places}
    assert all(column[link.source] < column[link.target] for link in links)
    _check(drawing)


def test_a_graph_with_far_too_many_lines_is_still_drawn() -> None:
    names = [f"step-{number}" for number in range(200)]
    links = [Link(one, other) for one, other in combinations(names, 2)]
    drawing = draw(names, links)
    assert len(drawing.lines) == len(links)
    _check(drawing)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "steps": [{"nam": 1}]}', "[" * 9999])
def test_a_graph_that_cannot_be_read_is_a_wrong_value(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_graph(text)


def _run(name: str, start: int, end: int | None) -> Run:
    status = RunStatus.FINISHED if end is not None else RunStatus.RUNNING
    info = RunInfo(
        run_id=name * 8, experiment_id="0", run_name=name, user_id="u", status=status, start_time=start, end_time=end
    )
    return Run(info=info, data=RunData())


def _step(name: str, *spans: tuple[int, int | None]) -> Step:
    items = [
        Item(tries=[_run(f"{name}{number}", *span)], state="FINISHED" if span[1] is not None else "RUNNING")
        for number, span in enumerate(spans)
    ]
    return Step(name=name, plan=None, items=items, state="FINISHED" if items else "WAITING")


def test_the_timeline_says_what_went_on_together_and_what_the_end_waited_for() -> None:
    found = WorkflowRun(
        run=_run("whole", 0, 10_000),
        steps=[
            _step("a", (1_000, 2_000)),
            _step("b", (2_000, 6_000), (2_500, 4_000), (4_000, 7_000)),
            _step("c", (2_000, 3_000)),
            _step("d", (8_000, 10_000)),
            _step("e"),
        ],
        links=[Link("a", "b"), Link("a", "c"), Link("b", "d"), Link("c", "d"), Link("d", "e")],
        is_planned=True,
    )
    seen = timeline(found, 50_000)
    rows = {row.step.name: row for row in seen.rows}
    assert [row.step.name for row in seen.rows][-1] == "e"
    assert {name for name, row in rows.items() if row.is_critical} == {"a", "b", "d"}
    assert seen.most == 3
    assert [bar.top for bar in rows["b"].bars][1:] == [rows["b"].bars[1].top] * 2, "the third goes where the second was"
    assert rows["d"].waited == (70.0, 80.0)
    assert (rows["a"].bars[0].left, rows["a"].bars[0].width) == (10.0, 10.0)
    assert seen.ticks[0] == (0.0, "0")


def test_what_goes_on_reaches_to_now() -> None:
    found = WorkflowRun(run=_run("w", 0, None), steps=[_step("a", (0, None))], links=[], is_planned=False)
    seen = timeline(found, 4_000)
    assert seen.took == 4_000
    assert seen.rows[0].bars[0].width == 100.0


def test_only_a_try_of_a_step_is_on_the_axis() -> None:
    tries = [_run("first", 0, 1_000), _run("second", 500_000, 502_000)]
    retried = Step(name="a", plan=None, items=[Item(tries=tries, state="FINISHED")], state="FINISHED")
    found = WorkflowRun(
        run=_run("w", 0, 600_000), steps=[retried, _step("b", (501_000, 510_000))], links=[], is_planned=True
    )
    assert window_of(retried.items, 3, 0) is None
    seen = timeline(found, 0, window=window_of(retried.items, 2, 0))
    assert (seen.took, seen.most) == (2_200, 2)
    bars = {
        row.step.name: [(bar.run.info.run_name, round(bar.left), round(bar.width)) for bar in row.bars]
        for row in seen.rows
    }
    assert bars == {"a": [("second", 5, 91)], "b": [("b0", 50, 50)]}


def test_long_times_in_which_nothing_ran_are_folded() -> None:
    hour = 3_600_000
    found = WorkflowRun(
        run=_run("w", 0, 10 * hour + 20_000),
        steps=[_step("a", (0, 10_000)), _step("b", (10 * hour, 10 * hour + 20_000)), _step("c", (5_000, 8_000))],
        links=[Link("a", "b")],
        is_planned=True,
    )
    seen = timeline(found, 0)
    ((left, width, idle),) = seen.folds
    assert (round(left), width, idle) == (32, 3.0, 10 * hour - 10_000)
    rows = {row.step.name: row for row in seen.rows}
    assert rows["a"].bars[0].width == pytest.approx(97 / 3)
    assert rows["b"].bars[0].left == pytest.approx(97 / 3 + 3)
    assert seen.ticks[0] == (0.0, "0")
    assert "10h 00m" in [text for _, text in seen.ticks]
    assert [place for place, _ in seen.ticks] == sorted(place for place, _ in seen.ticks)
    assert [number for _, _, number in seen.busy] == [1, 2, 1, 1]
    assert timeline(found, 0, only=frozenset(["c"])).rows[0].step.name == "c"


def test_many_steps_that_are_called_alike_are_one() -> None:
    steps = [_step(f"train-{number:03}", (0, 1)) for number in range(300)]
    steps += [_step("x1", (0, 1)), _step("x2", (0, 1)), _step("merge")]
    links = [
        *(Link(f"train-{number:03}", "merge", ("model",)) for number in range(300)),
        Link("train-001", "train-000"),
    ]
    folded = fold(WorkflowRun(run=_run("w", 0, 1), steps=steps, links=links, is_planned=True), most=200)
    assert [(node.name, node.size, node.state) for node in folded.nodes] == [
        ("train-*", 300, "FINISHED"),
        ("x1", 1, "FINISHED"),
        ("x2", 1, "FINISHED"),
        ("merge", 0, "WAITING"),
    ]
    assert folded.links == [Link("train-*", "merge", ("model",))]
    assert folded.listed[0].name == "merge", "what waits comes before what is done"
    odd = [_step("a" * number, (0, 1)) for number in range(1, 302)]
    assert not fold(WorkflowRun(run=_run("w", 0, 1), steps=odd, links=[], is_planned=True), most=200).nodes
