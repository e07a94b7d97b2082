"""Where the boxes and lines of a lineage stand: in columns from left to right, as data flows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.registry.lineage import Edge, Key, Lineage, Node

MOST = 60
"""Boxes that are drawn; the table has the others."""

WIDTH, HEIGHT = 150, 44
_ACROSS, _DOWN, _EDGE = 20, 14, 8
_SWEEPS = 4
_SIBLINGS = 6
"""Things that hang on the same one alone, and are drawn each for itself."""


@dataclass(frozen=True, slots=True)
class Box:
    """A thing, and where its upper left corner is, in pixels.

    Attributes:
        node: The thing.
        x: From the left.
        y: From above.
        more: How many others of its kind stand for it here, which hang on the same thing alone.
    """

    node: Node
    x: int
    y: int
    more: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """How two things hang together, and the path of the line, as SVG writes it."""

    edge: Edge
    path: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn.

    Attributes:
        boxes: The things.
        lines: Between them.
        width: Of all, in pixels.
        height: The same.
        left_out: How many things are not drawn.
    """

    boxes: Sequence[Box]
    lines: Sequence[Line]
    width: int
    height: int
    left_out: int


def draw(found: Lineage) -> Drawing:
    """Return where things stand; of many, those next to the start are drawn.

    Args:
        found: The graph.
    """
    folded = _folded(found)
    kept = [node for node in found.nodes if folded.get(node.key) != 0][:MOST]
    nodes = {node.key: node for node in kept}
    edges = [edge for edge in found.edges if edge.source in nodes and edge.target in nodes]
    columns = _ordered(_columns(list(nodes), edges), edges)
    tallest = max(len(column) for column in columns)
    height = tallest * (HEIGHT + _DOWN) - _DOWN + 2 * _EDGE
    places: dict[Key, tuple[int, int]] = {}
    for number, column in enumerate(columns):
        top = (height - (len(column) * (HEIGHT + _DOWN) - _DOWN)) // 2
        for row, key in enumerate(column):
            places[key] = _EDGE + number * (WIDTH + _ACROSS), top + row * (HEIGHT + _DOWN)
    return Drawing(
        boxes=[Box(nodes[key], *places[key], more=folded.get(key, 0)) for column in columns for key in column],
        lines=[Line(edge, _path(places[edge.source], places[edge.target])) for edge in edges],
        width=len(columns) * (WIDTH + _ACROSS) - _ACROSS + 2 * _EDGE,
        height=height,
        left_out=len(found.nodes) - len(nodes),
    )


def _folded(found: Lineage) -> Mapping[Key, int]:
    """Return which things are folded into one, with their number at that one, and 0 at the others.

    They are things of one kind that hang on the same one alone: the steps of a sweep, the runs that used some data.
    """
    ends: dict[Key, set[tuple[Key, bool]]] = {}
    for edge in found.edges:
        ends.setdefault(edge.source, set()).add((edge.target, True))
        ends.setdefault(edge.target, set()).add((edge.source, False))
    groups: dict[tuple[object, ...], list[Key]] = {}
    for node in found.nodes:
        hangs = ends.get(node.key, set())
        if len(hangs) == 1 and node.key != found.start:
            groups.setdefault((node.key.kind, *hangs), []).append(node.key)
    told: dict[Key, int] = {}
    for keys in groups.values():
        if len(keys) > _SIBLINGS:
            told |= dict.fromkeys(keys[_SIBLINGS:], 0)
            told[keys[_SIBLINGS - 1]] = len(keys) - _SIBLINGS + 1
    return told


def _columns(keys: Sequence[Key], edges: Sequence[Edge]) -> list[list[Key]]:
    """Return the things in columns: each right of all that it comes from, and what begins near what it is for."""
    rank = dict.fromkeys(keys, 0)
    for _ in keys:  # as often as the longest way can be; a circle, which there should not be, ends it as well
        moved = False
        for edge in edges:
            if rank[edge.target] <= rank[edge.source] < len(keys):
                rank[edge.target] = rank[edge.source] + 1
                moved = True
        if not moved:
            break
    targets = {edge.target for edge in edges}
    for key in keys:
        after = [rank[edge.target] for edge in edges if edge.source == key]
        if key not in targets and after:
            rank[key] = max(0, min(after) - 1)
    used = sorted(set(rank.values()))
    return [[key for key in keys if rank[key] == value] for value in used]


def _ordered(columns: list[list[Key]], edges: Sequence[Edge]) -> list[list[Key]]:
    """Return the columns, each in an order in which few lines cross: by the mean place of a thing's neighbours."""
    near: dict[Key, list[Key]] = {}
    for edge in edges:
        near.setdefault(edge.source, []).append(edge.target)
        near.setdefault(edge.target, []).append(edge.source)
    for _ in range(_SWEEPS):
        place = {key: _middle(row, column) for column in columns for row, key in enumerate(column)}
        columns = [sorted(column, key=lambda key: _mean(near.get(key, ()), place, place[key])) for column in columns]
    return columns


def _middle(row: int, column: Sequence[Key]) -> float:
    return row - (len(column) - 1) / 2


def _mean(keys: Sequence[Key], place: Mapping[Key, float], own: float) -> float:
    return sum(place[key] for key in keys) / len(keys) if keys else own


def _path(source: tuple[int, int], target: tuple[int, int]) -> str:
    (x1, y1), (x2, y2) = (source[0] + WIDTH, source[1] + HEIGHT // 2), (target[0] - 4, target[1] + HEIGHT // 2)
    bend = max(12, (x2 - x1) // 2)
    return f"M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
