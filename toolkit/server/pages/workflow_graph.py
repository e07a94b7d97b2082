"""Where the steps of a workflow stand: in columns from left to right, each right of all that it needs.

Layers as of Sugiyama, Tagawa and Toda (1981): the rank of a step is the longest way to it, the order within a rank
comes from medians (Eades and Wormald, 1994), and the heights are the least squares to the neighbours, in that order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt
from statistics import median

from toolkit.server.pages.workflow_steps import Link

WIDTH, HEIGHT = 184, 56
_ACROSS, _DOWN, _EDGE = 44, 18, 10
_BEND = 18.0  # height of a place where a line only goes through
_SWEEPS = 8
_ROWS = 8  # steps in a column where nothing says in which they belong
_MOST_BENDS = 3_000  # places that lines go through; of more, lines go straight
_MOST_ORDERED = 4_000  # pieces of lines up to which it is looked how many cross

_Id = str | tuple[str, str, int]
"""A step's name; or the place in a rank where a line goes through: its two ends and the rank."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step's upper left corner is, in pixels, and its column."""

    name: str
    x: int
    y: int
    column: int


@dataclass(frozen=True, slots=True)
class Line:
    """How a line between two steps goes, as SVG writes it, and where its name has room."""

    link: Link
    path: str
    middle: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A graph that is laid out.

    Attributes:
        places: The steps, column by column, each from above.
        lines: Between them.
        width: Of all, in pixels.
        height: The same.
    """

    places: Sequence[Place]
    lines: Sequence[Line]
    width: int
    height: int


def draw(names: Sequence[str], links: Sequence[Link]) -> Drawing:
    """Return where steps stand.

    Args:
        names: The steps; their order decides where nothing else does.
        links: Which come after which; what would make a circle is drawn, and does not count.
    """
    ranks = _ranks(names, links) if links else _block(names)
    chains = _chains(links, ranks)
    columns = _ordered(_columns(names, chains, ranks), chains)
    heights = _heights(columns, chains)
    least = min(heights.values(), default=0.0)
    tops = {key: round(_EDGE + y - least - _size(key) / 2 + HEIGHT / 2) for key, y in heights.items()}
    places = {
        key: Place(key, _x(number), tops[key], number)
        for number, column in enumerate(columns)
        for key in column
        if isinstance(key, str)
    }
    return Drawing(
        places=list(places.values()),
        lines=[
            Line(link, _path(chain, tops, ranks), _middle(chain, tops, ranks))
            for link, chain in zip(links, chains, strict=True)
        ],
        width=max(1, len(columns)) * (WIDTH + _ACROSS) - _ACROSS + 2 * _EDGE,
        height=max((top + round(_size(key)) for key, top in tops.items()), default=0) + _EDGE,
    )


def _x(column: int) -> int:
    return _EDGE + column * (WIDTH + _ACROSS)


def _block(names: Sequence[str]) -> Mapping[str, int]:
    """Return columns for steps of which none comes after another: a block, and no column without end."""
    rows = max(_ROWS, 2 * isqrt(len(names)))
    return {name: number // rows for number, name in enumerate(names)}


def _ranks(names: Sequence[str], links: Sequence[Link]) -> Mapping[str, int]:
    """Return in which column each step is: one more than the last of those before it."""
    before: dict[str, set[str]] = {name: set() for name in names}
    after: dict[str, list[str]] = {name: [] for name in names}
    for link in links:
        if link.source != link.target and link.source not in before[link.target]:
            before[link.target].add(link.source)
            after[link.source].append(link.target)
    ranks: dict[str, int] = {}
    waiting = {name: len(before[name]) for name in names}
    ready = [name for name in names if not waiting[name]]
    while len(ranks) < len(names):
        if not ready:  # a circle, which there should not be
            ready = [next(name for name in names if name not in ranks)]
        for name in ready:
            ranks[name] = max((ranks[each] + 1 for each in before[name] if each in ranks), default=0)
        following = [each for name in ready for each in after[name]]
        for each in following:
            waiting[each] -= 1
        ready = [each for each in dict.fromkeys(following) if waiting[each] <= 0 and each not in ranks]
    return ranks


def _chains(links: Sequence[Link], ranks: Mapping[str, int]) -> Sequence[Sequence[_Id]]:
    if sum(max(0, ranks[link.target] - ranks[link.source] - 1) for link in links) > _MOST_BENDS:
        return [[link.source, link.target] for link in links]
    return [_chain(link, ranks) for link in links]


def _chain(link: Link, ranks: Mapping[str, int]) -> Sequence[_Id]:
    """Return what a line goes through: its two ends, and a place in each rank between them."""
    between = range(ranks[link.source] + 1, ranks[link.target])
    return [link.source, *((link.source, link.target, rank) for rank in between), link.target]


def _columns(names: Sequence[str], chains: Sequence[Sequence[_Id]], ranks: Mapping[str, int]) -> list[list[_Id]]:
    columns: list[list[_Id]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for name in names:
        columns[ranks[name]].append(name)
    for chain in chains:
        for key in chain[1:-1]:
            assert isinstance(key, tuple)
            columns[key[2]].append(key)
    return columns


def _neighbours(chains: Sequence[Sequence[_Id]]) -> tuple[Mapping[_Id, list[_Id]], Mapping[_Id, list[_Id]]]:
    """Return what stands left and right of each."""
    left: dict[_Id, list[_Id]] = {}
    right: dict[_Id, list[_Id]] = {}
    for chain in chains:
        for one, other in pairwise(chain):
            right.setdefault(one, []).append(other)
            left.setdefault(other, []).append(one)
    return left, right


def _ordered(columns: list[list[_Id]], chains: Sequence[Sequence[_Id]]) -> list[list[_Id]]:
    """Return the columns in an order in which few lines cross."""
    if sum(len(chain) - 1 for chain in chains) > _MOST_ORDERED:
        return columns
    left, right = _neighbours(chains)
    best, fewest = columns, _crossings(columns, right)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        near, numbers = (left, range(1, len(columns))) if sweep % 2 == 0 else (right, range(len(columns) - 2, -1, -1))
        columns = [list(column) for column in columns]
        for number in numbers:
            other = columns[number - 1 if sweep % 2 == 0 else number + 1]
            place = {key: row for row, key in enumerate(other)}
            own = {key: row for row, key in enumerate(columns[number])}
            columns[number].sort(key=lambda key: _median(near.get(key, ()), place, own[key]))
        crossed = _crossings(columns, right)
        if crossed < fewest:
            best, fewest = columns, crossed
    return best


def _median(keys: Sequence[_Id], place: Mapping[_Id, int], own: int) -> float:
    found = [place[key] for key in keys if key in place]
    return median(found) if found else own


def _crossings(columns: Sequence[Sequence[_Id]], right: Mapping[_Id, Sequence[_Id]]) -> int:
    total = 0
    for one, other in pairwise(columns):
        place = {key: row for row, key in enumerate(other)}
        ends = [row for key in one for row in sorted(place[each] for each in right.get(key, ()) if each in place)]
        total += sum(1 for i, row in enumerate(ends) for later in ends[i + 1 :] if later < row)
    return total


def _size(key: _Id) -> float:
    return HEIGHT if isinstance(key, str) else _BEND


def _heights(columns: Sequence[Sequence[_Id]], chains: Sequence[Sequence[_Id]]) -> dict[_Id, float]:
    """Return the middle of each: near those of its neighbours, in its column's order, without touching."""
    left, right = _neighbours(chains)
    found: dict[_Id, float] = {}
    for column in columns:
        found |= zip(column, _spread([0.0] * len(column), column), strict=True)
    for sweep in range(_SWEEPS):
        near = left if sweep % 2 == 0 else right
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wanted = [
                sum(found[each] for each in near[key]) / len(near[key]) if near.get(key) else found[key]
                for key in column
            ]
            found |= zip(column, _spread(wanted, column), strict=True)
    return found


def _spread(wanted: Sequence[float], column: Sequence[_Id]) -> list[float]:
    """Return the places nearest to those that are wanted at which none touches the next, by pooling those that do."""
    shift = [0.0]
    for one, other in pairwise(column):
        shift.append(shift[-1] + (_size(one) + _size(other)) / 2 + _DOWN)
    pools: list[tuple[float, int]] = []
    for place, moved in zip(wanted, shift, strict=False):
        total, count = place - moved, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            more, many = pools.pop()
            total, count = total + more, count + many
        pools.append((total, count))
    means = (total / count for total, count in pools for _ in range(count))
    return [mean + moved for mean, moved in zip(means, shift, strict=True)]


def _path(chain: Sequence[_Id], tops: Mapping[_Id, int], ranks: Mapping[str, int]) -> str:
    return "".join(_pieces(chain, tops, ranks))


def _middle(chain: Sequence[_Id], tops: Mapping[_Id, int], ranks: Mapping[str, int]) -> tuple[int, int]:
    """Return the middle of the last piece of a line."""
    (x1, y1), (x2, y2) = (_point(key, tops, ranks) for key in chain[-2:])
    return (x1 + WIDTH + x2) // 2, (y1 + y2) // 2 + 4


def _pieces(chain: Sequence[_Id], tops: Mapping[_Id, int], ranks: Mapping[str, int]) -> Iterator[str]:
    for number, (one, other) in enumerate(pairwise(chain)):
        (x1, y1), (x2, y2) = _point(one, tops, ranks), _point(other, tops, ranks)
        start = x1 + WIDTH
        end = x2 - (4 if number == len(chain) - 2 else 0)
        bend = max(20, (end - start) // 2)
        yield f"{f'M{start} {y1}' if number == 0 else ''}C{start + bend} {y1} {end - bend} {y2} {end} {y2}"
        if isinstance(other, tuple):
            yield f"H{x2 + WIDTH}"


def _point(key: _Id, tops: Mapping[_Id, int], ranks: Mapping[str, int]) -> tuple[int, int]:
    rank = ranks[key] if isinstance(key, str) else key[2]
    return _x(rank), tops[key] + round(_size(key) / 2)
