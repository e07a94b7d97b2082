"""When the steps of a workflow ran: bars from left to right, one row for each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.server.pages.times import duration
from toolkit.server.pages.workflow_steps import Step, WorkflowRun, end_of, state_of
from toolkit.tracking.records import Run, RunStatus

_LANE, _SINGLE, _GAP, _PAD = 8, 16, 2, 6
_MOST_LANES = 16
_TICKS = 6
_NICE = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A try of a step.

    Attributes:
        run: Its run.
        state: The run's.
        left: Where it begins, in percent of the whole.
        width: How long it took, in percent of the whole.
        top: In pixels, from the top of its row.
        height: In pixels.
        took: In milliseconds.
    """

    run: Run
    state: str
    left: float
    width: float
    top: int
    height: int
    took: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A step.

    Attributes:
        step: The step.
        bars: Its tries.
        height: In pixels.
        waited: From where to where it could have begun and did not, in percent; ``None`` where it began at once.
        is_critical: Whether the whole would have ended earlier if it had.
    """

    step: Step
    bars: Sequence[Bar]
    height: int
    waited: tuple[float, float] | None = None
    is_critical: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """When all steps ran.

    Attributes:
        rows: The steps, those that began first first, and then those that did not begin.
        ticks: Where the axis has a mark, in percent, and what it says.
        took: How long it is, in milliseconds.
        most: How many runs of steps went on at the same time, at most.
    """

    rows: Sequence[Row]
    ticks: Sequence[tuple[float, str]]
    took: int
    most: int


def timeline(found: WorkflowRun, now: int) -> Timeline:
    """Return when the steps ran.

    Args:
        found: The workflow's run.
        now: The time, in milliseconds since 1970.
    """
    runs = [run for step in found.steps for item in step.items for run in item.tries]
    first = min((run.info.start_time for run in runs), default=found.run.info.start_time)
    first = min(first, found.run.info.start_time)
    last = max((end_of(run, now) for run in runs), default=end_of(found.run, now))
    span = max(1, max(last, end_of(found.run, now)) - first)
    critical = _critical(found, now)
    steps = sorted(found.steps, key=lambda step: (step.start is None, step.start or 0))
    goes_on = found.run.info.status is RunStatus.RUNNING
    rows = [_row(found, step, first, span, now, critical, goes_on=goes_on) for step in steps]
    return Timeline(rows=rows, ticks=_ticks(span), took=span, most=_most(runs, now))


def _row(
    found: WorkflowRun, step: Step, first: int, span: int, now: int, critical: frozenset[str], *, goes_on: bool
) -> Row:
    tries = sorted((run for item in step.items for run in item.tries), key=lambda run: run.info.start_time)
    lanes: list[int] = []
    placed: list[tuple[Run, int]] = []
    for run in tries:
        begin = run.info.start_time
        lane = next((number for number, end in enumerate(lanes) if end <= begin), len(lanes))
        lane = min(lane, _MOST_LANES - 1)
        if lane == len(lanes):
            lanes.append(0)
        lanes[lane] = max(lanes[lane], end_of(run, now))
        placed.append((run, lane))
    height = _SINGLE if len(lanes) < 2 else _LANE
    retries = step.plan.retries if step.plan else 0
    bars = [
        Bar(
            run=run,
            state=state_of(run, retries=retries, goes_on=goes_on),
            left=(run.info.start_time - first) / span * 100,
            width=max(0.2, (end_of(run, now) - run.info.start_time) / span * 100),
            top=_PAD + lane * (height + _GAP),
            height=height,
            took=end_of(run, now) - run.info.start_time,
        )
        for run, lane in placed
    ]
    return Row(
        step=step,
        bars=bars,
        height=max(1, len(lanes)) * (height + _GAP) - _GAP + 2 * _PAD,
        waited=_waited(found, step, first, span, now),
        is_critical=step.name in critical,
    )


def _waited(found: WorkflowRun, step: Step, first: int, span: int, now: int) -> tuple[float, float] | None:
    """Return the time between the end of what a step needs and its beginning."""
    ends = _ends_before(found, step, now)
    if step.start is None or not ends:
        return None
    ready = max(ends.values())
    begin, end = (ready - first) / span * 100, (step.start - first) / span * 100
    return (begin, end) if end - begin >= 0.5 else None


def _ends_before(found: WorkflowRun, step: Step, now: int) -> Mapping[str, int]:
    ends = {}
    for link in found.links:
        source = found.step(link.source) if link.target == step.name else None
        end = source.end(now) if source else None
        if end is not None:
            ends[link.source] = end
    return ends


def _critical(found: WorkflowRun, now: int) -> frozenset[str]:
    """Return the steps that decided when the whole ended: the last, what it waited for last, and so on."""
    ends = {step.name: end for step in found.steps if (end := step.end(now)) is not None}
    names: list[str] = []
    name = max(ends, key=lambda each: ends[each], default=None)
    while name is not None and name not in names:
        names.append(name)
        step = found.step(name)
        before = _ends_before(found, step, now) if step else {}
        name = max(before, key=lambda each: before[each], default=None)
    return frozenset(names) if len(names) > 1 else frozenset()


def _most(runs: Sequence[Run], now: int) -> int:
    changes = sorted(change for run in runs for change in ((run.info.start_time, 1), (end_of(run, now), -1)))
    going = most = 0
    for _, change in changes:
        going += change
        most = max(most, going)
    return most


def _ticks(span: int) -> Sequence[tuple[float, str]]:
    seconds = span / 1000
    nice = next((each for each in _NICE if seconds / each <= _TICKS), None)
    if nice is None:
        days = max(1, round(seconds / 86_400 / _TICKS))
        steps = [each * 86_400.0 for each in range(0, int(seconds / 86_400) + 1, days)]
    else:
        steps = [nice * number for number in range(int(seconds / nice + 1e-9) + 1)]
    return [(each / seconds * 100, duration(each * 1000).replace(".0 s", " s") if each else "0") for each in steps]
