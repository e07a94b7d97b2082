"""Output: tables on a terminal, tab-separated text in a pipe, JSON where it was asked for. Data goes to stdout."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime


def say(text: str) -> None:
    """Print a line that is no data, on stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the command line's voice


def show(text: str) -> None:
    """Print data, on stdout."""
    print(text)  # noqa: T201 - the command line's voice


def show_json(value: object) -> None:
    """Print one JSON document. NaN and infinities stand as text, which JSON has no numbers for."""
    show(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: aligned on a terminal, else tab-separated with nothing cut."""
    lines = [tuple(columns), *(tuple(row) for row in rows)]
    if not on_terminal():
        for line in lines:
            show("\t".join(line))
        return
    from rich.console import Console  # noqa: PLC0415 - on terminals only
    from rich.table import Table  # noqa: PLC0415 - the same

    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, no_wrap=name in ("run", "status", "duration", "id"), overflow="fold")
    for line in lines[1:]:
        table.add_row(*line)
    Console(soft_wrap=False, highlight=False, markup=False).print(table)


def on_terminal() -> bool:
    """Tell whether data goes to a terminal, where ids may be cut."""
    return sys.stdout.isatty()


def duration(seconds: float | None) -> str:
    """Return a duration as people say it: ``0.42s``, ``12.3s``, ``2m 03s``, ``1h 02m``."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.2f}s"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m {rest:02d}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02d}m"


def moment(milliseconds: int | None) -> str:
    """Return a time in RFC 3339, UTC, to the second."""
    if milliseconds is None:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def number(value: float) -> str:
    """Return a metric's value for people: at most six digits that count."""
    return f"{value:.6g}"


def size(count: int) -> str:
    """Return a size in bytes for people: ``512 B``, ``3.2 kB``, ``1.1 GB``."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
