"""When the steps of a workflow ran: bars from left to right, one row for each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from toolkit.server.pages.times import duration
from toolkit.server.pages.workflow_steps import Item, Step, WorkflowRun, end_of, state_of_step
from toolkit.tracking.records import Run, RunStatus

_LANE, _SINGLE, _GAP, _PAD = 8, 16, 2, 6
_MOST_LANES = 16
_TICKS = 6
_NICE = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
_IDLE = 600_000  # milliseconds in which nothing runs that are folded
_FOLD = 3.0  # percent that a folded time takes
_MOST_CHANGES = 400


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
        busy: How many went on when: from where, how wide, in percent, and the number.
        folds: Times in which nothing ran that are folded: from where, how wide, in percent, and how long, in
            milliseconds.
    """

    rows: Sequence[Row]
    ticks: Sequence[tuple[float, str]]
    took: int
    most: int
    busy: Sequence[tuple[float, float, int]] = ()
    folds: Sequence[tuple[float, float, int]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    """A part of the axis: its times, in milliseconds, and its place, in percent."""

    begin: int
    end: int
    left: float
    width: float
    is_folded: bool = False


class _Scale:
    """Where times are on the axis: evenly, but for long times in which nothing happens.

    Args:
        first: Where the axis begins.
        last: Where it ends.
        runs: What happens, from when to when.
    """

    def __init__(self, first: int, last: int, runs: Sequence[tuple[int, int]]) -> None:
        idle = [gap for gap in _gaps(first, last, runs) if gap[1] - gap[0] >= _IDLE]
        whole = last - first
        while True:  # what would be wider when it is folded is not
            kept = whole - sum(end - begin for begin, end in idle)
            wide = [gap for gap in idle if (gap[1] - gap[0]) * (100 - _FOLD * len(idle)) > 2 * _FOLD * kept]
            if wide == idle or not kept:
                break
            idle = wide
        if _FOLD * len(idle) > 50 or not kept:
            idle, kept = [], whole
        self.pieces = list(self._cut(first, last, idle, (100 - _FOLD * len(idle)) / max(1, kept)))
        self.shown = kept

    @staticmethod
    def _cut(first: int, last: int, idle: Sequence[tuple[int, int]], share: float) -> Iterator[_Piece]:
        left = 0.0
        for begin, end in [*idle, (last, last)]:
            yield _Piece(begin=first, end=begin, left=left, width=(begin - first) * share)
            left += (begin - first) * share
            if end > begin:
                yield _Piece(begin=begin, end=end, left=left, width=_FOLD, is_folded=True)
                left += _FOLD
            first = end

    def at(self, time: int) -> float:
        """Return where a time is, in percent; at an end what is beyond it."""
        for piece in self.pieces:
            if time <= piece.end:
                return piece.left + max(0, time - piece.begin) / max(1, piece.end - piece.begin) * piece.width
        return 100.0

    def ticks(self, zero: int) -> Sequence[tuple[float, str]]:
        """Return the marks of the axis, which say how long after a time they are."""
        seconds = max(1, self.shown) / 1000
        nice = next((each for each in _NICE if seconds / each <= _TICKS), None) or _days(seconds) * 86_400.0
        step = round(nice * 1000)
        found: list[tuple[float, str]] = []
        for piece in self.pieces:
            if piece.is_folded:
                continue
            number = -(-(piece.begin - zero) // step)
            while zero + number * step <= piece.end:
                text = duration(number * step).replace(".0 s", " s") if number else "0"
                place = self.at(zero + number * step)
                if not found or (place - found[-1][0] >= 100 / _TICKS / 3 and text != found[-1][1]):
                    found.append((place, text))
                number += 1
        return found


def _days(seconds: float) -> int:
    return max(1, round(seconds / 86_400 / _TICKS))


def _gaps(first: int, last: int, runs: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    reached = first
    for begin, end in sorted(runs):
        if begin > reached:
            yield reached, min(begin, last)
        reached = max(reached, end)
    if last > reached:
        yield reached, last


def timeline(
    found: WorkflowRun,
    now: int,
    *,
    window: tuple[int, int] | None = None,
    only: frozenset[str] | None = None,
    without: frozenset[str] = frozenset(),
) -> Timeline:
    """Return when the steps ran.

    Args:
        found: The workflow's run.
        now: The time, in milliseconds since 1970.
        window: Only what was between these times; ``None``: all.
        only: The steps that are shown; ``None``: all. What they waited for is told of all.
        without: Runs of steps that are left out.
    """
    runs = [run for step in found.steps for item in step.items for run in item.tries]
    start = min((run.info.start_time for run in runs), default=found.run.info.start_time)
    first = start = min(start, found.run.info.start_time)
    last = max(end_of(found.run, now), *(end_of(run, now) for run in runs)) if runs else end_of(found.run, now)
    if window is not None:
        first, last = window
    last = max(last, first + 1)
    runs = [run for run in runs if run.info.start_time <= last and end_of(run, now) >= first]
    runs = [run for run in runs if run.info.run_id not in without]
    scale = _Scale(first, last, [(run.info.start_time, end_of(run, now)) for run in runs])
    critical = _critical(found, now)
    wanted = [step for step in found.steps if only is None or step.name in only]
    steps = sorted(wanted, key=lambda step: (step.start is None, step.start or 0))
    goes_on = found.run.info.status is RunStatus.RUNNING
    shown = {run.info.run_id for run in runs}
    return Timeline(
        rows=[_row(found, step, scale, now, critical, shown, goes_on=goes_on) for step in steps],
        ticks=scale.ticks(start),
        took=last - first,
        most=max((number for _, _, number in _counts(runs, now)), default=0),
        busy=_busy(runs, now, scale),
        folds=[(piece.left, piece.width, piece.end - piece.begin) for piece in scale.pieces if piece.is_folded],
    )


def window_of(items: Sequence[Item], attempt: int, now: int) -> tuple[int, int] | None:
    """Return from when to when a try of a step went on, with some room on both sides.

    Args:
        items: The step's runs.
        attempt: Which try, from 1.
        now: The time, in milliseconds since 1970.
    """
    runs = [item.tries[attempt - 1] for item in items if len(item.tries) >= attempt]
    if not runs:
        return None
    first, last = min(run.info.start_time for run in runs), max(end_of(run, now) for run in runs)
    room = max(1, (last - first) // 20)
    return first - room, last + room


def _row(
    found: WorkflowRun,
    step: Step,
    scale: _Scale,
    now: int,
    critical: frozenset[str],
    shown: set[str],
    *,
    goes_on: bool,
) -> Row:
    tries = sorted((run for item in step.items for run in item.tries), key=lambda run: run.info.start_time)
    tries = [run for run in tries if run.info.run_id in shown]
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
            state=state_of_step(run, retries=retries, goes_on=goes_on),
            left=scale.at(run.info.start_time),
            width=max(0.2, scale.at(end_of(run, now)) - scale.at(run.info.start_time)),
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
        waited=_waited(found, step, scale, now),
        is_critical=step.name in critical,
    )


def _waited(found: WorkflowRun, step: Step, scale: _Scale, now: int) -> tuple[float, float] | None:
    """Return the time between the end of what a step needs and its beginning."""
    ends = _ends_before(found, step, now)
    if step.start is None or not ends:
        return None
    ready = max(ends.values())
    begin, end = scale.at(ready), scale.at(step.start)
    return (begin, end) if end - begin >= 0.5 else None


def _ends_before(found: WorkflowRun, step: Step, now: int) -> Mapping[str, int]:
    ends = ((link.source, found.by_name[link.source].end(now)) for link in found.before[step.name])
    return {name: end for name, end in ends if end is not None}


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


def _counts(runs: Sequence[Run], now: int) -> Sequence[tuple[int, int, int]]:
    """Return how many runs went on from when to when."""
    changes: dict[int, int] = {}
    for run in runs:
        begin, end = run.info.start_time, end_of(run, now)
        changes[begin] = changes.get(begin, 0) + 1
        changes[end] = changes.get(end, 0) - 1
    going, found = 0, []
    for begin, end in pairwise(sorted(changes)):
        going += changes[begin]
        if going > 0:
            found.append((begin, end, going))
    return found


def _busy(runs: Sequence[Run], now: int, scale: _Scale) -> Sequence[tuple[float, float, int]]:
    counts = _counts(runs, now)
    every = (
        -(-len(counts) // _MOST_CHANGES) or 1
    )  # of very many changes those that fit are drawn, with the most of each
    found = []
    for start in range(0, len(counts), every):
        part = counts[start : start + every]
        left, right = scale.at(part[0][0]), scale.at(part[-1][1])
        if right > left:
            found.append((left, right - left, max(number for _, _, number in part)))
    return found
