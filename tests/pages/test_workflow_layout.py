"""Where the steps of a workflow stand, and when they ran: without a browser."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from toolkit.flows.recorded_graph import read_graph
from toolkit.server.pages.workflow_graph import HEIGHT, WIDTH, Drawing, draw
from toolkit.server.pages.workflow_steps import Item, Link, Step, WorkflowRun
from toolkit.server.pages.workflow_timeline import timeline
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
