"""How times and durations are written for people. Browsers go on where they stand: ``static/js/time.js``."""

from __future__ import annotations

import time
from datetime import UTC, datetime

_WEEK = 7 * 86_400


def now() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def iso(milliseconds: int) -> str:
    """Write a time as machines read it, in UTC; empty for what no calendar has."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError):
        return ""


def absolute(milliseconds: int) -> str:
    """Write a time in full, in UTC."""
    return iso(milliseconds).replace("T", " ").replace("Z", " UTC")


def relative(milliseconds: int, at: int | None = None) -> str:
    """Write how long ago a time is, up to seven days; then the day.

    Args:
        milliseconds: The time.
        at: What counts as now.
    """
    at = now() if at is None else at
    seconds = (at - milliseconds) / 1000
    if seconds < 0:
        return "just now" if seconds > -60 else absolute(milliseconds)
    for limit, divisor, unit in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (_WEEK, 86_400, "d")):
        if seconds < limit:
            return f"{int(seconds / divisor)} {unit} ago" if seconds >= 1 else "just now"
    told = iso(milliseconds)
    if not told:
        return str(milliseconds)
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    same_year = moment.year == datetime.fromtimestamp(at / 1000, UTC).year
    return f"{moment.day} {moment:%b %H:%M}" if same_year else f"{moment.day} {moment:%b %Y}"


def duration(milliseconds: float) -> str:
    """Write how long something took."""
    if milliseconds < 0:
        return ""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)}m {int(seconds % 60):02d}s"
    if seconds < 86_400:
        return f"{int(seconds // 3600)}h {int(seconds % 3600 // 60):02d}m"
    return f"{int(seconds // 86_400)}d {int(seconds % 86_400 // 3600)}h"
