"""Where things come from and what became of them, as a graph: data, runs, models, versions, Bentos, deployments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from toolkit.errors import InvalidValue, NotFound

MOST_NODES = 2_000
"""Nodes of one answer at most; a graph that was cut says so."""

MOST_EDGES = 10_000
"""Edges of one kind that are read between the nodes of one distance and the next."""

DEEPEST = 50


class Kind(StrEnum):
    """What a node is.

    Its id: a dataset's digest, a run's or logged model's id, a version's ``name/number``, a Bento's tag, a deployment's
    id.
    """

    DATASET = "dataset"
    RUN = "run"
    MODEL = "model"
    VERSION = "version"
    BENTO = "bento"
    DEPLOYMENT = "deployment"


class Relation(StrEnum):
    """What an edge says of its two ends; data flows from its source to its target."""

    USED = "used"
    """The target is a run that used the source."""
    MADE = "made"
    """The source is a run that made the target."""
    REGISTERED = "registered"
    """The target is a version whose files are the source's."""
    CONTAINS = "contains"
    """The target is a run that is a part of the source."""
    GAVE = "gave"
    """The target is a run that was given what the source, another run, has left: a step of a workflow."""
    BUILT = "built"
    """The target is a Bento that was built from the source: a version, or the run of one that is there no longer."""
    SERVES = "serves"
    """The target is a deployment in which the source, a Bento, serves."""
    SERVED = "served"
    """The same of one that served there once."""


class Direction(StrEnum):
    """Which way to go from a node."""

    UP = "up"
    """To what it comes from."""
    DOWN = "down"
    """To what became of it."""
    BOTH = "both"


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What a node is called."""

    kind: Kind
    id: str

    @classmethod
    def read(cls, kind: str, name: str) -> Key:
        """Return the key of a kind and an id.

        Raises:
            InvalidValue: There is no such kind, or the id is none of it.
        """
        try:
            key = cls(Kind(kind), name)
        except ValueError:
            raise InvalidValue(f"lineage knows no {kind[:100]!r}: wanted one of {', '.join(Kind)}") from None
        if not name or (key.kind is Kind.VERSION and not name.rpartition("/")[2].isdigit()):
            form = "NAME/NUMBER" if key.kind is Kind.VERSION else "an id"
            raise InvalidValue(f"{name[:100]!r} names no {kind}: wanted {form}")
        return key


@dataclass(frozen=True, slots=True)
class Node:
    """A thing of the graph.

    Attributes:
        key: Its kind and id.
        name: What people call it.
        state: A run's status, a version's stage, a model's status, a deployment's state; empty for data and Bentos.
    """

    key: Key
    name: str
    state: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """How two things hang together.

    Attributes:
        source: Where data comes from.
        target: Where it goes.
        relation: What the one did with the other.
        detail: What for: the context of an input; the parameter that an artifact was given as, and its path; the
            release; the version that is there no longer.
    """

    source: Key
    target: Key
    relation: Relation
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Lineage:
    """A graph around a node.

    Attributes:
        start: Where it was asked for.
        nodes: By distance from the start, it first.
        edges: In the order in which they were found.
        whole: Whether nothing was left out because of its number or its distance.
    """

    start: Key
    nodes: Sequence[Node]
    edges: Sequence[Edge]
    whole: bool


class LineageSource(Protocol):
    """Where a graph is read from, some nodes at a time.

    Attributes:
        cut: Whether edges were left out, because of their number.
    """

    cut: bool

    def describe(self, keys: Sequence[Key]) -> Iterable[Node]:
        """Return the nodes of keys; of those that are not there, none."""
        ...

    def edges_up(self, keys: Sequence[Key]) -> Iterable[Edge]:
        """Return the edges that end at these nodes."""
        ...

    def edges_down(self, keys: Sequence[Key]) -> Iterable[Edge]:
        """Return the edges that begin at these nodes."""
        ...


def trace(source: LineageSource, start: Key, direction: Direction = Direction.BOTH, *, depth: int = DEEPEST) -> Lineage:
    """Return what a thing comes from and what became of it.

    ``BOTH`` goes up and down from the start alone: to the data that a version saw, not to all that was ever made of it.

    Args:
        source: Where the graph is.
        start: The thing.
        direction: Which way to go.
        depth: How many edges away at most.

    Raises:
        InvalidValue: The depth is out of its bounds.
        NotFound: There is no such thing.
    """
    if not 0 <= depth <= DEEPEST:
        raise InvalidValue(f"depth is {depth}: wanted 0 to {DEEPEST}")
    begun = list(source.describe([start]))
    if not begun:
        raise NotFound(f"there is no {start.kind} {start.id[:200]}")
    walk = _Walk(source, start, depth)
    if direction is not Direction.DOWN:
        walk.go(up=True)
    if direction is not Direction.UP:
        walk.go(up=False)
    described = {node.key: node for node in (*begun, *source.describe([key for key in walk.keys if key != start]))}
    nodes = [described.get(key) or Node(key, key.id) for key in walk.keys]  # what was removed is still named by others
    return Lineage(start=start, nodes=nodes, edges=list(walk.edges), whole=walk.whole and not source.cut)


def joined(parts: Sequence[Lineage]) -> Lineage:
    """Return graphs around the same data, which runs recorded by several digests, as one.

    The first one's start stands for those of the others.

    Args:
        parts: The graphs; at least one.
    """
    first, *others = parts
    if not others:
        return first
    starts = {part.start for part in parts}

    def kept(key: Key) -> Key:
        return first.start if key in starts else key

    nodes = {kept(node.key): node for part in reversed(parts) for node in reversed(part.nodes)}
    edges = {
        Edge(kept(edge.source), kept(edge.target), edge.relation, edge.detail): None
        for part in parts
        for edge in part.edges
    }
    ordered = [nodes.pop(first.start), *reversed(nodes.values())]
    return Lineage(start=first.start, nodes=ordered, edges=list(edges), whole=all(part.whole for part in parts))


def _place(edge: Edge) -> tuple[str, ...]:
    """Return what edges are sorted by; tuples of texts are compared a hundred times as fast as records."""
    source, target = edge.source, edge.target
    return (source.kind.value, source.id, target.kind.value, target.id, edge.relation.value, edge.detail)


class _Walk:
    """Goes from node to node, a distance at a time."""

    def __init__(self, source: LineageSource, start: Key, depth: int) -> None:
        self._source, self._start, self._depth = source, start, depth
        self.keys: dict[Key, None] = {start: None}
        self.edges: dict[Edge, None] = {}
        self.whole = True

    def go(self, *, up: bool) -> None:
        seen, front = {self._start}, [self._start]
        for _ in range(self._depth):
            found = self._source.edges_up(front) if up else self._source.edges_down(front)
            front = self._take(sorted(found, key=_place), seen, up=up)
            if not front:
                return
        further = self._source.edges_up(front) if up else self._source.edges_down(front)
        self.whole = self.whole and not any(True for _ in further)

    def _take(self, found: Iterable[Edge], seen: set[Key], *, up: bool) -> list[Key]:
        front = []
        for edge in found:
            key = edge.source if up else edge.target
            if key not in self.keys and len(self.keys) >= MOST_NODES:
                self.whole = False
                continue
            self.keys[key] = None
            self.edges[edge] = None
            if key not in seen:
                seen.add(key)
                front.append(key)
        return front
