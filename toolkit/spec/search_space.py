"""The ranges that a search draws parameters from. Nothing of a file here: see `search`."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

MAX_GRID = 10_000
"""Values of one range, and combinations of all, that a grid may have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """What a parameter may be.

    Attributes:
        kind: ``float`` and ``int`` lie between two bounds, both included; ``choice`` is one of a list.
        low: Smallest value.
        high: Largest value; of one with a step the largest that the step comes to.
        step: Distance between neighbours, from ``low``; ``None``: any value.
        log: Whether the logarithm is spread evenly rather than the value.
        choices: The values of a choice.
    """

    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    choices: tuple[object, ...] = ()

    @property
    def count(self) -> int | None:
        """How many values there are; ``None`` for a range that has no step."""
        if self.kind == "choice":
            return len(self.choices)
        if self.step is None:
            return None
        return int((Decimal(repr(self.high)) - Decimal(repr(self.low))) / Decimal(repr(self.step))) + 1

    def value(self, number: int) -> object:
        """Return the value at a place, from 0, of a range that has a `count`."""
        if self.kind == "choice":
            return self.choices[number]
        assert self.step is not None
        if self.kind == "int":
            return int(self.low) + number * int(self.step)
        # In decimals: 0.1 + 2 × 0.1 is 0.3 for whoever wrote it.
        return float(Decimal(repr(self.low)) + number * Decimal(repr(self.step)))

    def draw(self, chance: random.Random) -> object:
        """Return a value by chance."""
        if self.kind == "int" and self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return min(max(round(math.exp(chance.uniform(low, high))), int(self.low)), int(self.high))
        if (count := self.count) is not None:
            return self.value(chance.randrange(count))
        if self.log:
            drawn = math.exp(chance.uniform(math.log(self.low), math.log(self.high)))
        else:
            drawn = chance.uniform(self.low, self.high)
        return min(max(drawn, self.low), self.high)

    def place(self, value: object) -> int | None:
        """Return the place of a value of a range that has a `count`; ``None`` where it is none of them."""
        if self.kind == "choice":
            return next((i for i, one in enumerate(self.choices) if one == value and type(one) is type(value)), None)
        if self.step is None or isinstance(value, bool) or not isinstance(value, int | float):
            return None
        number = round((value - self.low) / self.step)
        inside = 0 <= number < (self.count or 0)
        return number if inside and math.isclose(float(str(self.value(number))), value) else None

    def holds(self, value: object) -> bool:
        """Tell whether a value is one of these."""
        if self.count is not None:
            return self.place(value) is not None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high  # type: ignore[operator]  # it is a number by then

    def __str__(self) -> str:
        """Return it as a person would write it."""
        if self.kind == "choice":
            return f"one of {', '.join(str(choice) for choice in self.choices)}"
        step = f" step {self.step:g}" if self.step is not None and self.step != 1 else ""
        return f"{'int ' if self.kind == 'int' else ''}{self.low:g} to {self.high:g}{step}{' log' if self.log else ''}"
