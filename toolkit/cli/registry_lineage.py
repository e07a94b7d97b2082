"""``toolkit registry lineage``: what a version, a run or data come from, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from toolkit.cli.registered import Opened, is_version, registry
from toolkit.cli.render import say, show, show_json, show_table
from toolkit.cli.store import find_run
from toolkit.errors import InvalidValue, NotFound
from toolkit.registry.http_lineage import lineage_out
from toolkit.registry.lineage import DEEPEST, Direction, Edge, Key, Kind, Lineage, Node, Relation
from toolkit.wiring import file_digest_of, lineage_of

_UP = {
    Relation.USED: "used",
    Relation.MADE: "made by",
    Relation.REGISTERED: "registered from",
    Relation.CONTAINS: "part of",
    Relation.GAVE: "was given",
}
_DOWN = {
    Relation.USED: "used by",
    Relation.MADE: "made",
    Relation.REGISTERED: "registered as",
    Relation.CONTAINS: "contains",
    Relation.GAVE: "gave to",
}


def lineage(
    target: str | None = typer.Argument(
        None,
        metavar="NAME/NUMBER",
        help="A version (wine/3, wine@champion), a registered model's latest, or models:/m-ID.",
    ),
    run: str | None = typer.Option(None, "--run", metavar="RUN", help="Of a run: its id, name or @last."),
    data: str | None = typer.Option(
        None, "--data", metavar="FILE|DIGEST", help="Of data: a file, a folder, or a digest as runs record it."
    ),
    up: bool = typer.Option(False, "--up", help="Only what it comes from."),
    down: bool = typer.Option(False, "--down", help="Only what became of it."),
    depth: int = typer.Option(DEEPEST, "--depth", min=0, max=DEEPEST, help="At most so many edges away."),
    versions: bool = typer.Option(False, "--versions", help="Print only the registered versions that are found."),
    mermaid: bool = typer.Option(False, "--mermaid", help="Print a Mermaid flowchart."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show what a version comes from (data, runs, models) and what became of it, as a tree."""
    if sum(each is not None for each in (target, run, data)) != 1:
        raise InvalidValue("name one thing: a version such as wine/3, or --run RUN, or --data FILE")
    if up and down:
        raise InvalidValue("give --up or --down; without either both are shown")
    direction = Direction.UP if up else Direction.DOWN if down else Direction.BOTH
    with registry() as here:
        start = _start(here, target, run, data)
        try:
            found = lineage_of(here.stores, start, direction, depth=depth)
        except NotFound:
            if data is None:
                raise
            raise NotFound(f"no run has recorded data of the digest {start.id} ({data})") from None
    if as_json:
        show_json({"schema": 1, **lineage_out(found)})
    elif mermaid:
        show(as_mermaid(found))
    elif versions:
        nodes = [node for node in found.nodes if node.key.kind is Kind.VERSION]
        show_table(("version", "stage"), [(node.key.id, "" if node.state == "None" else node.state) for node in nodes])
    else:
        for line in as_tree(found, direction):
            show(line)
    if not found.whole:
        say("this is not all: it goes on beyond what is shown (see --depth)")


def _start(here: Opened, target: str | None, run: str | None, data: str | None) -> Key:
    if run is not None:
        return Key(Kind.RUN, find_run(here.stores, run).info.run_id)
    if data is not None:
        place = Path(data)
        return Key(Kind.DATASET, file_digest_of(place) if place.exists() else data)
    text = (target or "").removeprefix("models:/")
    if text.startswith("m-") and not is_version(text):
        return Key(Kind.MODEL, text)
    version = here.version(text if is_version(text) else f"{text}/latest")
    return Key(Kind.VERSION, f"{version.name}/{version.version}")


def as_tree(found: Lineage, direction: Direction) -> list[str]:
    """Return a graph as a tree: first what its start comes from, then what became of it."""
    nodes = {node.key: node for node in found.nodes}
    lines = [_said(nodes[found.start])]
    seen = {found.start}
    if direction is not Direction.DOWN:
        lines += _branch(found, found.start, nodes, seen, up=True)
    if direction is not Direction.UP:
        lines += _branch(found, found.start, nodes, {found.start}, up=False)
    return lines


def _branch(found: Lineage, start: Key, nodes: dict[Key, Node], seen: set[Key], *, up: bool) -> list[str]:
    """Return the lines below a node; what was shown already is named, and no further."""
    below: dict[Key, list[Edge]] = {}
    for edge in found.edges:
        below.setdefault(edge.target if up else edge.source, []).append(edge)
    lines: list[str] = []
    waiting: list[tuple[str, Sequence[Edge]]] = [("", below.get(start, []))]
    while waiting:
        indent, edges = waiting.pop()
        if not edges:
            continue
        edge, rest = edges[0], edges[1:]
        key = edge.source if up else edge.target
        more = below.get(key, [])
        again = key in seen
        seen.add(key)
        how = (_UP if up else _DOWN)[edge.relation] + (f" ({edge.detail})" if edge.detail else "")
        mark, after = ("└─ ", "   ") if not rest else ("├─ ", "│  ")
        lines.append(f"{indent}{mark}{how} {_said(nodes[key])}" + (" …" if again and more else ""))
        waiting.append((indent, rest))
        if not again:
            waiting.append((indent + after, more))
    return lines


def _said(node: Node) -> str:
    """Return a thing in words."""
    state = f" {node.state}" if node.state and node.state != "None" else ""
    name = f" {node.name}" if node.name != node.key.id and node.key.kind is not Kind.VERSION else ""
    identity = node.key.id if node.key.kind is not Kind.RUN else node.key.id[:8]
    return f"{node.key.kind.value}{name} {identity}{state}"


def as_mermaid(found: Lineage) -> str:
    """Return a graph as a Mermaid flowchart; data flows along its arrows."""
    ids = {node.key: f"n{index}" for index, node in enumerate(found.nodes)}
    shapes = {Kind.DATASET: ("[(", ")]"), Kind.RUN: ("[", "]"), Kind.MODEL: ("([", "])"), Kind.VERSION: ("{{", "}}")}
    lines = ["flowchart LR"]
    for node in found.nodes:
        left, right = shapes[node.key.kind]
        label = _said(node).replace('"', "#quot;")
        lines.append(f'    {ids[node.key]}{left}"{label}"{right}')
    for edge in found.edges:
        told = edge.relation.value + (f": {edge.detail}" if edge.detail else "")
        told = told.replace('"', "#quot;").replace("|", "/")
        lines.append(f'    {ids[edge.source]} -->|"{told}"| {ids[edge.target]}')
    return "\n".join(lines)
