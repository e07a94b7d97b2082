"""How numbers are written for people: one form each, the same on every page and in ``static/js/numbers.js``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from toolkit.errors import InvalidValue, ToolkitError

MISSING = ""
_GROUPED_FROM = 10_000
_THIN = "\u202f"  # a narrow space that does not break
_MOST_DIGITS = 8
_EXACT_TO = 1e15


def whole(text: str) -> int | None:
    """Read a whole number of at most nine digits; ``None`` for what is none: anybody may have written the text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def number_of(what: str, text: str, wrong: type[ToolkitError] = InvalidValue) -> int:
    """Read the number that a thing is asked for by.

    Args:
        what: The thing, as ``a version``.
        text: What was given.
        wrong: What is raised of text that is no number.

    Raises:
        ToolkitError: The text is no number.
    """
    number = whole(text)
    if number is None:
        raise wrong(f"{text[:50]!r} is no number of {what}")
    return number


def metric(value: float, digits: int = 4) -> str:
    """Write a metric's value: fixed from 1e-3 to 1e6, else with an exponent.

    Args:
        value: The value.
        digits: How many significant ones.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if value == int(value) and abs(value) < _EXACT_TO:
        return integer(int(value)) if abs(value) < 1e6 or digits > 6 else _exponent(value, digits)
    if 1e-3 <= abs(value) < 1e6:
        whole = math.floor(math.log10(abs(value))) + 1
        text = f"{value:.{max(0, digits - whole)}f}"
        return _grouped(text)
    return _exponent(value, digits)


def _exponent(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{_minus(mantissa)}e{int(exponent)}"


def _minus(text: str) -> str:
    return text.replace("-", "−", 1)


def _grouped(text: str) -> str:
    sign = "−" if text.startswith("-") else ""
    whole, point, rest = text.lstrip("-").partition(".")
    if len(whole) >= len(str(_GROUPED_FROM)):
        whole = _THIN.join(_threes(whole))
    return f"{sign}{whole}{point}{rest}"


def _threes(digits: str) -> list[str]:
    first = len(digits) % 3
    return [part for part in (digits[:first], *(digits[i : i + 3] for i in range(first, len(digits), 3))) if part]


def integer(value: int) -> str:
    """Write an integer exactly, in groups from 10,000."""
    return _grouped(str(value))


def digits_of(values: Sequence[float]) -> int:
    """Return how many significant digits a column needs, so that values that differ look different: 4 to 8."""
    finite = sorted({value for value in values if math.isfinite(value)})
    gaps = [b - a for a, b in pairwise(finite) if b > a]
    if not gaps:
        return 4
    largest = max(abs(finite[0]), abs(finite[-1]))
    if not largest:
        return 4
    ratio = largest / min(gaps)  # of two tiny numbers it may be no finite one
    needed = math.ceil(math.log10(ratio)) + 1 if math.isfinite(ratio) and ratio > 0 else _MOST_DIGITS
    return min(_MOST_DIGITS, max(4, needed))


def size(count: float) -> str:
    """Write a number of bytes, in decimal units with three digits."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 1000 or unit == "TB":
            break
        count /= 1000
    text = f"{count:.0f}" if unit == "B" else f"{count:.3g}"
    return f"{text} {unit}"


def rate(value: float) -> str:
    """Write how often a second something happens."""
    if value >= 1e6:
        return f"{value / 1e6:.3g} M/s"
    if value >= 1e3:
        return f"{value / 1e3:.3g} k/s"
    return f"{value:.3g}/s"


def difference(value: float, base: float, *, lower_is_better: bool | None = None) -> str:
    """Write by how much a value differs from another: arrow, sign, and the share in brackets."""
    gap = value - base
    if not math.isfinite(gap):
        return ""
    better = None if lower_is_better is None or gap == 0 else (gap < 0) == lower_is_better
    arrow = {None: "", True: "▲ ", False: "▼ "}[better]
    share = f" ({gap / abs(base):+.1%})".replace("%", " %") if base else ""
    sign = "+" if gap >= 0 else ""
    return f"{arrow}{sign}{metric(gap)}{share}".replace("-", "−")
