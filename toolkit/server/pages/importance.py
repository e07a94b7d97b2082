"""How a metric goes with each parameter among some runs, by ranks: a hint at where to look, and nothing more.

For numbers it is Spearman's rank correlation. It is blind to what rises and falls again, as a metric over a learning
rate often does: where there are enough runs, their numbers are cut into stretches, too. Of stretches and of texts it is
the root of Kruskal and Wallis' epsilon squared, the share of the ranks' variance that lies between the groups, less
what chance alone puts there; it has no sign. Both are 0 to 1 in size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST = 4
"""Runs that are wanted at least to say anything."""

_ENOUGH, _STRETCHES, _MUCH = 15, 5, 0.1
_NORMAL = 1.96
_NORMAL_ONE_SIDED = 1.645


@dataclass(frozen=True, kw_only=True, slots=True)
class Importance:
    """How a metric goes with a parameter.

    Attributes:
        key: The parameter.
        strength: 0 to 1.
        sign: 1 where the metric grows with the parameter, -1 where it falls, 0 where neither can be said.
        bend: 1 where the metric is greatest in the middle of a parameter's numbers, -1 where it is least there, else 0.
        runs: How many runs have both.
        by_chance: Whether as much is seen in one of twenty sets of so many runs where there is nothing.
    """

    key: str
    strength: float
    sign: int
    runs: int
    by_chance: bool
    bend: int = 0


def importance(key: str, given: Sequence[float | str | None], measured: Sequence[float | None]) -> Importance | None:
    """Return how a metric goes with a parameter; ``None`` if too few runs have both, or one of them never changes.

    Args:
        key: The parameter's name.
        given: Its value in each run: numbers only, or texts only.
        measured: The metric's value in each run.
    """
    pairs = [(x, y) for x, y in zip(given, measured, strict=True) if x is not None and y is not None]
    if len(pairs) < FEWEST or len({x for x, _ in pairs}) < 2 or len({y for _, y in pairs}) < 2:
        return None
    ranks = ranked([y for _, y in pairs])
    numbers = [x for x, _ in pairs if not isinstance(x, str)]
    count = len(pairs)
    if len(numbers) == count:
        return _of_numbers(key, numbers, ranks)
    share, chance = _of_groups([x for x, _ in pairs], ranks)
    return Importance(key=key, strength=math.sqrt(share), sign=0, runs=count, by_chance=chance)


def _of_numbers(key: str, numbers: Sequence[float], ranks: Sequence[float]) -> Importance:
    count = len(numbers)
    places = ranked(numbers)
    found = _correlation(places, ranks)
    straight = Importance(
        key=key,
        strength=abs(found),
        sign=1 if found > 0 else -1,
        runs=count,
        by_chance=abs(found) < _NORMAL / math.sqrt(count - 1),
    )
    if count < _ENOUGH or len(set(numbers)) < _STRETCHES:
        return straight
    stretches = [min(_STRETCHES - 1, int((place - 0.5) * _STRETCHES / count)) for place in places]
    share, chance = _of_groups(stretches, ranks)
    if chance or math.sqrt(share) < abs(found) + _MUCH:
        return straight
    bend = _bend(stretches, ranks)
    return Importance(key=key, strength=math.sqrt(share), sign=0, runs=count, by_chance=False, bend=bend)


def _bend(stretches: Sequence[int], ranks: Sequence[float]) -> int:
    """Return where the ranks are greatest: 1 in the middle, -1 at both ends, 0 neither."""
    means = []
    for stretch in sorted(set(stretches)):
        own = [rank for at, rank in zip(stretches, ranks, strict=True) if at == stretch]
        means.append(sum(own) / len(own))
    inner, ends = means[1:-1], (means[0], means[-1])
    if not inner:
        return 0
    return 1 if max(inner) > max(ends) and min(inner) >= min(ends) else -1 if min(inner) < min(ends) else 0


def _of_groups(groups: Sequence[object], ranks: Sequence[float]) -> tuple[float, bool]:
    """Return the share of the ranks' variance between groups, and whether it may be chance."""
    held: dict[object, list[float]] = {}
    for group, rank in zip(groups, ranks, strict=True):
        held.setdefault(group, []).append(rank)
    count, kinds = len(ranks), len(held)
    if kinds < 2 or kinds >= count:
        return 0.0, True
    middle = (count + 1) / 2
    between = sum(len(each) * (sum(each) / len(each) - middle) ** 2 for each in held.values()) / _spread(ranks)
    statistic = (count - 1) * between
    return max(0.0, (statistic - kinds + 1) / (count - kinds)), statistic < _quantile(kinds - 1)


def ranked(values: Sequence[float]) -> list[float]:
    """Return the rank of each number, from 1; of those that are equal the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in order[start : end + 1]:
            ranks[place] = (start + end) / 2 + 1
        start = end + 1
    return ranks


def _correlation(a: Sequence[float], b: Sequence[float]) -> float:
    middle = (len(a) + 1) / 2
    together = sum((x - middle) * (y - middle) for x, y in zip(a, b, strict=True))
    apart = math.sqrt(_spread(a) * _spread(b))
    return max(-1.0, min(1.0, together / apart))


def _spread(ranks: Sequence[float]) -> float:
    middle = (len(ranks) + 1) / 2
    return sum((rank - middle) ** 2 for rank in ranks)


def _quantile(degrees: int) -> float:
    """Return what a chi-square variable stays below in 95 of 100 cases, by Wilson and Hilferty's formula."""
    part = 2 / (9 * degrees)
    return degrees * (1 - part + _NORMAL_ONE_SIDED * math.sqrt(part)) ** 3
