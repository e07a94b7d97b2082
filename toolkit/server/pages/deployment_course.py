"""The last hour of a deployment as pictures: how often it was asked, how long it took, what failed, its health."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from toolkit.deployments.course import Look, Summary, summary
from toolkit.deployments.records import Release, ReleaseState
from toolkit.server.pages import numbers, times

WIDTH, HEIGHT = 600, 72
BINS = 60
_SHORTEST_BIN = 30_000  # milliseconds: some looks, also where one comes late
_SHORTEST, _LONGEST = 600_000, 3_600_000  # milliseconds that the pictures cover
_TOP, _FLOOR = 6, 4
_TICKS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One course.

    Attributes:
        name: What it shows.
        drawn: The picture.
        said: What it says, in one line.
        legend: Classes and names of its lines, where there are several.
    """

    name: str
    drawn: Markup
    said: str
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What is shown of the last hour.

    Attributes:
        minutes: How long the pictures reach back.
        pictures: The pictures.
        marks: Releases that took the traffic in that time: number, version and time.
        rows: The numbers behind them: time and what was then.
        health: The last looks, drawn; each with what was found.
        last: The last look.
        stale: Whether that is too long ago: nobody looks any more.
    """

    minutes: int
    pictures: Sequence[Picture]
    marks: Sequence[tuple[int, str, int]]
    rows: Sequence[tuple[int, Summary]]
    health: Markup
    last: Look
    stale: bool


Bins = Sequence[tuple[int, Summary | None]]


def course(looks: Sequence[Look], releases: Sequence[Release], *, at: int | None = None) -> Course | None:
    """Return what is shown of the last hour; None where nobody has looked.

    Args:
        looks: At the deployment, the oldest first.
        releases: Of the deployment, for marks.
        at: What counts as now, in milliseconds since 1970.
    """
    if not looks:
        return None
    now = times.now() if at is None else at
    span = min(_LONGEST, max(_SHORTEST, now - looks[0].time))
    bins = _bins(looks, now, span)
    marks = [each for each in _marks(releases) if now - span <= each[2] <= now]
    lines = [(each[2] - now + span) / span * WIDTH for each in marks]
    return Course(
        minutes=math.ceil(span / 60_000),
        pictures=_pictures(bins, lines, looks),
        marks=marks,
        rows=[(time, told) for time, told in bins if told is not None and told.requests],
        health=_health(looks[-_TICKS:]),
        last=looks[-1],
        stale=now - looks[-1].time > 60_000,
    )


def _bins(looks: Sequence[Look], now: int, span: int) -> Bins:
    held: dict[int, list[Look]] = {}
    count = min(BINS, span // _SHORTEST_BIN)
    for each in looks:
        place = int((each.time - now + span) / span * count)
        if 0 <= place <= count:
            held.setdefault(min(place, count - 1), []).append(each)
    return [
        (int(now - span + (place + 0.5) * span / count), summary(held[place]) if place in held else None)
        for place in range(count)
    ]


def _marks(releases: Sequence[Release]) -> Sequence[tuple[int, str, int]]:
    """Return the releases that had the traffic once, and since when: their last step ended then."""
    from toolkit.deployments import steps  # noqa: PLC0415 - for pages of deployments alone

    served = (ReleaseState.SERVING, ReleaseState.REPLACED, ReleaseState.STOPPED)
    found = []
    for each in reversed(releases):
        if each.state in served:
            done = [step.ended for step in steps.read(each.instance) if step.ended is not None]
            found.append((each.number, f"{each.model} version {each.version}", done[-1] if done else each.created_at))
    return found


def _pictures(bins: Bins, marks: Sequence[float], looks: Sequence[Look]) -> Sequence[Picture]:
    def values(pick: Callable[[Summary], float | None]) -> list[float]:
        told = [None if each is None else pick(each) for _, each in bins]
        return [math.nan if each is None else each for each in told]

    lately = summary([each for each in looks if each.time >= looks[-1].time - 300_000])
    rate = values(lambda each: each.rate)
    median, slow = values(lambda each: each.median), values(lambda each: each.slow)
    failed = values(lambda each: each.failed / each.seconds if each.seconds else 0.0)
    none = "nobody has asked in the last 5 min"
    quick = f"half of the answers within {_ms(lately.median)}, 95 of 100 within {_ms(lately.slow)}"
    return [
        Picture(
            name="Requests",
            drawn=_drawn([("l1", rate)], marks, "Requests a second"),
            said=f"{numbers.rate(lately.rate)} in the last 5 min, at most {numbers.rate(_most(rate))}",
        ),
        Picture(
            name="Latency",
            drawn=_drawn([("l2", slow), ("l1", median)], marks, "How long answers took"),
            said=none if lately.median is None else quick,
            legend=(("l1", "p50"), ("l2", "p95")),
        ),
        Picture(
            name="Failed",
            drawn=_drawn([("l-bad", failed)], marks, "Requests a second that failed"),
            said=_failures(looks),
        ),
    ]


def _failures(looks: Sequence[Look]) -> str:
    told = summary(looks)
    if not told.requests:
        return "nothing was asked"
    share = f"{told.failed / told.requests:.1%}".replace("%", " %")
    refused = f"; {numbers.integer(told.refused)} refused as the client’s mistake" if told.refused else ""
    return f"{numbers.integer(told.failed)} of {numbers.integer(told.requests)} ({share}){refused}"


def _most(values: Sequence[float]) -> float:
    return max((each for each in values if math.isfinite(each)), default=0.0)


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{numbers.metric(seconds * 1000, 3)} ms"


def _drawn(lines: Sequence[tuple[str, Sequence[float]]], marks: Sequence[float], label: str) -> Markup:
    """Return lines over one floor, and where releases took over; what was not looked at is a gap."""
    top = max((_most(values) for _, values in lines), default=0.0) or 1.0
    drawn = Markup("").join(
        Markup('<path class="{}" d="{}"/>').format(kind, _path(values, top)) for kind, values in lines
    )
    told = Markup("").join(
        Markup('<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{h}"/>').format(x=x, h=HEIGHT) for x in marks
    )
    return Markup(
        '<svg class="course" viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img" aria-label="{label}">'
        '<line class="floor" x1="0" x2="{w}" y1="{floor}" y2="{floor}"/>{told}{drawn}</svg>'
    ).format(w=WIDTH, h=HEIGHT, label=label, floor=HEIGHT - _FLOOR, told=told, drawn=drawn)


def _path(values: Sequence[float], top: float) -> str:
    step = WIDTH / len(values)
    parts: list[str] = []
    pen_down = False
    for place, value in enumerate(values):
        if not math.isfinite(value):
            pen_down = False
            continue
        x, y = (place + 0.5) * step, HEIGHT - _FLOOR - value / top * (HEIGHT - _FLOOR - _TOP)
        alone = not pen_down and (place + 1 == len(values) or not math.isfinite(values[place + 1]))
        if alone:  # a line of one point would not be seen
            parts.append(f"M{x - step / 2:.1f} {y:.1f}h{step:.1f}")
        else:
            parts.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}")
            pen_down = True
    return "".join(parts)


def _health(looks: Sequence[Look]) -> Markup:
    """Return the last looks as marks in a row: a full one for ready, a hollow one for not."""
    told = Markup("").join(
        Markup('<rect class="{}" x="{}" y="{}" width="6" height="{}"><title>{}</title></rect>').format(
            "t-good" if each.healthy else "t-bad",
            place * 8,
            0 if each.healthy else 8,
            16 if each.healthy else 8,
            f"{times.absolute(each.time)}: {answer_of(each)}",
        )
        for place, each in enumerate(looks)
    )
    good = sum(each.healthy for each in looks)
    return Markup(
        '<svg class="looks" viewBox="0 0 {w} 16" width="{w}" height="16" role="img" aria-label="{label}">{told}</svg>'
    ).format(w=len(looks) * 8, label=f"ready at {good} of the last {len(looks)} looks", told=told)


def answer_of(look: Look) -> str:
    """Return what a look found, in words."""
    took = times.duration(look.took * 1000)
    return f"/readyz answered {look.status} in {took}" if look.healthy else look.message
