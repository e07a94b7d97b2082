"""Numbers as the stores keep and order them: two parts, ``(value, special)``, exact for every float.

``special`` is 0 for a plain number, 1 for NaN (``value`` is then +infinity) and -1 for -0.0. Compared as pairs they are
in the order of the numbers: -0.0 just before 0.0, and NaN after everything, as in PostgreSQL.
"""

from __future__ import annotations

import math

PLAIN, NAN, NEGATIVE_ZERO = 0, 1, -1

Stored = tuple[float, int]


def to_stored(number: float) -> Stored:
    """Return the two parts of a number."""
    if number != number:
        return math.inf, NAN
    if number == 0.0 and math.copysign(1.0, number) < 0:
        return 0.0, NEGATIVE_ZERO
    return number, PLAIN


def from_stored(value: float, special: int) -> float:
    """Return the number of two parts."""
    if special == PLAIN:
        return value
    return math.nan if special == NAN else -0.0
