"""Small lines that show a course: pictures made here, without script and without numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT = 96, 20
POINTS = 40


def sparkline(values: Sequence[float], *, label: str) -> Markup:
    """Return a line as SVG; nothing for fewer than two numbers.

    Args:
        values: In their order; what is no finite number leaves a gap.
        label: What it shows, for who does not see it.
    """
    few = _thinned(values)
    finite = [value for value in few if math.isfinite(value)]
    if len(finite) < 2:
        return Markup("")
    low, high = min(finite), max(finite)
    span = (high - low) or 1.0
    width = WIDTH / max(1, len(few) - 1)
    parts: list[str] = []
    pen_down = False
    for place, value in enumerate(few):
        if not math.isfinite(value):
            pen_down = False
            continue
        y = HEIGHT - 2 - (value - low) / span * (HEIGHT - 4)
        if not math.isfinite(y):  # the span of the greatest floats is none
            y = HEIGHT / 2
        parts.append(f"{'L' if pen_down else 'M'}{place * width:.1f} {y:.1f}")
        pen_down = True
    return Markup(
        '<svg class="spark" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{label}">'
        '<path d="{path}"/></svg>'
    ).format(w=WIDTH, h=HEIGHT, label=label, path=" ".join(parts))


def _thinned(values: Sequence[float]) -> Sequence[float]:
    """Return at most so many points; of each stretch its extreme that is farther from the middle, so spikes stay."""
    if len(values) <= POINTS:
        return values
    finite = [value for value in values if math.isfinite(value)]
    middle = sum(finite) / len(finite) if finite and math.isfinite(sum(finite)) else 0.0
    size = len(values) / POINTS
    found = []
    for i in range(POINTS):
        stretch = values[int(i * size) : max(int(i * size) + 1, int((i + 1) * size))]
        found.append(max(stretch, key=lambda value: abs(value - middle) if math.isfinite(value) else -1.0))
    return found
