"""The last runs as a strip of bars: how long each took, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from toolkit.server.pages import times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import duration_of
from toolkit.server.pages.states import look, state_of
from toolkit.server.pages.workflow_steps import WORKFLOW
from toolkit.tracking.records import Run, RunStatus

FLOW_RUN = "prefect.flow_run_id"
MOST = 100
DAYS = 7

_WIDTH, _GAP, _HEIGHT, _FOOT = 7, 3, 44, 10
_DAY = 86_400_000
# What stands below a bar, so that its state is not told by its colour alone: in a square of 6.
_SHAPES = {
    "good": "M0 3 L2.2 5.4 L6 .8",
    "bad": "M.5 .5 L5.5 5.5 M5.5 .5 L.5 5.5",
    "killed": "M.8 .8 H5.2 V5.2 H.8 Z",
    "running": "M3 .6 A2.4 2.4 0 1 1 2.9 .6 Z",
    "waiting": "M3 .5 V3 L5 4.5",
    "quiet": "M0 3 H6",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A run in the strip.

    Attributes:
        run: The run.
        state: Its state as people see it.
        took: How long it took, or has taken so far, in milliseconds.
        place: The address of its page.
        said: All of it, in words.
    """

    run: Run
    state: str
    took: int
    place: str
    said: str


def bars_of(asked: Asked, runs: Sequence[Run], now: int) -> Sequence[Bar]:
    """Return the bars of the last runs, the oldest first.

    Args:
        asked: The request.
        runs: They, the newest first.
        now: The time.
    """
    found = []
    for run in reversed(runs[:MOST]):
        took, state = duration_of(run, now) or 0, state_of(run)
        running = run.info.status is RunStatus.RUNNING
        if running:
            took = _stepped(took)
        page = "workflows" if WORKFLOW in run.data.tags else "runs"
        said = f"{run.info.run_name or run.info.run_id[:8]}: {look(state).word}"
        if not running:
            said += f", {times.duration(took)}"
        started = times.absolute(run.info.start_time)
        found.append(
            Bar(
                run=run,
                state=state,
                took=took,
                place=asked.url(page, run.info.run_id),
                said=f"{said}, started {started}",
            )
        )
    return found


def _stepped(took: int) -> int:
    """Return a time that goes on in steps of a fifth, so that the strip of what runs is not new with each second."""
    return int(1.2 ** math.floor(math.log(took, 1.2))) if took > 0 else 0


def strip(bars: Sequence[Bar]) -> Markup:
    """Return the strip as SVG: heights go with the square root of how long a run took, so that short ones are seen.

    Args:
        bars: The runs.
    """
    longest = max((bar.took for bar in bars), default=0) or 1
    drawn = Markup("").join(_bar(bar, place, longest) for place, bar in enumerate(bars))
    width = max(1, len(bars)) * (_WIDTH + _GAP)
    return Markup(
        '<svg class="run-strip" width="{}" height="{}" role="list" aria-label="The last {} runs">{}</svg>'
    ).format(width, _HEIGHT + _FOOT, len(bars), drawn)


def _bar(bar: Bar, place: int, longest: int) -> Markup:
    tone = look(bar.state).tone
    height = max(3.0, math.sqrt(bar.took / longest) * _HEIGHT)
    x = place * (_WIDTH + _GAP)
    return Markup(
        '<g role="listitem"><a href="{place}" id="strip-{id}" class="t-{tone}" aria-label="{said}">'
        "<title>{said}</title>"
        '<rect class="whole" x="{x}" y="0" width="{step}" height="{all}"/>'
        '<rect x="{x}" y="{y:.1f}" width="{width}" height="{height:.1f}" rx="1"/>'
        '<path class="mark" transform="translate({x} {foot})" d="{shape}"/></a></g>'
    ).format(
        place=bar.place,
        id=bar.run.info.run_id,
        tone=tone,
        said=bar.said,
        x=x,
        y=_HEIGHT - height,
        step=_WIDTH + _GAP,
        all=_HEIGHT + _FOOT,
        width=_WIDTH,
        height=height,
        foot=_HEIGHT + 3,
        shape=_SHAPES.get(tone, _SHAPES["quiet"]),
    )


def days_of(runs: Sequence[Run], now: int) -> Mapping[str, Markup]:
    """Return how many runs began on each of the last days, small, by experiment.

    Args:
        runs: The newest runs.
        now: The time.
    """
    counts: dict[str, list[int]] = {}
    for run in runs:
        ago = (now - run.info.start_time) // _DAY
        if 0 <= ago < DAYS:
            counts.setdefault(run.info.experiment_id, [0] * DAYS)[DAYS - 1 - int(ago)] += 1
    return {experiment_id: _days(days) for experiment_id, days in counts.items()}


def _days(counts: Sequence[int]) -> Markup:
    most = max(counts)
    total = sum(counts)
    bars = Markup("").join(
        Markup('<rect x="{}" y="{:.1f}" width="5" height="{:.1f}"/>').format(i * 7, 16 - tall, tall)
        for i, count in enumerate(counts)
        for tall in [max(1.0, count / most * 15)]
    )
    return Markup(
        '<svg class="days" width="{}" height="16" role="img" aria-label="{} in {} days">'
        "<title>{} in {} days</title>{}</svg>"
    ).format(len(counts) * 7 - 2, _runs(total), len(counts), _runs(total), len(counts), bars)


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
